//! What the trigger of a rule and its steps mean for each other.

use super::{mistake::Notebook, step::ReadStep, table::Table, trigger::Trigger};
use crate::domain::{action::Action, event::Kind};

/// Notes what does not go together. `keeps` says whether the steps go on after an uninstall.
pub(super) fn check(
    table: &Table<'_>,
    trigger: Option<&Trigger>,
    steps: &[ReadStep],
    keeps: bool,
    notebook: &mut Notebook<'_>,
) {
    let mut note = |what: &str, remedy: &str| notebook.note(table.start, what, remedy);
    let does = |wanted: fn(&Action) -> bool| steps.iter().position(|read| wanted(&read.step.action));
    let waits_for = |kind: Kind| trigger.is_some_and(|trigger| trigger.matches(&kind, None));
    if does(|action| matches!(action, Action::ReportPayment { .. })).is_some() && waits_for(Kind::PaymentReceived) {
        note(
            "a rule on `payment.received` cannot report a payment: it would fire it again",
            "choose another trigger",
        );
    }
    let uninstalls = does(|action| matches!(action, Action::Uninstall));
    if uninstalls.is_some() && waits_for(Kind::InstallationUninstalled) {
        note(
            "a rule on `installation.uninstalled` cannot uninstall: it is done already",
            "choose another trigger",
        );
    }
    if uninstalls.is_some_and(|number| number + 1 < steps.len()) && !keeps {
        note(
            "the steps after `uninstall` would be cancelled with the connection",
            "put `uninstall` last, or add `keep_after_uninstall = true`",
        );
    }
    let forwards = does(|action| matches!(action, Action::ForwardEvent { .. }));
    if forwards.is_some() && steps.len() > 1 {
        note(
            "`forward_event` is not the only step: the others would wait for its receiver, for days",
            "give it a rule of its own",
        );
    }
    if forwards.is_some() && table.has("cap_per_day") {
        note(
            "`forward_event` cannot have a cap: what is held would come after what followed it",
            "take `cap_per_day` out",
        );
    }
    let waits = |read: &ReadStep| read.step.after.is_some();
    if forwards.is_some_and(|number| steps.get(number).is_some_and(waits)) {
        note(
            "`forward_event` cannot wait: events of a location would overtake each other",
            "take `after` out",
        );
    }
}

//! Rules that want to fire: their keys are claimed, and the steps of those that were free are queued, unless the rule
//! is only watched or has fired often enough today.

use anyhow::Result;
use serde_json::Value;

use super::Sitting;
use crate::{
    app::steps,
    domain::{
        event::{Cause, Ruling},
        ids::ApplicationId,
    },
    rules::{OncePer, Rule},
    store::{
        PgTransaction,
        firings::{self, NewFiring},
        holds,
        inbox::Waiting,
        jobs,
    },
};

/// A rule that wants to fire. Its key may turn out to be taken.
pub(super) struct Wanted<'a> {
    /// Which event, and which of its decisions.
    pub(super) at: (usize, usize),
    pub(super) rule: &'a Rule,
    pub(super) key: String,
    pub(super) once: OncePer,
    pub(super) generation: i32,
    /// What it would do, when it is only watched.
    pub(super) shadow: Option<Value>,
}

impl Sitting<'_> {
    /// Claims the firing keys that are wanted so far, and queues the steps of those that were free.
    pub(super) async fn fire(&mut self, tx: &mut PgTransaction<'_>, events: &[Waiting]) -> Result<()> {
        let wanted: Vec<(Wanted<'_>, &Waiting)> = std::mem::take(&mut self.wanted)
            .into_iter()
            .filter_map(|wanted| events.get(wanted.at.0).map(|event| (wanted, event)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let new: Vec<NewFiring<'_>> = wanted
            .iter()
            .map(|(wanted, event)| NewFiring {
                key: &wanted.key,
                rule: &wanted.rule.name,
                once_per: wanted.once.as_str(),
                shadow: wanted.shadow.clone(),
                place: event.place,
                generation: wanted.generation,
                event_id: event.id,
                event_received_at: event.received_at,
                kind: &event.kind,
            })
            .collect();
        let mut queued = Vec::new();
        for ((wanted, event), firing) in wanted.iter().zip(firings::claim(tx, &new).await?) {
            let cause = firing.is_none().then_some(Cause::Before);
            let (ruling, reason) = match firing {
                None => (
                    Ruling::Skipped,
                    Some(format!("fired before (once per {})", wanted.once)),
                ),
                Some(_) if wanted.shadow.is_some() => (Ruling::Shadow, None),
                Some(firing) => match self.beyond_cap(tx, event.place.application_id, wanted.rule).await? {
                    Some(reason) => {
                        holds::hold(tx, firing, event.place, &wanted.rule.name).await?;
                        (Ruling::Held, Some(reason))
                    }
                    None => {
                        let max_attempts = self.app.config.jobs.max_attempts;
                        queued.extend(steps::of(wanted.rule, event.place, firing, max_attempts));
                        (Ruling::Fired, None)
                    }
                },
            };
            let verdict = self.came_to.verdicts.get_mut(wanted.at.0);
            if let Some(decision) = verdict.and_then(|verdict| verdict.decisions.get_mut(wanted.at.1)) {
                (decision.ruling, decision.firing) = (ruling, firing);
                (decision.cause, decision.reason) = (cause, reason);
            }
        }
        self.came_to.has_jobs |= !queued.is_empty();
        jobs::enqueue(tx, &queued).await?;
        Ok(())
    }

    /// Counts a firing of a rule that has a cap, and says why it has to wait.
    async fn beyond_cap(
        &mut self,
        tx: &mut PgTransaction<'_>,
        application: ApplicationId,
        rule: &Rule,
    ) -> Result<Option<String>> {
        let Some(cap) = rule.cap_per_day else { return Ok(None) };
        if !self.counts {
            let all = self.rules.sets();
            let capped = all.flat_map(|(id, set)| set.rules().iter().map(move |rule| (id, rule)));
            let capped = capped.filter(|(_, rule)| rule.cap_per_day.is_some());
            let capped: Vec<_> = capped.map(|(id, rule)| (id, rule.name.as_str())).collect();
            holds::lock_counters(tx, &capped).await?;
            self.counts = true;
        }
        let number = holds::count(tx, (application, &rule.name)).await?;
        Ok((number > i64::from(cap)).then(|| format!("number {number} of the day, and cap_per_day = {cap}")))
    }
}

//! From what events say to what follows: the state machine, then the rules, then the jobs. The events
//! of one transaction are judged in their order, and what most of them need is read and written for
//! all of them at once. Everything commits together with their leaving the inbox.

mod bulk;
mod calls;
mod closer;
mod counting;
mod firing;
mod replay;

use std::collections::{BTreeSet, HashMap, HashSet};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde_json::json;
use tracing::error;

use self::{bulk::Bulks, closer::look_closer, counting::Taking, firing::Wanted};
pub(super) use self::{counting::count_state, replay::judge_again};
use crate::{
    app::{App, moments, rulebook::Rules, served::Served, view::view},
    domain::{
        event::{Fact, Kind, Ruling, Source, State},
        ids::{ApplicationId, Place},
        installation::{Change, Installation, Status},
        location::Location,
    },
    rules::{self, Facts, Mode, Rule, RuleSet},
    store::{
        self, PgTransaction, holds,
        inbox::{self, Decision, Verdict, Waiting},
        installations,
        jobs::{self, Cancel},
        tags,
    },
};

/// What judging came to, for the metrics.
#[derive(Default)]
pub(super) struct Judgement {
    /// Whose the events were, in their order.
    applications: Vec<ApplicationId>,
    /// In the order of the events.
    verdicts: Vec<Verdict>,
    /// What was paid or given back.
    takings: Vec<Taking>,
    /// Applications that were paid for at a place for the first time of its connection.
    converted: Vec<ApplicationId>,
    /// Which event moved its installation, from where to where.
    moves: Vec<(usize, Status, Status)>,
    /// Whether there is something to do now.
    pub(super) has_jobs: bool,
}

/// Judges events, in their order, and takes them out of the inbox.
///
/// # Errors
/// When the database does not answer, or one of the events cannot be judged.
pub(super) async fn judge(
    app: &App,
    rules: &Rules,
    tx: &mut PgTransaction<'_>,
    events: &mut [Waiting],
) -> Result<Judgement> {
    let bulks = Bulks::read(tx, events).await?;
    let mut sitting = Sitting::open(app, rules, tx, events).await?;
    sitting.bulks = Some(&bulks);
    for event in &*events {
        let verdict = sitting
            .verdict(tx, event, events)
            .await
            .with_context(|| format!("event {}", event.id))?;
        sitting.came_to.add(event, verdict);
    }
    sitting.fire(tx, events).await?;
    inbox::settle(tx, events, &sitting.came_to.verdicts).await?;
    Ok(sitting.came_to)
}

/// What the events of one transaction share.
struct Sitting<'a> {
    app: &'a App,
    rules: &'a Rules,
    now: DateTime<Utc>,
    /// As they are after the events so far. Nobody else moves them: their shard is ours.
    installations: HashMap<Place, Installation>,
    /// What is known of the places that rules look at.
    locations: HashMap<Place, Location>,
    /// Their marks.
    tags: HashMap<Place, Vec<String>>,
    /// Places that were found to be looked at lately.
    looked_at: HashSet<Place>,
    /// Firings that are not written yet.
    wanted: Vec<Wanted<'a>>,
    /// Whether the counters of capped rules are ours until the end.
    counts: bool,
    came_to: Judgement,
    /// Bulk actions that some of the events ask for.
    bulks: Option<&'a Bulks>,
}

impl<'a> Sitting<'a> {
    /// Reads what the events need: the installations of those that say nothing about one, and for
    /// those that a rule waits for what is known of the place, and the body.
    async fn open(app: &'a App, rules: &'a Rules, tx: &mut PgTransaction<'_>, events: &mut [Waiting]) -> Result<Self> {
        let (mut plain, mut looked_into) = (BTreeSet::new(), BTreeSet::new());
        let mut with_body = Vec::new();
        for event in events {
            if app.served(event.place.application_id).is_none() {
                continue;
            }
            let is_plain = event.fact.is_none();
            if is_plain {
                plain.insert(event.place);
            }
            let is_awaited = matching(rules, event).next().is_some() || event.kind == Kind::BulkRequested;
            if is_awaited {
                looked_into.insert(event.place);
            }
            // What follows from a call depends on what was told of it.
            if is_plain && (is_awaited || event.source == Source::Telephony) {
                with_body.push(event);
            }
        }
        if !with_body.is_empty() {
            inbox::read_bodies(tx, &mut with_body).await?;
        }
        let plain: Vec<Place> = plain.into_iter().collect();
        let known = installations::read(tx, &plain).await?;
        let looked_into: Vec<Place> = looked_into.into_iter().collect();
        let locations = match looked_into.is_empty() {
            true => Vec::new(),
            false => installations::locations(tx, &looked_into).await?,
        };
        let tags = match looked_into.is_empty() {
            true => HashMap::new(),
            false => tags::read(tx, &looked_into).await?,
        };
        Ok(Self {
            app,
            rules,
            now: store::now(&mut **tx).await?,
            installations: known.into_iter().map(|known| (known.place, known)).collect(),
            locations: locations.into_iter().collect(),
            tags,
            looked_at: HashSet::new(),
            wanted: Vec::new(),
            counts: false,
            came_to: Judgement::default(),
            bulks: None,
        })
    }

    /// Judges the next event; what rules want of it is written later.
    async fn verdict(&mut self, tx: &mut PgTransaction<'_>, event: &Waiting, events: &[Waiting]) -> Result<Verdict> {
        let Some(served) = self.app.served(event.place.application_id) else {
            return Ok(failed(
                "no application of this number is configured here any more".to_owned(),
            ));
        };
        if let Some(why) = &event.unreadable {
            let note = format!("what it says cannot be read by this version: {why}");
            error!(event_id = %event.id, kind = %event.kind, error = note, "An event could not be judged");
            return Ok(failed(note));
        }
        if let Some(why) = self.bulks.and_then(|bulks| bulks.trouble(event)) {
            return Ok(failed(why));
        }
        let before = self.before(tx, served, event).await?;
        let (after, change) = match &event.fact {
            Some(fact) => before.apply(fact, event.occurred_at),
            None => (before.clone(), Change::Happened),
        };
        let after = after.expecting_trial(served.config.trial_days);
        if after != before {
            if after.status == Status::Uninstalled && before.status != after.status {
                // What is cancelled now includes what the events before this one fired.
                self.fire(tx, events).await?;
            }
            let rules = self.rules.of(event.place.application_id);
            follow_up(tx, (rules, event), &before, &after).await?;
        }
        if change == Change::Moved {
            let place_in_order = self.came_to.verdicts.len();
            self.came_to.moves.push((place_in_order, before.status, after.status));
        }
        let note = match change {
            Change::Nothing(why) => Some(why),
            Change::Moved | Change::Happened if remember(tx, event).await? => None,
            Change::Moved | Change::Happened => Some("this payment was known"),
        };
        self.came_to.take(event, note.is_none(), (&before, &after));
        self.came_to.has_jobs |= look_closer(tx, event, &after, &mut self.looked_at).await?;
        let decisions = match note {
            None => self.decide(served, event, &after),
            Some(_) => Vec::new(),
        };
        self.installations.insert(event.place, after);
        Ok(Verdict {
            state: State::Processed,
            note: note.map(str::to_owned),
            decisions,
        })
    }

    /// The installation before this event; locked when the event may change it.
    async fn before(&self, tx: &mut PgTransaction<'_>, served: &Served, event: &Waiting) -> Result<Installation> {
        let known = self.installations.get(&event.place).cloned();
        let known = known.unwrap_or_else(|| Installation::unknown(event.place, self.now));
        let stays = event.fact.is_none() && known.clone().expecting_trial(served.config.trial_days) == known;
        Ok(match stays {
            true => known,
            false => installations::lock(tx, event.place).await?,
        })
    }

    /// What each rule that waits for such an event says to it.
    fn decide(&mut self, served: &Served, event: &Waiting, installation: &Installation) -> Vec<Decision> {
        let bulk = self.bulks.and_then(|bulks| bulks.rule(event));
        let mut matching = matching(self.rules, event).chain(bulk).peekable();
        if matching.peek().is_none() {
            return Vec::new();
        }
        let view = view(event);
        let unknown = Location::unknown(event.place.location_id);
        let location = self.locations.get(&event.place).unwrap_or(&unknown);
        let tags = self.tags.get(&event.place).map_or(&[][..], Vec::as_slice);
        let facts = Facts::new(&view, installation, location, &served.view, self.now).with_tags(tags);
        let mut decisions = Vec::new();
        for rule in matching {
            let mut decision = Decision {
                rule: rule.name.clone(),
                ruling: Ruling::Skipped,
                firing: None,
                cause: None,
                reason: None,
            };
            match rules::judge(rule, &facts) {
                rules::Decision::Skip { cause, reason } => {
                    (decision.cause, decision.reason) = (Some(cause), Some(reason));
                }
                rules::Decision::Fire { key, once } => self.wanted.push(Wanted {
                    at: (self.came_to.verdicts.len(), decisions.len()),
                    rule,
                    key,
                    once,
                    generation: installation.generation,
                    shadow: (rule.mode == Mode::Shadow).then(|| json!({"would": rules::preview(rule, &facts)})),
                }),
            }
            decisions.push(decision);
        }
        decisions
    }
}

fn failed(note: String) -> Verdict {
    Verdict {
        state: State::Failed,
        note: Some(note),
        decisions: Vec::new(),
    }
}

/// The rules that wait for such an event.
fn matching<'a>(rules: &'a Rules, event: &Waiting) -> impl Iterator<Item = &'a Rule> {
    let came = event.fact.as_ref().and_then(Fact::moment);
    rules.of(event.place.application_id).matching(&event.kind, came)
}

/// What a new state of the installation brings with it.
async fn follow_up(
    tx: &mut PgTransaction<'_>,
    (rules, event): (&RuleSet, &Waiting),
    before: &Installation,
    after: &Installation,
) -> Result<()> {
    installations::save(tx, after).await?;
    if after.status != before.status || after.generation != before.generation {
        installations::remember_move(tx, before.status, after, event.source, event.id).await?;
    }
    if after.status == Status::Uninstalled && before.status != after.status {
        let survivors = rules.with_retired().filter(|rule| survives(rule));
        let survivors: Vec<String> = survivors.map(|rule| rule.name.clone()).collect();
        let which = Cancel::Rules {
            place: event.place,
            except: &survivors,
        };
        jobs::cancel(tx, &which, "the application was uninstalled").await?;
        holds::drop_at(tx, event.place, &survivors, "the application was uninstalled").await?;
    }
    let (application, location) = (event.place.application_id, Some(event.place.location_id));
    moments::plan(tx, (application, location), rules).await?;
    Ok(())
}

/// A rule about the end of a connection, or one that says so, goes on after it. So does one that forwards events: they
/// happened, whatever came later.
pub(super) fn survives(rule: &Rule) -> bool {
    rule.keep_after_uninstall
        || rule.forwards_to().is_some()
        || [Kind::InstallationUninstalled, Kind::ActivationExpired]
            .iter()
            .any(|end| rule.trigger.matches(end, None))
}

/// Keeps payments; a payment that was known already is no news.
async fn remember(tx: &mut PgTransaction<'_>, event: &Waiting) -> Result<bool> {
    match &event.fact {
        Some(Fact::PaymentReceived { payment, .. } | Fact::PaymentRefunded { payment, .. }) => {
            Ok(installations::remember_payment(tx, event.place, payment).await?)
        }
        _ => Ok(true),
    }
}

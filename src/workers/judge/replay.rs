//! Events that are judged once more. What the rules want is done by the same way as after the first judgement; nothing
//! else of an event has an effect any more.

use std::collections::{HashMap, HashSet};

use anyhow::Result;

use super::{Judgement, Sitting, Wanted};
use crate::{
    app::{
        App,
        replays::{Court, Terms},
        rulebook::Rules,
    },
    domain::event::{Ruling, State},
    rules,
    store::{
        self, PgTransaction,
        inbox::{Decision, Verdict, Waiting},
        replays::{self, Again, Ended},
    },
};

/// Judges events of replays once more, and ends them. Returns what it came to, and the events in the same order.
///
/// # Errors
/// When the database does not answer, or one of the events cannot be judged.
pub(in crate::workers) async fn judge_again(
    app: &App,
    rules: &Rules,
    tx: &mut PgTransaction<'_>,
    taken: Vec<Again>,
) -> Result<Judgement> {
    let (there, gone): (Vec<Again>, Vec<Again>) = taken.into_iter().partition(|again| again.event.is_some());
    let mut events: Vec<Waiting> = there.iter().filter_map(|again| again.event.clone()).collect();
    let court = Court::open(tx, &mut events).await?;
    let mut sitting = Sitting {
        app,
        rules,
        now: store::now(&mut **tx).await?,
        installations: HashMap::new(),
        locations: HashMap::new(),
        tags: HashMap::new(),
        looked_at: HashSet::new(),
        wanted: Vec::new(),
        counts: false,
        came_to: Judgement::default(),
        bulks: None,
    };
    for (again, event) in there.iter().zip(&events) {
        let verdict = sitting.verdict_again(&court, again, event);
        sitting.came_to.add(event, verdict);
    }
    sitting.fire(tx, &events).await?;
    let judged = there.iter().zip(&events).zip(&sitting.came_to.verdicts);
    let mut ended: Vec<Ended> = judged
        .map(|((again, event), verdict)| Ended {
            replay: again.replay,
            event_id: event.id,
            received_at: Some(event.received_at),
            note: verdict.note.clone(),
            decisions: verdict.decisions.clone(),
        })
        .collect();
    ended.extend(gone.iter().map(|again| Ended {
        replay: again.replay,
        event_id: again.event_id,
        received_at: None,
        note: Some("its day was dropped".to_owned()),
        decisions: Vec::new(),
    }));
    replays::settle(tx, &ended).await?;
    Ok(sitting.came_to)
}

impl Sitting<'_> {
    fn verdict_again(&mut self, court: &Court, again: &Again, event: &Waiting) -> Verdict {
        let mut verdict = Verdict {
            state: State::Processed,
            note: None,
            decisions: Vec::new(),
        };
        let Some(served) = self.app.served(event.place.application_id) else {
            verdict.note = Some("no application of this number is configured here any more".to_owned());
            return verdict;
        };
        let terms = Terms {
            rule: again.rule.as_deref(),
            forced_by: again.force.then_some(again.replay),
        };
        let rules = self.rules.of(served.id);
        for ruling in court.rulings((served, rules), event, terms) {
            let mut decision = Decision {
                rule: ruling.rule.name.clone(),
                ruling: Ruling::Skipped,
                firing: None,
                cause: None,
                reason: None,
            };
            match ruling.decision {
                rules::Decision::Skip { cause, reason } => {
                    (decision.cause, decision.reason) = (Some(cause), Some(reason));
                }
                rules::Decision::Fire { key, once } => self.wanted.push(Wanted {
                    at: (self.came_to.verdicts.len(), verdict.decisions.len()),
                    rule: ruling.rule,
                    key,
                    once,
                    generation: ruling.generation,
                    shadow: ruling.shadow,
                }),
            }
            verdict.decisions.push(decision);
        }
        if verdict.decisions.is_empty() {
            verdict.note = Some("no rule waits for such an event any more".to_owned());
        }
        verdict
    }
}

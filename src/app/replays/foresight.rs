//! What a replay would come to, rule by rule.

use super::{Court, Route, Ruling, Run, Terms, WouldRule, item};
use crate::{
    app::served::Served,
    domain::ids::{EventId, LocationId, Place},
    rules::{Decision, RuleSet},
    store::{self, PgTransaction, events::Delivery, firings, inbox::Waiting, replays::Stored},
};

/// The number of a replay that is not there yet.
const TO_COME: i64 = 0;

impl Run<'_> {
    pub(super) async fn foresee(
        &mut self,
        tx: &mut PgTransaction<'_>,
        routed: Vec<(Stored, Result<Route, String>)>,
    ) -> store::Result<()> {
        let mut events: Vec<Waiting> = routed
            .iter()
            .map(|(stored, route)| as_it_would_be(stored, route))
            .collect();
        let court = Court::open(tx, &mut events).await?;
        for ((stored, route), event) in routed.iter().zip(&mut events) {
            if let Ok(Route::AsNew(delivery)) = route {
                event.body = Some(delivery.body.clone());
            }
            let mut item = item(stored, route);
            if let (Ok(route), Some(served)) = (route, self.app.served(event.place.application_id)) {
                let rules = std::sync::Arc::clone(&self.rules);
                match self.rulings(&court, (served, rules.of(served.id)), (event, route)) {
                    Ok(rulings) => item.rules = self.words(tx, rulings).await?,
                    Err(why) => item.reason = Some(why),
                }
            }
            let fires = item.rules.iter().filter(|rule| rule.result == "would_fire");
            self.report.would_fire += i64::try_from(fires.count()).unwrap_or(0);
            self.tell(item);
        }
        Ok(())
    }

    fn rulings<'r>(
        &self,
        court: &Court,
        rules: (&Served, &'r RuleSet),
        (event, route): (&Waiting, &Route),
    ) -> Result<Vec<Ruling<'r>>, String> {
        let terms = Terms {
            rule: self.ask.rule.as_deref(),
            forced_by: self.ask.force.then_some(TO_COME),
        };
        match route {
            Route::Again => Ok(court.rulings(rules, event, terms)),
            Route::PutBack | Route::AsNew(_) => court.first_rulings(rules, event),
        }
    }

    /// A key fires once, also within the replay.
    async fn words(&mut self, tx: &mut PgTransaction<'_>, rulings: Vec<Ruling<'_>>) -> store::Result<Vec<WouldRule>> {
        let wanted: Vec<String> = rulings
            .iter()
            .filter_map(|ruling| match &ruling.decision {
                Decision::Fire { key, .. } => Some(key.clone()),
                Decision::Skip { .. } => None,
            })
            .collect();
        let taken = match wanted.is_empty() {
            true => Vec::new(),
            false => firings::taken(tx, &wanted).await?,
        };
        let words = rulings.into_iter().map(|ruling| {
            let reason = match ruling.decision {
                Decision::Skip { reason, .. } => Some(reason),
                Decision::Fire { key, once } => {
                    let is_taken = taken.contains(&key) || !self.keys.insert(key);
                    is_taken.then(|| format!("fired before (once per {once})"))
                }
            };
            WouldRule {
                rule: ruling.rule.name.clone(),
                result: if reason.is_some() { "skipped" } else { "would_fire" },
                reason,
            }
        });
        Ok(words.collect())
    }
}

/// The event that the rules would see.
fn as_it_would_be(stored: &Stored, route: &Result<Route, String>) -> Waiting {
    match route {
        Ok(Route::AsNew(delivery)) => made_of(&stored.event, delivery),
        Ok(Route::Again | Route::PutBack) | Err(_) => stored.event.clone(),
    }
}

fn made_of(event: &Waiting, delivery: &Delivery) -> Waiting {
    Waiting {
        id: EventId(0),
        place: Place {
            application_id: delivery.application_id,
            location_id: delivery.location_id.unwrap_or(LocationId(0)),
        },
        kind: delivery.kind.clone(),
        source: delivery.source,
        resource_id: delivery.resource_id,
        digest: Some(delivery.digest.to_vec()),
        fact: delivery.fact.clone(),
        unreadable: None,
        ..event.clone()
    }
}

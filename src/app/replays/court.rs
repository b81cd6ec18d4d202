//! What the rules say to events that were judged before, with everything as it is now. Both who only asks and who judges
//! decide by this, so that they cannot say different things.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::{
    app::{served::Served, view::view},
    domain::{
        event::{Cause, Fact},
        ids::{EventId, Place},
        installation::{Change, Installation},
        location::Location,
    },
    rules::{self, Facts, Mode, Rule, RuleSet},
    store::{
        self, PgTransaction,
        inbox::{self, Waiting},
        installations, replays, tags,
    },
};

/// What some events need to be judged once more.
pub struct Court {
    now: DateTime<Utc>,
    installations: HashMap<Place, Installation>,
    locations: HashMap<Place, Location>,
    /// The marks of the places.
    tags: HashMap<Place, Vec<String>>,
    /// The connection that each event belongs to.
    generations: HashMap<EventId, i32>,
    /// Rules that have fired for them.
    fired: HashSet<(EventId, String)>,
}

/// On what terms events are judged once more.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'t> {
    /// Only by this rule.
    pub rule: Option<&'t str>,
    /// Also where it has fired before, however late, and for a connection that is over: under keys of this replay.
    pub forced_by: Option<i64>,
}

/// What a rule says.
pub struct Ruling<'r> {
    /// The rule.
    pub rule: &'r Rule,
    /// What it says; the firing key may turn out to be taken.
    pub decision: rules::Decision,
    /// The connection it is meant for.
    pub generation: i32,
    /// What it would do, when it is only watched.
    pub shadow: Option<Value>,
}

impl Court {
    /// Reads everything, and the bodies into the events.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(tx: &mut PgTransaction<'_>, events: &mut [Waiting]) -> store::Result<Self> {
        let mut places: Vec<Place> = events.iter().map(|event| event.place).collect();
        places.sort_unstable();
        places.dedup();
        let past = replays::past(tx, &events.iter().collect::<Vec<_>>()).await?;
        let mut plain: Vec<&mut Waiting> = events.iter_mut().filter(|event| event.fact.is_none()).collect();
        inbox::read_bodies(tx, &mut plain).await?;
        let known = installations::read(tx, &places).await?;
        Ok(Self {
            now: store::now(&mut **tx).await?,
            installations: known.into_iter().map(|known| (known.place, known)).collect(),
            locations: installations::locations(tx, &places).await?.into_iter().collect(),
            tags: tags::read(tx, &places).await?,
            generations: past.generations.into_iter().collect(),
            fired: past.fired.into_iter().collect(),
        })
    }

    /// The installation as it is.
    pub fn installation(&self, place: Place) -> Installation {
        let known = self.installations.get(&place).cloned();
        known.unwrap_or_else(|| Installation::unknown(place, self.now))
    }

    /// What each rule that waits for such an event says to it now. The event moves nothing: a stored fact is history.
    pub fn rulings<'r>(
        &self,
        (served, rules): (&Served, &'r RuleSet),
        event: &Waiting,
        terms: Terms<'_>,
    ) -> Vec<Ruling<'r>> {
        let installation = self.installation(event.place);
        let stale = match terms.forced_by {
            Some(_) => None,
            None => self.stale(event, &installation),
        };
        let each = |rule: &Rule, facts: &Facts<'_>| {
            let skip = |cause: Cause, reason: String| rules::Decision::Skip { cause, reason };
            if let Some(why) = &stale {
                return skip(Cause::Over, why.clone());
            }
            if terms.forced_by.is_none() && self.fired.contains(&(event.id, rule.name.clone())) {
                return skip(Cause::Before, "it has fired for this event before".to_owned());
            }
            match terms.forced_by {
                None => rules::judge(rule, facts),
                Some(replay) => match rules::judge_again(rule, facts) {
                    rules::Decision::Fire { key, once } => rules::Decision::Fire {
                        key: format!("{key}|replay {replay}"),
                        once,
                    },
                    skipped @ rules::Decision::Skip { .. } => skipped,
                },
            }
        };
        self.ask((served, rules), event, (&installation, terms.rule), each)
    }

    /// What each rule would say to an event that is judged as if it waited: what it says moves the installation first.
    /// When that is nothing new, the reason.
    ///
    /// # Errors
    /// With the reason why the rules are not asked.
    pub fn first_rulings<'r>(
        &self,
        (served, rules): (&Served, &'r RuleSet),
        event: &Waiting,
    ) -> Result<Vec<Ruling<'r>>, String> {
        if let Some(why) = &event.unreadable {
            return Err(format!("what it says cannot be read by this version: {why}"));
        }
        let before = self.installation(event.place);
        let (after, change) = match &event.fact {
            Some(fact) => before.apply(fact, event.occurred_at),
            None => (before, Change::Happened),
        };
        if let Change::Nothing(why) = change {
            return Err(why.to_owned());
        }
        let after = after.expecting_trial(served.config.trial_days);
        Ok(self.ask((served, rules), event, (&after, None), rules::judge))
    }

    fn ask<'r>(
        &self,
        (served, rules): (&Served, &'r RuleSet),
        event: &Waiting,
        (installation, only): (&Installation, Option<&str>),
        each: impl Fn(&Rule, &Facts<'_>) -> rules::Decision,
    ) -> Vec<Ruling<'r>> {
        let came = event.fact.as_ref().and_then(Fact::moment);
        let matching = rules.matching(&event.kind, came);
        let mut matching = matching
            .filter(|rule| only.is_none_or(|only| rule.name == only))
            .peekable();
        if matching.peek().is_none() {
            return Vec::new();
        }
        let view = view(event);
        let unknown = Location::unknown(event.place.location_id);
        let location = self.locations.get(&event.place).unwrap_or(&unknown);
        let tags = self.tags.get(&event.place).map_or(&[][..], Vec::as_slice);
        let facts = Facts::new(&view, installation, location, &served.view, self.now).with_tags(tags);
        matching
            .map(|rule| Ruling {
                rule,
                decision: each(rule, &facts),
                generation: installation.generation,
                shadow: (rule.mode == Mode::Shadow).then(|| json!({"would": rules::preview(rule, &facts)})),
            })
            .collect()
    }

    /// Why an event has nothing to say any more.
    fn stale(&self, event: &Waiting, installation: &Installation) -> Option<String> {
        let then = self.generations.get(&event.id).copied().unwrap_or(0);
        if then != installation.generation {
            return Some(format!(
                "it belongs to an earlier connection ({then}, and now it is {})",
                installation.generation
            ));
        }
        match &event.fact {
            Some(fact) if fact.moment().is_some() => match installation.apply(fact, event.occurred_at).1 {
                Change::Nothing(why) => Some(why.to_owned()),
                Change::Moved | Change::Happened => None,
            },
            _ => None,
        }
    }
}

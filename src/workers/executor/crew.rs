//! Who does which jobs, and how many at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use tokio::{
    sync::Notify,
    task::{self, JoinSet},
};
use tracing::warn;

use super::{settling::Settler, work};
use crate::{
    app::{App, endpoints::origin},
    domain::action::Priority,
    store::jobs::{self, Claimed},
};

/// Hands that do one sort of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::workers) enum Crew {
    /// Everything but forwarding. Some hands are for activations alone: jobs of rules may wait long for their turn in
    /// the request budget, and a connection has a deadline.
    Executor,
    /// Forwarding events. A receiver may be slow or gone for days, and nobody else may wait for that; nor may a
    /// forwarded event wait for the budget of others.
    Forwarder,
}

/// What may be begun now.
pub(super) struct Room {
    /// The most urgent lanes and the least.
    pub(super) among: (Priority, Priority),
    /// Lanes that are left alone, as `application/name`.
    pub(super) except: Vec<String>,
    /// So many lanes.
    pub(super) lanes: usize,
}

impl Crew {
    /// Its name as a worker.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Forwarder => "forwarder",
        }
    }

    /// Who wakes it.
    pub(super) fn woken(self, app: &App) -> Arc<Notify> {
        match self {
            Self::Executor => Arc::clone(&app.wake.executor),
            Self::Forwarder => Arc::clone(&app.wake.forwarder),
        }
    }

    /// What it has hands for.
    pub(super) fn room(self, app: &App, under_way: &UnderWay) -> Option<Room> {
        let busy = under_way.tasks.len();
        match self {
            Self::Executor => {
                let limit = app.config.jobs.concurrency;
                let reserved = (limit / 4).max(1).min(limit - 1);
                let free = limit.checked_sub(busy).filter(|free| *free > 0)?;
                let (lowest, lanes) = match free.saturating_sub(reserved) {
                    0 => (Priority::Activation, free),
                    others => (Priority::Unproven, others),
                };
                Some(Room {
                    among: (Priority::Activation, lowest),
                    except: Vec::new(),
                    lanes,
                })
            }
            Self::Forwarder => {
                let limit = app.config.jobs.forwarding;
                let free = limit.checked_sub(busy).filter(|free| *free > 0)?;
                room_to_forward(app, under_way, (limit, free))
            }
        }
    }
}

/// Lanes of a receiver that does not answer are left alone until it is time for a probe: leasing them all, each to
/// find that out, would cost more than the events. And where there are several receivers, none takes every hand.
fn room_to_forward(app: &App, under_way: &UnderWay, (limit, free): (usize, usize)) -> Option<Room> {
    let now = Instant::now();
    let rules = app.rulebook.now();
    let mut lanes_of: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut shut = Vec::new();
    for (application, set) in rules.sets() {
        for (rule, url) in set.forwarding() {
            let origin = origin(url);
            if app.endpoints.of(url).shut_for(now).is_some() && !shut.contains(&origin) {
                shut.push(origin.clone());
            }
            let lanes = lanes_of.entry(origin).or_default();
            lanes.push(format!("{application}/{}", rule.name));
        }
    }
    let most = match lanes_of.len() {
        0 | 1 => limit,
        _ => limit - (limit / 4).max(1).min(limit - 1),
    };
    let (mut except, mut lanes) = (Vec::new(), free);
    for (origin, of_rules) in lanes_of {
        let held = under_way.count(&of_rules);
        if shut.contains(&origin) || held >= most {
            except.extend(of_rules);
        } else {
            lanes = lanes.min(most - held);
        }
    }
    Some(Room {
        among: (Priority::Forwarding, Priority::Forwarding),
        except,
        lanes,
    })
}

/// A lane whose jobs are being done.
struct Held {
    lane: i64,
    /// The name of the claim on it.
    lease: Arc<str>,
    /// As `application/rule`.
    rule: String,
}

/// The lanes of a crew.
pub(super) struct UnderWay {
    tasks: JoinSet<()>,
    lanes: HashMap<task::Id, Held>,
    settler: Settler,
    lease: std::time::Duration,
}

impl UnderWay {
    pub(super) fn new(app: &App, settler: Settler) -> Self {
        Self {
            tasks: JoinSet::new(),
            lanes: HashMap::new(),
            settler,
            lease: app.config.jobs.lease,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many of the lanes are of these rules.
    fn count(&self, rules: &[String]) -> usize {
        self.lanes.values().filter(|held| rules.contains(&held.rule)).count()
    }

    /// One task for each lane. Returns how many.
    pub(super) fn begin(&mut self, app: &Arc<App>, claimed: Vec<Claimed>) -> usize {
        let mut lanes: HashMap<i64, Vec<Claimed>> = HashMap::new();
        for job in claimed {
            lanes.entry(job.lane_id).or_default().push(job);
        }
        let count = lanes.len();
        for (lane, jobs) in lanes {
            let Some(first) = jobs.first() else { continue };
            let held = Held {
                lane,
                lease: Arc::clone(&first.lease),
                rule: format!(
                    "{}/{}",
                    first.place.application_id,
                    first.rule.as_deref().unwrap_or_default()
                ),
            };
            let work = work(Arc::clone(app), self.settler.clone(), jobs);
            let id = self.tasks.spawn(work).id();
            self.lanes.insert(id, held);
        }
        count
    }

    pub(super) async fn one_ends(&mut self) {
        let id = match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => return,
        };
        self.lanes.remove(&id);
    }

    /// Only of these: a lane whose job ended without a word has to run out.
    pub(super) async fn keep_leases(&self, app: &App) {
        let lanes: Vec<(i64, Arc<str>)> = self
            .lanes
            .values()
            .map(|held| (held.lane, Arc::clone(&held.lease)))
            .collect();
        if let Err(error) = jobs::renew(&app.pool, self.lease, &lanes).await {
            warn!(%error, "The leases of running jobs could not be renewed; somebody else may start them again");
        }
    }
}

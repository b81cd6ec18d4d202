//! The rules in use, and how others take their place while everything goes on.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use chrono::{DateTime, Utc};
use tokio::sync::{Mutex, RwLock as Gate, RwLockReadGuard};

use super::{App, moments, served::rule_sets};
use crate::{
    config::{Config, Problems},
    domain::ids::ApplicationId,
    rules::RuleSet,
    store::{self, PgTransaction},
};

/// The rules of all applications, as they were loaded together.
#[derive(Debug)]
pub struct Rules {
    sets: BTreeMap<ApplicationId, RuleSet>,
    none: RuleSet,
    /// When they were loaded.
    pub loaded_at: DateTime<Utc>,
}

impl Rules {
    fn load(config: &Config) -> Result<Self, Problems> {
        Ok(Self {
            sets: rule_sets(config)?.into_iter().collect(),
            none: RuleSet::default(),
            loaded_at: Utc::now(),
        })
    }

    /// The rules of an application.
    pub fn of(&self, id: ApplicationId) -> &RuleSet {
        self.sets.get(&id).unwrap_or(&self.none)
    }

    /// The rules of each application.
    pub fn sets(&self) -> impl Iterator<Item = (ApplicationId, &RuleSet)> {
        self.sets.iter().map(|(id, set)| (*id, set))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.sets.values().map(|set| set.rules().len()).sum()
    }
}

/// What a process judges by. All applications change together.
#[derive(Debug)]
pub struct Rulebook {
    current: RwLock<Arc<Rules>>,
    /// Held by whoever judges, so that a batch and the moments it plans follow one set of rules, and that nobody plans
    /// by the old ones behind the back of who has just planned by the new ones.
    judging: Gate<()>,
    /// One at a time, so that what was read last stays.
    reloading: Mutex<()>,
    last: RwLock<Option<Reloading>>,
}

/// How the files were read again.
#[derive(Debug, Clone)]
pub struct Reloading {
    /// When.
    pub at: DateTime<Utc>,
    /// What became of it: `loaded`, `refused` for a mistake in the files, or `failed`.
    pub result: &'static str,
    /// Why the rules were not replaced.
    pub problem: Option<String>,
}

/// Why the rules were not replaced. Those before are still in use.
#[derive(Debug, thiserror::Error)]
pub enum NotReloaded {
    /// The files have mistakes.
    #[error("{0}")]
    Refused(#[from] Problems),
    /// The moments they wait for could not be planned.
    #[error("the database does not answer: {0}")]
    Unplanned(#[from] store::Error),
    /// The files could not be read to the end.
    #[error("reading the rules broke off")]
    Broken,
}

impl NotReloaded {
    /// `refused` for a mistake in the files, else `failed`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unplanned(_) | Self::Broken => "failed",
        }
    }
}

impl Rulebook {
    pub(super) fn open(config: &Config) -> Result<Self, Problems> {
        Ok(Self {
            current: RwLock::new(Arc::new(Rules::load(config)?)),
            judging: Gate::new(()),
            reloading: Mutex::new(()),
            last: RwLock::new(None),
        })
    }

    /// The rules as they are now.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How this process read the files again last; `None` when it has only read them at its start.
    pub fn last_reloading(&self) -> Option<Reloading> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules as they are now, for who judges: until the guard is dropped, no others take their place.
    pub async fn held(&self) -> (RwLockReadGuard<'_, ()>, Arc<Rules>) {
        let guard = self.judging.read().await;
        (guard, self.now())
    }
}

/// Reads the rule files of all applications again. When they have no mistakes, they take the place of the rules in use,
/// and the moments they wait for are planned; else nothing changes. What rules before have begun goes on.
///
/// # Errors
/// With every mistake of the files, or because the database is away.
pub async fn reload(app: &App) -> Result<Arc<Rules>, NotReloaded> {
    let reloaded = replace(app).await;
    let result = reloaded.as_ref().map_or_else(NotReloaded::as_str, |_| "loaded");
    if let Ok(rules) = &reloaded {
        show(app, rules);
    }
    app.metrics.rules_reloads_total.with_label_values(&[result]).inc();
    app.metrics.rules_refused.set(i64::from(reloaded.is_err()));
    let last = Reloading {
        at: Utc::now(),
        result,
        problem: reloaded.as_ref().err().map(NotReloaded::to_string),
    };
    *app.rulebook.last.write().unwrap_or_else(PoisonError::into_inner) = Some(last);
    reloaded
}

async fn replace(app: &App) -> Result<Arc<Rules>, NotReloaded> {
    let book = &app.rulebook;
    let _alone = book.reloading.lock().await;
    let config = app.config.clone();
    let read = tokio::task::spawn_blocking(move || Rules::load(&config)).await;
    let mut new = read.map_err(|_| NotReloaded::Broken)??;
    let _nobody_judges = book.judging.write().await;
    let before = book.now();
    for (id, set) in &mut new.sets {
        set.remember(before.of(*id));
    }
    let mut tx = app.pool.begin().await?;
    plan(&mut tx, &new).await?;
    tx.commit().await?;
    let new = Arc::new(new);
    *book.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
    Ok(new)
}

/// Plans the moments that the rules in use wait for: they may be others than those of the last start.
///
/// # Errors
/// When the database does not answer.
pub async fn plan_moments(app: &App) -> store::Result<()> {
    let (_guard, rules) = app.rulebook.held().await;
    let mut tx = app.pool.begin().await?;
    plan(&mut tx, &rules).await?;
    tx.commit().await
}

async fn plan(tx: &mut PgTransaction<'_>, rules: &Rules) -> store::Result<()> {
    for (id, set) in rules.sets() {
        moments::plan(tx, (id, None), set).await?;
    }
    Ok(())
}

pub(super) fn show(app: &App, rules: &Rules) {
    let at = rules.loaded_at.timestamp_millis() as f64 / 1000.0;
    app.metrics.rules_loaded_timestamp_seconds.set(at);
}

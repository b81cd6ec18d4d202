//! Events by which a bulk action was asked for. Its rule stands in the plan and in no file.

use std::collections::HashMap;

use anyhow::Result;

use crate::{
    app::plans,
    domain::event::Fact,
    rules::Rule,
    store::{self, PgTransaction, inbox::Waiting},
};

/// The bulk actions that some events ask for, by the number of their plan.
pub(super) struct Bulks(HashMap<i64, Result<Rule, String>>);

impl Bulks {
    /// Reads those that the events need; mostly none.
    pub(super) async fn read(tx: &mut PgTransaction<'_>, events: &[Waiting]) -> Result<Self> {
        let mut ids: Vec<i64> = events.iter().filter_map(plan_of).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let sources = store::plans::sources(tx, &ids).await?;
        let rules = sources.into_iter().map(|(id, source)| (id, plans::rule(id, &source)));
        Ok(Self(rules.collect()))
    }

    /// The rule of the bulk action that an event asks for.
    pub(super) fn rule(&self, event: &Waiting) -> Option<&Rule> {
        self.0.get(&plan_of(event)?)?.as_ref().ok()
    }

    /// Why what an event asks for cannot be done.
    pub(super) fn trouble(&self, event: &Waiting) -> Option<String> {
        let id = plan_of(event)?;
        match self.0.get(&id) {
            Some(Ok(_)) => None,
            Some(Err(why)) => Some(format!("plan {id} cannot be read by this version: {why}")),
            None => Some(format!("there is no plan {id}")),
        }
    }
}

fn plan_of(event: &Waiting) -> Option<i64> {
    match event.fact {
        Some(Fact::BulkRequested { plan }) => Some(plan),
        _ => None,
    }
}

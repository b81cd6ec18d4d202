//! From a firing to jobs: the steps of a rule, in the order in which they are done.

use std::borrow::Cow;

use crate::{
    domain::ids::{ApplicationId, FiringId, LocationId, Place},
    rules::Rule,
    store::{
        self, PgPool, holds,
        jobs::{self, NewJob, Step},
    },
};

/// The jobs of a firing. Its lane is that of the rule at the location, so that one firing follows the other; a rule
/// with steps that wait has a lane for each firing, because others must not wait with it.
pub fn of(rule: &Rule, place: Place, firing: FiringId, max_attempts: i32) -> impl Iterator<Item = NewJob<'_>> {
    let lane: Cow<'_, str> = match rule.waits() {
        true => format!("{}/{firing}", rule.name).into(),
        false => (&rule.name).into(),
    };
    (0..).zip(&rule.steps).map(move |(number, step)| NewJob {
        place,
        lane: lane.clone(),
        priority: step.action.priority_for(&rule.name),
        action: &step.action,
        step: Some(Step {
            firing,
            rule: &rule.name,
            number,
            id: step.id.as_deref(),
            after: step.after,
            conditional: step.when.is_some(),
        }),
        max_attempts: step.action.max_attempts(max_attempts),
    })
}

/// Does what a rule wanted beyond its cap: queues the steps of its held firings, the oldest first, at most so many.
/// Returns how many.
///
/// # Errors
/// When the database does not answer; what was released before stays released.
pub async fn release(
    pool: &PgPool,
    (application, rule): (ApplicationId, &Rule),
    limit: i64,
    max_attempts: i32,
) -> store::Result<u64> {
    let mut released = 0;
    for held in holds::list(pool, Some((application, &rule.name)), (limit, None))
        .await?
        .items
    {
        let mut tx = pool.begin().await?;
        let place = Place {
            application_id: application,
            location_id: LocationId(held.location_id),
        };
        let firing = FiringId(held.firing_id);
        let queue: Vec<NewJob<'_>> = of(rule, place, firing, max_attempts).collect();
        // The lanes first, as where an uninstall cancels both; somebody else may have ended the hold meanwhile.
        jobs::enqueue(&mut tx, &queue).await?;
        if holds::release(&mut tx, firing).await? {
            tx.commit().await?;
            released += 1;
        }
    }
    Ok(released)
}

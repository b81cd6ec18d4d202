//! Putting our address back into the webhook settings of a location (contract W2): read, merge, write, read again. The
//! call replaces the settings of all applications and has no condition, so what somebody else writes between the
//! reading and the writing is lost; the two follow each other at once.

use serde_json::json;

use super::{Done, outcome};
use crate::{
    app::{
        App,
        hooks::Addresses,
        line::{Failure, Line},
        served::Served,
    },
    domain::installation::Status,
    marketplace::{
        calls::hooks::{self, merge::Disturbance},
        error::Error,
    },
    store::{
        installations,
        jobs::{Claimed, Outcome},
        looks::{self, Hooks},
    },
};

/// Repairs the webhook settings of a job's location.
pub(super) async fn run(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    force: bool,
) -> Result<Done, Failure> {
    let place = job.place;
    let give_up = |why: String| Ok(Done::of(Outcome::Discard(why)));
    if served.config.user_token.is_none() {
        return give_up("webhook settings are read with the token of the system user: set user_token_file".to_owned());
    }
    let status = installations::get(&app.pool, place).await?.status;
    if status != Status::Active {
        return give_up(format!(
            "the application is {status} here; it has webhooks only while it is active"
        ));
    }
    let addresses = Addresses::of(app, place);
    let settings = line.send(&hooks::settings(place.location_id)).await?;
    let before = addresses.stand(&settings);
    let merge = match addresses.repair(&settings) {
        Ok(Some(merge)) => merge,
        Ok(None) => {
            looks::note_hooks(&app.pool, place, Hooks::Registered).await?;
            return Ok(Done::of(Outcome::Done(json!({"repaired": false, "before": before}))));
        }
        Err(full) => return give_up(full.to_string()),
    };
    if !merge.disturbed.is_empty() && !force {
        return give_up(disturbing(&merge.disturbed));
    }
    // When nobody knows whether it was written, the settings tell.
    let lost = match line.send(&hooks::replace(place.location_id, &merge)).await {
        Ok(()) => None,
        Err(Failure::Call(error @ Error::Unknown { .. })) => Some(error.to_string()),
        Err(failure) => return Err(failure),
    };
    let after = line.send(&hooks::settings(place.location_id)).await?;
    let stand = addresses.stand(&after);
    looks::note_hooks(&app.pool, place, stand).await?;
    let outcome = match (merge.verify(&after), lost) {
        (Ok(()), _) => Outcome::Done(json!({
            "repaired": true, "before": before, "addresses": merge.urls.len(),
            "changed_for_others": merge.disturbed.len(),
        })),
        (Err(_), Some(error)) if stand == before => outcome::retry(&app.config.jobs, job, None, &error),
        (Err(wrong), _) => Outcome::Discard(format!("the marketplace has something else than was written: {wrong}")),
    };
    Ok(Done::of(outcome))
}

fn disturbing(disturbed: &[Disturbance]) -> String {
    let each: Vec<String> = disturbed.iter().map(ToString::to_string).collect();
    format!(
        "addresses of other applications would get something else than now ({}); nothing was written. \
         When that may be, repair with force",
        each.join("; ")
    )
}

//! Telling the marketplace of telephone calls (contract V1). The numbers stay in the event; a job knows only which.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretString;
use serde_json::json;

use super::Done;
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{
        action::EventAt,
        installation::Status,
        phone_call::{PhoneCall, Stage},
    },
    marketplace::calls::telephony::{self, EndedCall, Parties},
    store::{
        self, calls, installations,
        jobs::{Claimed, Outcome},
    },
};

/// Nobody looks at a phone that rang longer ago.
const WORTHLESS: TimeDelta = TimeDelta::minutes(1);

/// A call to tell of.
struct Told {
    call: PhoneCall,
    crm_token: SecretString,
    occurred_at: DateTime<Utc>,
}

/// Tells that a phone rings. Too late is too late.
pub(super) async fn announce(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    call: EventAt,
) -> Result<Done, Failure> {
    let told = match told(app, served, job, call).await? {
        Ok(told) => told,
        Err(outcome) => return Ok(Done::of(outcome)),
    };
    let late = age(app, &told).await?;
    if late > WORTHLESS {
        return Ok(Done::of(Outcome::Discard(format!(
            "too late: the phone rang {} s ago, and nobody looks any more",
            late.num_seconds()
        ))));
    }
    let call = telephony::ringing(&told.crm_token, told.call.direction, &parties(&told.call));
    // It may have waited for its turn.
    let begin = async || Ok(age(app, &told).await? <= WORTHLESS);
    line.send_once(&call, begin).await?;
    Ok(sent())
}

/// Tells of a call that is over. After a lost answer it is told again: that it stands there twice is the lesser evil.
pub(super) async fn log(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    call: EventAt,
) -> Result<Done, Failure> {
    let told = match told(app, served, job, call).await? {
        Ok(told) => told,
        Err(outcome) => return Ok(Done::of(outcome)),
    };
    let Stage::Ended(ended) = &told.call.stage else {
        return Ok(Done::of(Outcome::Discard("the call is not over".to_owned())));
    };
    let ended = EndedCall {
        call_id: Some(told.call.call_id.clone()),
        direction: told.call.direction,
        parties: parties(&told.call),
        started_at: ended.started_at,
        duration_seconds: ended.duration_seconds,
        answered: ended.answered,
        recording: ended.recording_url.clone(),
    };
    line.send(&telephony::ended(&told.crm_token, &ended)).await?;
    Ok(sent())
}

fn sent() -> Done {
    Done::of(Outcome::Done(json!({"sent": true})))
}

fn parties(call: &PhoneCall) -> Parties {
    Parties {
        phone: call.from.clone(),
        diversion: call.to.clone(),
        user: call.user.clone(),
    }
}

async fn age(app: &App, told: &Told) -> Result<TimeDelta, Failure> {
    Ok(store::now(&app.pool).await? - told.occurred_at)
}

/// Reads the call, or says why the marketplace is not told of it. The token of the call is the chain's, and the
/// marketplace would take it from anybody; but what happens at a place that disconnected us is none of our business.
async fn told(app: &App, served: &Served, job: &Claimed, call: EventAt) -> Result<Result<Told, Outcome>, Failure> {
    let status = installations::get(&app.pool, job.place).await?.status;
    if status != Status::Active {
        let why = format!("the application is {status} at this location");
        return Ok(Err(Outcome::Done(json!({"sent": false, "because": why}))));
    }
    let give_up = |why: &str| Ok(Err(Outcome::Discard(why.to_owned())));
    let Some(found) = calls::told(&app.pool, call).await? else {
        return give_up("its event was dropped, because it is too old");
    };
    let Some(body) = found.body else {
        return give_up("the data of its event was erased");
    };
    let mut systems = served.config.telephony.iter();
    let system = systems.find(|system| Some(&system.name) == found.telephony.as_ref());
    let Some(token) = system.and_then(|system| system.crm_token.as_ref()) else {
        return give_up("the telephony system that told of it is not configured any more");
    };
    match PhoneCall::from_bytes(&body) {
        Ok(call) => Ok(Ok(Told {
            call,
            crm_token: SecretString::from(token.expose()),
            occurred_at: found.occurred_at,
        })),
        Err(why) => give_up(why),
    }
}

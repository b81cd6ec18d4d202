//! Bodies of requests, bounded in time. The server under us waits for one for ever, and there are few places here.

use std::{io, time::Duration};

use actix_web::{
    HttpMessage as _,
    dev::{Payload, ServiceRequest},
    error::PayloadError,
};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, timeout_at};

/// A body that has not arrived by then will not.
const WITHIN: Duration = Duration::from_secs(10);

/// So large the body of a form may be, in bytes. The one of the API has the bound of its reader.
pub(crate) const FORM: usize = 64 * 1024;

/// Makes the body of a request end with an error when it takes too long, whoever reads it.
pub(crate) fn in_time(request: &mut ServiceRequest) {
    let until = Instant::now() + WITHIN;
    let bounded = stream::unfold(
        Some(request.take_payload()),
        move |payload: Option<Payload>| async move {
            let mut payload = payload?;
            match timeout_at(until, payload.next()).await {
                Ok(chunk) => chunk.map(|chunk| (chunk, Some(payload))),
                Err(_) => Some((Err(late()), None)),
            }
        },
    );
    request.set_payload(Payload::from(bounded.boxed_local()));
}

fn late() -> PayloadError {
    let why = format!("the body did not arrive within {WITHIN:?}");
    PayloadError::Io(io::Error::new(io::ErrorKind::TimedOut, why))
}

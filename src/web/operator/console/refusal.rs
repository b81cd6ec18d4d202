use std::fmt;

use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError, body::BoxBody, http::StatusCode};
use minijinja::context;
use tracing::error;

use super::{
    super::{
        problem::{self, Problem},
        wishes::NotQueued,
    },
    frame,
};
use crate::{
    domain::ids::Place,
    store::looking::{NotSeen, took_too_long},
};

/// Why there is no page, as a page.
#[derive(Debug)]
pub(in crate::web::operator) struct Refusal {
    status: StatusCode,
    headline: &'static str,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, headline: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { status, headline, text }
    }

    /// There is no such thing.
    pub(super) fn not_found(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not found", text)
    }

    /// Nobody knows the application or the location.
    pub(super) fn unknown_location(place: Place) -> Self {
        let (application, location) = (place.application_id, place.location_id);
        Self::not_found(format!(
            "Nothing is known of application {application} at location {location}."
        ))
    }

    /// There is no such address.
    pub(super) fn nothing_here() -> Self {
        Self::not_found("There is nothing at this address.")
    }

    /// The address makes no sense.
    pub(super) fn invalid(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That does not work", text)
    }

    /// The cursor of the address is none of ours.
    pub(super) fn no_page() -> Self {
        Self::invalid("This way to the next page is not whole. Go back to the first.")
    }

    /// It is not for who asks.
    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Refused", text)
    }

    /// Things are not so that it could be done.
    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Nothing was done", text)
    }

    /// Who may only look wants to change something.
    pub(super) fn reader() -> Self {
        Self::forbidden("You are logged in with operator.read_token, which allows to look and not to change.")
    }

    /// The form is none of ours, or of a session that has ended.
    pub(super) fn form() -> Self {
        Self::forbidden(
            "This form is not complete, or you have logged in anew since it was opened. Nothing was done. \
             Go back, reload the page, and try once more.",
        )
    }

    /// The database gave the question up.
    fn too_much() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too much to look through",
            problem::TOO_MUCH,
        )
    }

    /// Something broke on our side.
    pub(super) fn broken() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "It broke",
            "This page could not be made; the log says why.",
        )
    }
}

impl From<Problem> for Refusal {
    /// A field that the API would not take either.
    fn from(problem: Problem) -> Self {
        Self::invalid(problem.detail())
    }
}

impl From<crate::store::Error> for Refusal {
    fn from(error: crate::store::Error) -> Self {
        if let Some(what) = problem::malformed(&error) {
            return Self::invalid(what);
        }
        if took_too_long(&error) {
            return Self::too_much();
        }
        error!(%error, "The console could not read the database");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The database does not answer",
            "The log says why. Deliveries are taken meanwhile if there is a spool; the start page tells more.",
        )
    }
}

impl From<NotSeen> for Refusal {
    fn from(why: NotSeen) -> Self {
        match why {
            NotSeen::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "Too many look at once", problem::BUSY),
            NotSeen::Store(error) => error.into(),
        }
    }
}

impl From<NotQueued> for Refusal {
    fn from(why: NotQueued) -> Self {
        match why {
            NotQueued::Unknown(place) => Self::unknown_location(place),
            NotQueued::Store(error) => error.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.headline, self.text)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let view = context! { headline => self.headline, text => &self.text };
        frame::draw(self.status, "refusal.html", self.headline, view)
    }
}

impl Responder for Refusal {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

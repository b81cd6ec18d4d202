use std::fmt;

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;
use tracing::error;

use crate::domain::ids::Place;

/// An error of the API, as RFC 9457 writes it.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    mistakes: Vec<String>,
}

impl Problem {
    /// There is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            title: "Not found",
            detail: detail.into(),
            mistakes: Vec::new(),
        }
    }

    /// Nobody knows the application or the location.
    pub(super) fn unknown_location(place: Place) -> Self {
        let (application, location) = (place.application_id, place.location_id);
        Self::not_found(format!(
            "Nothing is known of application {application} at location {location}."
        ))
    }

    /// The request makes no sense.
    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            title: "Invalid request",
            detail: detail.into(),
            mistakes: Vec::new(),
        }
    }

    /// The files of the rules have mistakes.
    pub(super) fn refused_rules(mistakes: Vec<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Rules refused",
            detail: "The files have mistakes. The rules before are still in use.".to_owned(),
            mistakes,
        }
    }

    /// The file of a bulk action has mistakes.
    pub(super) fn refused_plan(mistakes: Vec<String>) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            title: "Plan refused",
            detail: "The file has mistakes.".to_owned(),
            mistakes,
        }
    }

    /// Things are not so that it could be done.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            title: "Not done",
            detail: detail.into(),
            mistakes: Vec::new(),
        }
    }

    /// Something broke on our side.
    pub(super) fn broken(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            title: "It broke",
            detail: detail.into(),
            mistakes: Vec::new(),
        }
    }

    /// It is not for who asks.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            title: "Forbidden",
            detail: detail.into(),
            mistakes: Vec::new(),
        }
    }

    /// The token is missing or wrong.
    pub(super) fn unauthorized() -> Self {
        let detail = "Send the operator token: Authorization: Bearer <operator.token>".to_owned();
        Self {
            status: StatusCode::UNAUTHORIZED,
            title: "Unauthorized",
            detail,
            mistakes: Vec::new(),
        }
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        error!(%error, "The API could not read the database");
        let detail = "The database does not answer; the log says why.".to_owned();
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            title: "Database unavailable",
            detail,
            mistakes: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.title, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut body = json!({"title": self.title, "status": self.status.as_u16(), "detail": self.detail});
        if !self.mistakes.is_empty() {
            body["mistakes"] = json!(self.mistakes);
        }
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header(("WWW-Authenticate", "Bearer"));
        }
        response.content_type("application/problem+json").body(body.to_string())
    }
}

impl actix_web::Responder for Problem {
    type Body = actix_web::body::BoxBody;

    fn respond_to(self, _: &actix_web::HttpRequest) -> HttpResponse {
        self.error_response()
    }
}

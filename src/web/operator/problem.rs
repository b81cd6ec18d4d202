use std::fmt;

use actix_web::{
    Error, HttpRequest, HttpResponse, Responder, ResponseError,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    error::{JsonPayloadError, PathError, QueryPayloadError},
    http::{StatusCode, header},
    middleware::Next,
};
use schemars::JsonSchema;
use serde::Serialize;
use tracing::error;

use crate::{
    domain::ids::Place,
    store::looking::{NotSeen, took_too_long},
};

/// How errors are written.
pub(super) const CONTENT_TYPE: &str = "application/problem+json";

/// An error of the API.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    mistakes: Vec<String>,
    instance: Option<String>,
    /// Methods that the address takes.
    allow: Option<String>,
}

/// An error as RFC 9457 writes it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct Written<'p> {
    /// `about:blank`: the status says what sort of problem it is.
    #[serde(rename = "type")]
    sort: &'static str,
    /// The status in words.
    title: &'p str,
    /// The status of the answer.
    status: u16,
    /// What is wrong here, and what to do about it.
    detail: &'p str,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'p str>,
    /// What is wrong with a file of rules or of a bulk action.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    mistakes: &'p [String],
}

impl Problem {
    /// A problem of this status.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            mistakes: Vec::new(),
            instance: None,
            allow: None,
        }
    }

    /// There is no such thing.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// The address does not take the method, but these.
    pub(super) fn not_allowed(allow: &str) -> Self {
        Self {
            allow: Some(allow.to_owned()),
            ..Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("This address takes {allow} only."),
            )
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
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The files of the rules have mistakes.
    pub(super) fn refused_rules(mistakes: Vec<String>) -> Self {
        let detail = "The files have mistakes. The rules before are still in use.";
        Self {
            mistakes,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// The file of a bulk action has mistakes.
    pub(super) fn refused_plan(mistakes: Vec<String>) -> Self {
        Self {
            mistakes,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "The file has mistakes.")
        }
    }

    /// Things are not so that it could be done.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// Something broke on our side.
    pub(super) fn broken(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail)
    }

    /// It is not for who asks.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// What is wrong, in a sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The token is missing or wrong.
    pub(super) fn unauthorized() -> Self {
        let detail = "Send the operator token: Authorization: Bearer <operator.token>";
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// The query string could not be read.
    pub(super) fn query(error: QueryPayloadError, _: &HttpRequest) -> Error {
        Self::invalid(error.to_string()).into()
    }

    /// A number or a name of the path could not be read.
    pub(super) fn path(error: PathError, _: &HttpRequest) -> Error {
        Self::invalid(error.to_string()).into()
    }

    /// The body could not be read.
    pub(super) fn body(error: JsonPayloadError, _: &HttpRequest) -> Error {
        let status = match &error {
            JsonPayloadError::Overflow { .. } | JsonPayloadError::OverflowKnownLength { .. } => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            JsonPayloadError::ContentType => {
                let detail = "Send the body as JSON: Content-Type: application/json";
                return Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into();
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string()).into()
    }
}

/// Adds to a problem the path that it arose at.
pub(super) async fn located(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let path = request.path().to_owned();
    let with_path = |error: &Error| {
        let problem = error.as_error::<Problem>().cloned();
        problem.map(|problem| Problem {
            instance: Some(path.clone()),
            ..problem
        })
    };
    match next.call(request).await {
        Ok(response) => match response.response().error().and_then(with_path) {
            Some(problem) => Ok(response.into_response(problem.error_response())),
            None => Ok(response),
        },
        Err(error) => Err(with_path(&error).map_or(error, Error::from)),
    }
}

/// What a question is told that the database gave up.
pub(super) const TOO_MUCH: &str = "Too much to look through in the time: name a location, a rule or a time.";

/// What a question is told that found no place.
pub(super) const BUSY: &str = "Too many are looking at once; try again in some seconds.";

/// What the database could not do with a text or a date that came with the request.
const MALFORMED: [&str; 2] = ["22021", "22008"];

/// What to say about a text or a date of a request that the database could do nothing with; `None` for other errors.
pub(super) fn malformed(error: &crate::store::Error) -> Option<&'static str> {
    let code = error.as_database_error().and_then(|error| error.code());
    let is_malformed = code.is_some_and(|code| MALFORMED.contains(&&*code));
    is_malformed.then_some("A text holds a character that cannot be stored, or a date is out of all range.")
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        if let Some(what) = malformed(&error) {
            return Self::invalid(what);
        }
        if took_too_long(&error) {
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, TOO_MUCH);
        }
        error!(%error, "The API could not read the database");
        let detail = "The database does not answer; the log says why.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl From<NotSeen> for Problem {
    fn from(why: NotSeen) -> Self {
        match why {
            NotSeen::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, BUSY),
            NotSeen::Store(error) => error.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(allow) = &self.allow {
            response.insert_header((header::ALLOW, allow.as_str()));
        }
        response.content_type(CONTENT_TYPE);
        let written = Written {
            sort: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: &self.detail,
            instance: self.instance.as_deref(),
            mistakes: &self.mistakes,
        };
        match serde_json::to_vec(&written) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse {
        let located = Self {
            instance: Some(request.path().to_owned()),
            ..self
        };
        located.error_response()
    }
}

//! Who may do what on the operator's listener, for the API and for the console.
//!
//! A token names a role. The API is given it with every request; the console asks for it once and hands out a cookie
//! ([`session`]). Without a configured token the listener is on this machine only, and open to everybody there; web
//! pages from elsewhere are kept out in any case ([`site`]).

pub(super) mod body;
pub(super) mod orders;
pub(super) mod session;
pub(super) mod site;
pub(super) mod wrong;

use actix_web::{
    Error, Responder,
    body::BoxBody,
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::problem::Problem;
use crate::{
    app::App,
    config::{Operator, value::Secret},
    domain::signature::same_secret,
};

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Everything.
    Operator,
    /// Look, and change nothing.
    Reader,
}

impl Role {
    /// `operator` or `reader`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Reader => "reader",
        }
    }

    /// Whether a request of this method is for this role.
    pub(super) fn may(self, method: &Method) -> bool {
        self == Self::Operator || !changes(method)
    }
}

/// Whether a request of this method may change something.
pub(super) fn changes(method: &Method) -> bool {
    *method != Method::GET && *method != Method::HEAD
}

/// Whether nobody is asked for a token.
pub(super) fn is_open(operator: &Operator) -> bool {
    operator.token.is_none()
}

/// The tokens in use, each with its role.
fn tokens(operator: &Operator) -> impl Iterator<Item = (Role, &str)> {
    [
        (Role::Operator, &operator.token),
        (Role::Operator, &operator.token_previous),
        (Role::Reader, &operator.read_token),
    ]
    .into_iter()
    .filter_map(|(role, token)| Some((role, token.as_ref().map(Secret::expose)?)))
}

/// The token in use that is the same as a given one, and its role.
pub(super) fn known<'o>(operator: &'o Operator, given: &str) -> Option<(Role, &'o str)> {
    // All are compared, so that the time does not tell which it was.
    tokens(operator).fold(None, |found, (role, token)| {
        if same_secret(token, given) {
            Some((role, token))
        } else {
            found
        }
    })
}

/// Lets metrics and probes be asked by everybody but pages of other sites.
pub(super) async fn probe(request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    match site::check_probe(&request) {
        Ok(()) => next.call(request).await,
        Err(why) => {
            let refused = Problem::forbidden(why).respond_to(request.request());
            Ok(request.into_response(refused))
        }
    }
}

/// Lets nobody into the API but who has a token for it.
pub(super) async fn api(mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    body::in_time(&mut request);
    let mut response = match admit(&request) {
        Ok(role) => {
            let response = next.call(request).await?;
            if changes(response.request().method()) {
                orders::tell("API", role, response.request(), response.status().as_u16());
            }
            response
        }
        Err(problem) => {
            let refused = problem.respond_to(request.request());
            request.into_response(refused)
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        set(headers, name, value);
    }
    Ok(response)
}

fn admit(request: &ServiceRequest) -> Result<Role, Problem> {
    let app = request.app_data::<web::Data<App>>();
    let app = app.ok_or_else(|| Problem::broken("The service is not complete."))?;
    let operator = &app.config.operator;
    site::check(request, is_open(operator)).map_err(Problem::forbidden)?;
    let role = match is_open(operator) {
        true => Role::Operator,
        false => {
            let given = bearer(request.headers()).ok_or_else(Problem::unauthorized)?;
            let known = known(operator, given).ok_or_else(|| {
                wrong::tell("API", request.peer_addr());
                Problem::unauthorized()
            })?;
            known.0
        }
    };
    if !role.may(request.method()) {
        return Err(Problem::forbidden(
            "operator.read_token allows to look and not to change. Use operator.token.",
        ));
    }
    Ok(role)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    Some(given.strip_prefix("Bearer ")?.trim())
}

/// Sets a header whose value is ours.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

/// Who makes a request of the console.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// What they may do.
    pub role: Role,
    /// What each form of theirs has to carry.
    pub form_key: String,
    /// Whether they logged in; else nobody has to.
    pub has_session: bool,
}

impl Visitor {
    /// Who it is, by the cookie.
    pub(super) fn of(app: &App, request: &ServiceRequest, now: i64) -> Option<Self> {
        if is_open(&app.config.operator) {
            return Some(Self {
                role: Role::Operator,
                form_key: session::open_form_key(app.hook_secret()),
                has_session: false,
            });
        }
        let given = session::given(request.headers())?;
        let (role, form_key) =
            tokens(&app.config.operator).find_map(|(role, token)| session::read((role, token), &given, now))?;
        Some(Self {
            role,
            form_key,
            has_session: true,
        })
    }
}

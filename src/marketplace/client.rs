use std::time::{Duration, Instant};

use chrono::Utc;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use url::Url;

use super::{
    answer::{self, Answer},
    call::{Base, Call, CallName, Lane, Method},
    error::Error,
    redact::Redactor,
};

/// An answer longer than this is not read to its end. A page of a thousand locations with long
/// descriptions is the longest that the marketplace has.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// How much of an answer an operator sees.
const EXCERPT: usize = 500;
/// In place of an answer that holds webhook addresses of other applications: they may be somebody's secrets, and can be
/// shorter than what is hidden otherwise.
const HIDDEN_ADDRESSES: &str = "[webhook addresses of all applications]";
/// A host that does not even accept a connection for so long is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the marketplace is and who we are there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// For installation and lifecycle.
    pub partner_base: Url,
    /// For tariffs, discounts, links, channels.
    pub billing_base: Url,
    /// For the business API.
    pub api_base: Url,
    /// Media type that the server insists on.
    pub accept: String,
    /// Token of the developer account.
    pub partner_token: SecretString,
    /// Token of the application's system user, for the calls that need one.
    pub user_token: Option<SecretString>,
    /// For one request, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
}

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An address that nothing can be sent to.
    #[error("{0} cannot be the base of marketplace calls: http or https, without query and fragment")]
    Base(Url),
    /// A token or media type with characters that may not stand in a header.
    #[error("{0} has characters that may not stand in an HTTP header")]
    Header(&'static str),
    /// No TLS, usually because the system has no certificates.
    #[error("the HTTP client could not be set up: {0}")]
    Http(String),
}

/// Leave to send one request: the marketplace counts requests per address (contract 4), so all of
/// them go through one budget. A permit cannot be copied; sending uses it up.
#[derive(Debug)]
#[must_use = "a permit that is not used was taken from everybody else"]
pub struct Permit(());

impl Permit {
    /// Only the request budget calls this.
    pub fn granted() -> Self {
        Self(())
    }
}

/// What an operator sees of one request. No secrets in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Which call.
    pub call: CallName,
    /// Its method.
    pub method: Method,
    /// Path with query, below the base.
    pub path: String,
    /// HTTP status, when an answer began to come.
    pub status: Option<u16>,
    /// The beginning of the answer.
    pub answer: String,
    /// From asking to the last byte.
    pub duration_seconds: f64,
}

/// Sends calls to one marketplace in the name of one account or application. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    partner_base: String,
    billing_base: String,
    api_base: String,
    partner: HeaderValue,
    partner_and_user: Option<HeaderValue>,
    redactor: Redactor,
}

/// A body as far as it came, and why it ended early.
struct Received {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
    broken: Option<String>,
}

impl Client {
    /// A client for this endpoint.
    pub fn new(endpoint: Endpoint) -> Result<Self, SetupError> {
        let partner_token = endpoint.partner_token.expose_secret();
        let partner = authorization(format!("Bearer {partner_token}"), "the partner token")?;
        let partner_and_user = endpoint
            .user_token
            .as_ref()
            .map(|user| {
                let both = format!("Bearer {partner_token}, User {}", user.expose_secret());
                authorization(both, "the user token")
            })
            .transpose()?;
        Ok(Self {
            http: http_client(&endpoint)?,
            partner_base: base(&endpoint.partner_base)?,
            billing_base: base(&endpoint.billing_base)?,
            api_base: base(&endpoint.api_base)?,
            partner,
            partner_and_user,
            redactor: Redactor::new(
                [&endpoint.partner_token]
                    .into_iter()
                    .chain(endpoint.user_token.as_ref()),
            ),
        })
    }

    /// The same in the name of another user: of an owner, who consents.
    ///
    /// # Errors
    /// When the token has characters that may not stand in a header.
    pub fn as_user(&self, user_token: &SecretString) -> Result<Self, SetupError> {
        let token = user_token.expose_secret();
        let partner = self
            .partner
            .to_str()
            .map_err(|_| SetupError::Header("the partner token"))?;
        Ok(Self {
            partner_and_user: Some(authorization(format!("{partner}, User {token}"), "the user token")?),
            redactor: self.redactor.with(user_token),
            ..self.clone()
        })
    }

    /// Sends a call once: no repetition, no redirect followed. Tells what was seen, and what it
    /// means.
    pub async fn send<T>(&self, permit: Permit, call: &Call<T>) -> (Exchange, Result<T, Error>) {
        let Permit(()) = permit;
        let started = Instant::now();
        let (received, result) = match self.request(call) {
            Err(error) => (None, Err(error)),
            Ok(request) => match receive(request).await {
                Err(error) => (None, Err(unsent(call, error))),
                Ok(received) => {
                    let result = judge(call, &received);
                    (Some(received), result)
                }
            },
        };
        let exchange = Exchange {
            call: call.name,
            method: call.method,
            path: self.redactor.excerpt(&call.path_and_query(), EXCERPT),
            status: received.as_ref().map(|received| received.status),
            answer: match received {
                Some(_) if result.is_ok() && call.name.tells_addresses() => HIDDEN_ADDRESSES.to_owned(),
                Some(received) => self.shown(&received.body),
                None => String::new(),
            },
            duration_seconds: started.elapsed().as_secs_f64(),
        };
        (exchange, result.map_err(|error| self.redacted(error)))
    }

    fn request<T>(&self, call: &Call<T>) -> Result<reqwest::RequestBuilder, Error> {
        let authorization = match call.lane {
            Lane::Partner => &self.partner,
            Lane::PartnerAndUser => self.partner_and_user.as_ref().ok_or_else(|| Error::Unauthorized {
                message: "no user token is configured for this application".to_owned(),
            })?,
        };
        let base = match call.base {
            Base::Partner => &self.partner_base,
            Base::Billing => &self.billing_base,
            Base::Api => &self.api_base,
        };
        let method = match call.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let request = self
            .http
            .request(method, format!("{base}/{}", call.path_and_query()))
            .header(AUTHORIZATION, authorization);
        Ok(match (&call.body, call.method) {
            (Some(body), _) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            // Some servers refuse a POST without a length (411), even when there is nothing to send.
            (None, Method::Post) => request.header(CONTENT_LENGTH, 0),
            (None, Method::Get) => request,
        })
    }

    fn shown(&self, body: &[u8]) -> String {
        self.redactor.excerpt(&String::from_utf8_lossy(body), EXCERPT)
    }

    /// Messages come from outside too.
    fn redacted(&self, mut error: Error) -> Error {
        if let Error::Invalid { errors, .. } = &mut error {
            *errors = self.redactor.excerpt(errors, EXCERPT);
        }
        match &mut error {
            Error::Unavailable { reason: text }
            | Error::Unknown { reason: text, .. }
            | Error::Fault { reason: text, .. }
            | Error::Unauthorized { message: text }
            | Error::Forbidden { message: text }
            | Error::NotFound { message: text }
            | Error::Invalid { message: text, .. }
            | Error::Rejected { message: text, .. } => *text = self.redactor.excerpt(text, EXCERPT),
            Error::Throttled { .. } => {}
        }
        error
    }
}

fn authorization(value: String, what: &'static str) -> Result<HeaderValue, SetupError> {
    let mut value = HeaderValue::try_from(value).map_err(|_| SetupError::Header(what))?;
    value.set_sensitive(true);
    Ok(value)
}

fn base(url: &Url) -> Result<String, SetupError> {
    let usable = matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
    if usable {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(SetupError::Base(url.clone()))
    }
}

fn http_client(endpoint: &Endpoint) -> Result<reqwest::Client, SetupError> {
    // One provider of cryptography for the whole process; that it is there already is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let accept = HeaderValue::try_from(&endpoint.accept).map_err(|_| SetupError::Header("accept"))?;
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("bellhop/", env!("CARGO_PKG_VERSION")))
        .default_headers(HeaderMap::from_iter([(ACCEPT, accept)]))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        // Shorter than the whole, so that a host that is not there counts as "surely not sent".
        .connect_timeout(CONNECT_TIMEOUT.min(endpoint.request_timeout / 2))
        .timeout(endpoint.request_timeout);
    let bases = [&endpoint.partner_base, &endpoint.billing_base, &endpoint.api_base];
    if bases.iter().all(|base| base.scheme() == "http") {
        // The sandbox: it needs no certificates, and works on systems that have none.
        builder = builder.tls_certs_only([]);
    }
    if bases.iter().all(|base| on_this_machine(base)) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| SetupError::Http(causes(&error)))
}

fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn receive(request: reqwest::RequestBuilder) -> Result<Received, reqwest::Error> {
    let mut response = request.send().await?;
    let mut received = Received {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body: Vec::new(),
        broken: None,
    };
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if received.body.len() + chunk.len() <= ANSWER_LIMIT => {
                received.body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => received.broken = Some(format!("the answer is longer than {ANSWER_LIMIT} bytes")),
            Ok(None) => break,
            Err(error) => received.broken = Some(format!("the answer broke off: {}", causes(&error.without_url()))),
        }
        if received.broken.is_some() {
            break;
        }
    }
    Ok(received)
}

/// What it means that not even the head of an answer came.
fn unsent<T>(call: &Call<T>, error: reqwest::Error) -> Error {
    let surely_not_sent = error.is_connect() || error.is_builder();
    let reason = causes(&error.without_url());
    if surely_not_sent {
        Error::Unavailable { reason }
    } else {
        answer::without_answer(call, None, reason)
    }
}

fn judge<T>(call: &Call<T>, received: &Received) -> Result<T, Error> {
    let status = received.status;
    if let Some(reason) = &received.broken
        && (200..=299).contains(&status)
    {
        return Err(answer::without_answer(call, Some(status), reason.clone()));
    }
    let header = |name| {
        received
            .headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let answer = Answer {
        status,
        retry_after: header(RETRY_AFTER).and_then(|value| answer::retry_after(value, Utc::now())),
        location: header(LOCATION),
        // Half a refusal is still a refusal; its text is not worth guessing at.
        body: if received.broken.is_some() { &[] } else { &received.body },
    };
    answer::judge(call, &answer)
}

/// An error with what caused it: the outermost text alone rarely helps.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

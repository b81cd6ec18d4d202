use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Serialize;
use url::Url;

use super::error::{Error, causes};

/// How many bytes of an answer are read.
const MOST_READ: usize = 32 * 1024;
/// How many characters of it are kept.
const EXCERPT: usize = 500;

/// What the receiver said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The beginning of the body.
    pub answer: String,
    /// From connecting to the answer.
    pub duration_seconds: f64,
}

/// The same with what only some receivers' answers need.
pub(super) struct Said {
    pub(super) answer: Answer,
    pub(super) headers: HeaderMap,
    /// More of the body than is kept.
    pub(super) body: String,
}

/// The clients that messages leave through. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    /// For other machines: through the system's proxy, if there is one.
    remote: reqwest::Client,
    /// For this machine, which no proxy can reach.
    local: reqwest::Client,
}

impl Http {
    /// Clients that give a receiver so much time from connecting to the end of its answer. They follow no redirects and
    /// repeat nothing.
    ///
    /// On a system without certificates they are made nevertheless, and can send to `http` only.
    pub fn new(timeout: Duration) -> Result<Self, Error> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            reqwest::Client::builder()
                .user_agent(concat!("bellhop/", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
                .timeout(timeout)
        };
        let remote = client().build().or_else(|_| client().tls_certs_only([]).build());
        let local = client()
            .no_proxy()
            .build()
            .or_else(|_| client().no_proxy().tls_certs_only([]).build());
        let made = |client: reqwest::Result<_>| client.map_err(|error| Error::permanent(causes(&error)));
        Ok(Self {
            remote: made(remote)?,
            local: made(local)?,
        })
    }

    /// Sends once. An error never says where to: the address may be a secret.
    pub(super) async fn post(&self, url: Url, headers: HeaderMap, body: String) -> Result<Said, Error> {
        let started = Instant::now();
        let client = if on_this_machine(&url) {
            &self.local
        } else {
            &self.remote
        };
        let sent = client.post(url).headers(headers).body(body).send().await;
        let mut response = sent.map_err(|error| Error::transient(causes(&error.without_url())))?;
        let mut body = Vec::new();
        // The status is the answer; a body that breaks off takes nothing from it.
        while body.len() < MOST_READ
            && let Ok(Some(chunk)) = response.chunk().await
        {
            body.extend_from_slice(&chunk[..chunk.len().min(MOST_READ)]);
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok(Said {
            answer: Answer {
                status: response.status().as_u16(),
                answer: body.chars().take(EXCERPT).collect(),
                duration_seconds: started.elapsed().as_secs_f64(),
            },
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }
}

fn on_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// The value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?.to_utc();
    Some((date - now).to_std().unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: DateTime<Utc> = "2015-10-21T07:28:00Z".parse().expect("a time");
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(
            retry_after("Wed, 21 Oct 2015 07:28:30 GMT", now),
            Some(Duration::from_secs(30))
        );
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:00:00 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("soon", now), None);
    }

    proptest! {
        #[test]
        fn whatever_a_receiver_asks_for_nothing_panics(wait in "\\PC*") {
            let _ = retry_after(&wait, Utc::now());
        }
    }
}

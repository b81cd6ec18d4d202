//! What the marketplace sends: lifecycle callbacks (tried once) and entity events (with a
//! delay and retries), and the record of how each fared (contract 7.2, 7.3).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::faults::FaultKind;
use super::links::Status;
use super::state::{Key, State};
use super::{Sandbox, World};

/// The same for every receiver, so it proves nothing; the real one sends such a header too.
const SHARED_AUTHORIZATION: &str = "Bearer marketplace-webhooks";

/// A request to send.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) class: Class,
    /// `freeze`, `record`, …
    pub(super) detail: String,
    pub(super) key: Key,
    pub(super) url: String,
    pub(super) body: String,
    pub(super) hook_id: Option<String>,
    pub(super) due_at: DateTime<Utc>,
}

/// The two kinds of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A lifecycle callback.
    Callback,
    /// An entity event.
    Event,
}

impl Class {
    fn as_str(self) -> &'static str {
        match self {
            Self::Callback => "callback",
            Self::Event => "event",
        }
    }
}

impl Outgoing {
    /// A callback, due now.
    pub(super) fn callback(key: Key, event: &str, url: String, body: String) -> Self {
        Self {
            class: Class::Callback,
            detail: event.to_owned(),
            key,
            url,
            body,
            hook_id: None,
            due_at: DateTime::UNIX_EPOCH,
        }
    }
}

/// How a request that was to be sent fared.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// Callback or entity event.
    pub class: Class,
    /// The lifecycle event or the resource.
    pub detail: String,
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
    /// Where it went.
    pub url: String,
    /// Its `X-Hook-Id`.
    pub hook_id: Option<String>,
    /// The body as sent, except that the partner token is masked.
    pub body: String,
    /// How it ended.
    pub outcome: SentOutcome,
    /// Every attempt.
    pub attempts: Vec<Attempt>,
}

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SentOutcome {
    /// Answered with 2xx.
    Delivered,
    /// Given up.
    Failed,
    /// Not sent (again): the link was not active any more, the address was gone, or the
    /// sandbox was stopped.
    Stopped,
    /// Not sent, because a fault said so.
    Lost,
}

/// One attempt.
#[derive(Debug, Clone, Serialize)]
pub struct Attempt {
    /// When, on the real clock.
    pub at: DateTime<Utc>,
    /// What was answered.
    pub status: Option<u16>,
    /// What went wrong when nothing was answered.
    pub error: Option<String>,
    /// From asking to the answer, or to giving up.
    pub seconds: f64,
}

impl Attempt {
    fn delivered(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    fn worth_repeating(&self) -> bool {
        self.status.is_none_or(|status| status == 429 || status >= 500)
    }
}

impl Sandbox {
    /// Sends the callbacks that are due. Must be called after every change of the state.
    pub(super) fn send_callbacks(&self) -> Vec<JoinHandle<()>> {
        let callbacks = {
            let mut state = self.lock();
            let callbacks = std::mem::take(&mut state.callbacks);
            self.count_in(callbacks.len());
            callbacks
        };
        callbacks.into_iter().map(|one| self.post(one)).collect()
    }

    /// Sends the entity events whose time has come.
    pub(super) fn send_due_events(&self) {
        let now = Utc::now();
        let due = {
            let mut state = self.lock();
            let events = std::mem::take(&mut state.events);
            let (due, later): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.due_at <= now);
            state.events = later;
            self.count_in(due.len());
            due
        };
        for event in due {
            self.post(event);
        }
    }

    /// Counts requests under way. Done while the state is locked, so that a request is always
    /// to be seen either in its queue or here.
    fn count_in(&self, requests: usize) {
        self.world.in_flight.fetch_add(requests, Ordering::SeqCst);
    }

    /// Sends one counted request from the runtime the sandbox was started on.
    fn post(&self, outgoing: Outgoing) -> JoinHandle<()> {
        let world = Arc::clone(&self.world);
        let runtime = world.runtime.clone();
        runtime.spawn(async move {
            world.deliver(outgoing).await;
            world.in_flight.fetch_sub(1, Ordering::SeqCst);
        })
    }
}

impl World {
    async fn deliver(&self, outgoing: Outgoing) {
        let fault = {
            let mut state = self.lock();
            let fault = state
                .faults
                .take_for(outgoing.class.as_str(), &outgoing.detail, Some(outgoing.key.1));
            fault.map(|fault| fault.kind)
        };
        let times = match fault {
            Some(FaultKind::Lost) => {
                self.note(outgoing, SentOutcome::Lost, Vec::new());
                return;
            }
            Some(FaultKind::Duplicate) => 2,
            _ => 1,
        };
        for _ in 0..times {
            let (outcome, attempts) = self.attempts(&outgoing).await;
            self.note(outgoing.clone(), outcome, attempts);
        }
    }

    async fn attempts(&self, outgoing: &Outgoing) -> (SentOutcome, Vec<Attempt>) {
        let retries = match outgoing.class {
            Class::Callback => 0,
            Class::Event => self.delivery.retries,
        };
        let mut attempts = Vec::new();
        for round in 0..=retries {
            if round > 0 {
                tokio::time::sleep(self.delivery.retry_pause).await;
            }
            let slot = match outgoing.class {
                // Few and urgent: they do not wait for a crowd of events.
                Class::Callback => None,
                // Fair, so that events leave in the order they were queued. The slots are
                // closed when the sandbox stops.
                Class::Event => match self.slots.acquire().await {
                    Ok(slot) => Some(slot),
                    Err(_) => return (SentOutcome::Stopped, attempts),
                },
            };
            if !self.lock().may_send(outgoing) {
                return (SentOutcome::Stopped, attempts);
            }
            let attempt = self.attempt(outgoing).await;
            drop(slot);
            let (delivered, again) = (attempt.delivered(), attempt.worth_repeating());
            attempts.push(attempt);
            if delivered {
                return (SentOutcome::Delivered, attempts);
            }
            if !again {
                break;
            }
        }
        (SentOutcome::Failed, attempts)
    }

    async fn attempt(&self, outgoing: &Outgoing) -> Attempt {
        let at = Utc::now();
        let started = Instant::now();
        let mut request = self
            .http
            .post(&outgoing.url)
            .timeout(self.delivery.attempt_timeout)
            .header("Content-Type", "application/json")
            .header("User-Agent", "GuzzleHttp/7")
            .body(outgoing.body.clone());
        if outgoing.class == Class::Event {
            request = request.header("Authorization", SHARED_AUTHORIZATION);
        }
        if let Some(id) = &outgoing.hook_id {
            request = request.header("X-Hook-Id", id);
        }
        match request.send().await {
            Ok(answer) => Attempt {
                at,
                status: Some(answer.status().as_u16()),
                error: None,
                seconds: started.elapsed().as_secs_f64(),
            },
            Err(error) => Attempt {
                at,
                status: None,
                error: Some(error.to_string()),
                seconds: started.elapsed().as_secs_f64(),
            },
        }
    }

    fn note(&self, outgoing: Outgoing, outcome: SentOutcome, attempts: Vec<Attempt>) {
        let mut state = self.lock();
        let body = outgoing.body.replace(&state.partner_token, "***");
        state.sent.push(Sent {
            class: outgoing.class,
            detail: outgoing.detail,
            application_id: outgoing.key.0,
            location_id: outgoing.key.1,
            url: outgoing.url,
            hook_id: outgoing.hook_id,
            body,
            outcome,
            attempts,
        });
    }
}

impl State {
    /// Events stop while the link is frozen or gone, and when the address was removed.
    fn may_send(&self, outgoing: &Outgoing) -> bool {
        match outgoing.class {
            Class::Callback => true,
            Class::Event => {
                let active = |link: &super::links::Link| link.status == Status::Active;
                let hooks = self.hooks.get(&outgoing.key.1);
                self.links.get(&outgoing.key).is_some_and(active)
                    && hooks.is_some_and(|hooks| hooks.iter().any(|hook| hook.url == outgoing.url))
            }
        }
    }
}

/// The client everything is sent with: like the marketplace's, it follows no redirects.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    // Somebody may have installed the process's provider before; either is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(5))
        .no_proxy()
        .build()
}

//! Bad days on demand (contract 10, point 6).

use std::time::Duration;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use super::calls::Call;

/// A fault ordered for the next calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The call it applies to: a name as in the call log, `*` for every call of the
    /// marketplace's API, or one of the deliveries `callback`, `callback.freeze` (and
    /// `uninstall`, `payment`), `event`, `event.record` (and other resources), `inbox`,
    /// `inbox.{name}`, `telegram`, `telegram.{chat}`, `slack`, `slack.{name}`.
    pub call: String,
    /// What happens.
    pub kind: FaultKind,
    /// Only when the call or delivery is about this location.
    #[serde(default)]
    pub location_id: Option<i64>,
    /// The status answered; each kind has its own default.
    #[serde(default)]
    pub status: Option<u16>,
    /// Seconds in `Retry-After`.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// How many calls it hits; default 1.
    #[serde(default)]
    pub times: Option<u32>,
    /// It hits only every so-manieth of the calls it applies to; default each.
    #[serde(default)]
    pub every: Option<u32>,
    /// Whether the call takes effect all the same; each kind has its own default.
    #[serde(default)]
    pub after_effect: Option<bool>,
    /// How long a timeout hangs; default one minute.
    #[serde(default)]
    pub hang_seconds: Option<u64>,
}

impl Fault {
    /// A fault for the next call of that name.
    pub fn new(call: impl Into<String>, kind: FaultKind) -> Self {
        Self {
            call: call.into(),
            kind,
            location_id: None,
            status: None,
            retry_after: None,
            times: None,
            every: None,
            after_effect: None,
            hang_seconds: None,
        }
    }

    /// The same fault, for one location only.
    #[must_use]
    pub fn at(self, location_id: i64) -> Self {
        Self {
            location_id: Some(location_id),
            ..self
        }
    }

    /// The same fault for the next `times` calls.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// The same fault, for one of `every` calls.
    #[must_use]
    pub fn every(self, every: u32) -> Self {
        Self {
            every: Some(every),
            ..self
        }
    }

    /// The same fault with another status.
    #[must_use]
    pub fn status(self, status: u16) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// The same fault, with the call taking effect or not.
    #[must_use]
    pub fn after_effect(self, after_effect: bool) -> Self {
        Self {
            after_effect: Some(after_effect),
            ..self
        }
    }

    /// The same fault with a `Retry-After`.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    /// Refuses a name nothing has, and a kind that cannot happen to it: such a fault would
    /// wait for ever.
    pub(super) fn checked(self) -> Result<Self> {
        let delivery = matches!(self.kind, FaultKind::Lost | FaultKind::Duplicate);
        let fits = match self.call.split('.').next().unwrap_or("") {
            "callback" | "event" => delivery,
            "inbox" | "telegram" | "slack" => self.kind == FaultKind::Status,
            name if name == "*" || Call::ALL.iter().any(|call| call.name() == name) => !delivery,
            _ => bail!("there is no call named {:?}", self.call),
        };
        if !fits {
            bail!("{:?} cannot happen to {:?}", self.kind.as_str(), self.call);
        }
        if self.status.is_some_and(|status| !(200..600).contains(&status)) {
            bail!("the status must be from 200 to 599");
        }
        Ok(self)
    }

    /// Whether the call does what it should before the fault shows.
    pub(super) fn takes_effect(&self) -> bool {
        self.after_effect.unwrap_or(match self.kind {
            FaultKind::Html
            | FaultKind::Empty
            | FaultKind::TimeoutAfterEffect
            | FaultKind::MetaList
            | FaultKind::MetaObject
            | FaultKind::Duplicate => true,
            FaultKind::Status
            | FaultKind::SuccessFalse
            | FaultKind::TimeoutBefore
            | FaultKind::RateLimited
            | FaultKind::DropConnection
            | FaultKind::Lost => false,
        })
    }

    /// How long a timeout hangs.
    pub(super) fn hang(&self) -> Duration {
        Duration::from_secs(self.hang_seconds.unwrap_or(60))
    }
}

/// What a fault does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers `status` (default 500) with the generic envelope.
    Status,
    /// Takes effect and answers HTML with 200.
    Html,
    /// Takes effect and answers without a body.
    Empty,
    /// Answers 200 with `success: false`, without effect.
    SuccessFalse,
    /// Takes effect and answers nothing for a minute.
    TimeoutAfterEffect,
    /// Answers nothing for a minute, without effect.
    TimeoutBefore,
    /// Takes effect; `meta` is `[]`.
    MetaList,
    /// Takes effect; `meta` is `{}`.
    MetaObject,
    /// Answers 429, with `Retry-After` when `retry_after` is given.
    RateLimited,
    /// Closes the connection without an answer; without effect unless `after_effect`.
    DropConnection,
    /// Deliveries only: it is never sent.
    Lost,
    /// Deliveries only: it is sent twice.
    Duplicate,
}

impl FaultKind {
    /// The word of the control API.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Html => "html",
            Self::Empty => "empty",
            Self::SuccessFalse => "success_false",
            Self::TimeoutAfterEffect => "timeout_after_effect",
            Self::TimeoutBefore => "timeout_before",
            Self::MetaList => "meta_list",
            Self::MetaObject => "meta_object",
            Self::RateLimited => "rate_limited",
            Self::DropConnection => "drop_connection",
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
        }
    }
}

/// The faults not used up yet, in the order they were ordered.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Ordered>);

#[derive(Debug)]
struct Ordered {
    fault: Fault,
    /// Calls it will hit still.
    left: u32,
    /// Calls it might have hit so far.
    met: u32,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        let left = fault.times.unwrap_or(1);
        if left > 0 {
            self.0.push(Ordered { fault, left, met: 0 });
        }
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn left(&self) -> Vec<Fault> {
        let left = |ordered: &Ordered| ordered.fault.clone().times(ordered.left);
        self.0.iter().map(left).collect()
    }

    /// Uses up one fault for a call of the API about a location, if it is about one.
    pub(super) fn take_for_call(&mut self, name: &str, location: Option<i64>) -> Option<Fault> {
        self.take(location, |call| call == name || call == "*")
    }

    /// Uses up one fault for a delivery or an inbox, whose names are `kind.detail`.
    pub(super) fn take_for(&mut self, kind: &str, detail: &str, location: Option<i64>) -> Option<Fault> {
        self.take(location, |call| match call.split_once('.') {
            Some((k, d)) => k == kind && d == detail,
            None => call == kind,
        })
    }

    fn take(&mut self, location: Option<i64>, fits: impl Fn(&str) -> bool) -> Option<Fault> {
        let at = self.0.iter_mut().position(|ordered| {
            let here = ordered.fault.location_id.is_none() || ordered.fault.location_id == location;
            let fits = here && fits(&ordered.fault.call);
            ordered.met += u32::from(fits);
            fits && ordered.met.is_multiple_of(ordered.fault.every.unwrap_or(1).max(1))
        })?;
        let ordered = &mut self.0[at];
        let fault = ordered.fault.clone();
        ordered.left -= 1;
        if ordered.left == 0 {
            self.0.remove(at);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_every_third_call_hits_the_third_and_the_sixth() {
        let mut faults = Faults::default();
        faults.add(Fault::new("callback", FaultKind::Lost).times(2).every(3));
        let hits: Vec<bool> = (0..9)
            .map(|_| faults.take_for("callback", "freeze", None).is_some())
            .collect();
        assert_eq!(hits, [false, false, true, false, false, true, false, false, false]);
        assert!(faults.left().is_empty());
    }
}

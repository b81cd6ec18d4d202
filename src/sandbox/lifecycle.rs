//! The transitions of a link, with what they do to webhook addresses and which callbacks
//! they cause (contract 8, 9). Pure: the time is an argument.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Number, Value};

use super::callbacks::{self, PaidPeriod};
use super::hooks::Hook;
use super::links::{Link, Origin, Payment, Source, Status};
use super::state::{Key, State};

/// What an application sends along with its activation.
#[derive(Debug, Default)]
pub(super) struct Activation {
    pub(super) webhook_urls: Vec<String>,
    pub(super) channels: Vec<String>,
    pub(super) special_settings: Map<String, Value>,
}

/// Why an activation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    AlreadyActive,
    NotPending,
    TooLate,
}

/// A payment to record.
#[derive(Debug)]
pub(super) struct NewPayment {
    pub(super) sum: Number,
    pub(super) currency_iso: String,
    pub(super) paid_at: DateTime<Utc>,
    pub(super) from: DateTime<Utc>,
    pub(super) to: DateTime<Utc>,
    pub(super) origin: Origin,
}

impl State {
    /// The owner presses Connect and consents. A link that is connected stays as it is.
    pub(super) fn consent(&mut self, key: Key, now: DateTime<Utc>) -> Status {
        let private_hooks = self
            .applications
            .get(&key.0)
            .and_then(|application| (!application.public).then(|| application.notification_url.clone()));
        self.location(key.1);
        let link = self.link(key, now);
        match link.status {
            Status::Pending | Status::Active | Status::Freezed => return link.status,
            Status::Disabled | Status::Uninstalled => {}
        }
        link.turn(Status::Pending, Source::Marketplace, now);
        link.connects += 1;
        link.created_at = now;
        link.activated_at = None;
        link.refunded_at = None;
        link.parked_hooks.clear();
        if let Some(url) = private_hooks {
            let activation = Activation {
                webhook_urls: url.into_iter().collect(),
                ..Activation::default()
            };
            self.start(key, activation, Source::Marketplace, now);
        }
        self.links.get(&key).map_or(Status::Uninstalled, |link| link.status)
    }

    /// The application activates its pending link (M8).
    pub(super) fn activate(&mut self, key: Key, activation: Activation, now: DateTime<Utc>) -> Result<(), Refusal> {
        let limit = self.terms.activation_limit;
        let Some(link) = self.links.get_mut(&key) else {
            return Err(Refusal::NotPending);
        };
        match link.status {
            Status::Active => return Err(Refusal::AlreadyActive),
            Status::Freezed | Status::Disabled | Status::Uninstalled => {
                return Err(Refusal::NotPending);
            }
            Status::Pending if now >= link.created_at + limit => return Err(Refusal::TooLate),
            Status::Pending => {}
        }
        link.activations += 1;
        self.start(key, activation, Source::PartnerApi, now);
        Ok(())
    }

    fn start(&mut self, key: Key, activation: Activation, source: Source, now: DateTime<Utc>) {
        let trial_days = self.applications.get(&key.0).map_or(0, |app| app.trial_days);
        let second_trial = self.terms.second_trial;
        let link = self.link(key, now);
        link.turn(Status::Active, source, now);
        link.activated_at = Some(now);
        for channel in activation.channels {
            link.channels.insert(channel, true);
        }
        link.special_settings = activation.special_settings;
        let had_trial = link.payments.iter().any(|paid| paid.origin == Origin::Trial);
        let trial = trial_days > 0 && (second_trial || !had_trial);
        let hooks = self.hooks.entry(key.1).or_default();
        for url in activation.webhook_urls {
            hooks.push(Hook::subscribed(url, Some(key.0)));
        }
        if trial {
            let payment = NewPayment {
                sum: 0.into(),
                currency_iso: String::new(),
                paid_at: now,
                from: now,
                to: now + TimeDelta::days(i64::from(trial_days)),
                origin: Origin::Trial,
            };
            self.record(key, payment, now);
        }
    }

    /// Writes a payment down and answers its id.
    fn record(&mut self, key: Key, payment: NewPayment, now: DateTime<Utc>) -> i64 {
        let id = self.next_payment_id;
        self.next_payment_id += 1;
        self.link(key, now).payments.push(Payment {
            id,
            payment_sum: payment.sum,
            currency_iso: payment.currency_iso,
            payment_date: payment.paid_at,
            period_from: payment.from,
            period_to: payment.to,
            is_refunded: false,
            origin: payment.origin,
        });
        id
    }

    /// A payment arrives, reported (M10) or through the platform: the period is recorded and
    /// a frozen or disabled installation works again.
    pub(super) fn paid(&mut self, key: Key, payment: NewPayment, source: Source, now: DateTime<Utc>) -> i64 {
        let id = self.record(key, payment, now);
        let link = self.link(key, now);
        link.refunded_at = None;
        match link.status {
            Status::Freezed | Status::Disabled => {
                link.turn(Status::Active, source, now);
                let parked = std::mem::take(&mut link.parked_hooks);
                self.hooks.entry(key.1).or_default().extend(parked);
            }
            Status::Pending | Status::Active | Status::Uninstalled => {}
        }
        id
    }

    /// The platform tells the application about a payment made through it.
    pub(super) fn announce_payment(&mut self, key: Key, period: &PaidPeriod) {
        let body = callbacks::payment(key, &self.partner_token, period);
        self.call_back(key, "payment", body);
    }

    /// Gives a payment back. `None`: no such payment, or given back before.
    pub(super) fn refund(&mut self, payment_id: i64, now: DateTime<Utc>) -> Option<Key> {
        for (key, link) in &mut self.links {
            let Some(payment) = link.payments.iter_mut().find(|paid| paid.id == payment_id) else {
                continue;
            };
            if payment.is_refunded {
                return None;
            }
            payment.is_refunded = true;
            let running = payment.period_from <= now && now <= payment.period_to;
            if running {
                link.refunded_at = Some(now);
            }
            return Some(*key);
        }
        None
    }

    /// The trial or paid period is over: no API access, no events, a callback.
    pub(super) fn freeze(&mut self, key: Key, at: DateTime<Utc>) {
        self.suspend(key, Status::Freezed, at);
        let body = callbacks::lifecycle(key, "freeze", &self.partner_token);
        self.call_back(key, "freeze", body);
    }

    /// Ends a working installation, keeping its addresses for a later return.
    fn suspend(&mut self, key: Key, to: Status, at: DateTime<Utc>) {
        let hooks = self.hooks.entry(key.1).or_default();
        let (own, others) = hooks.drain(..).partition(|hook| hook.application_id == Some(key.0));
        *hooks = others;
        let link = self.link(key, at);
        link.turn(to, Source::Marketplace, at);
        link.parked_hooks = own;
    }

    /// The link ends, by the owner or by the application. False: there was nothing to end.
    pub(super) fn uninstall(&mut self, key: Key, source: Source, now: DateTime<Utc>) -> bool {
        if !self.end(key, source, now) {
            return false;
        }
        let body = callbacks::lifecycle(key, "uninstall", &self.partner_token);
        self.call_back(key, "uninstall", body);
        true
    }

    fn end(&mut self, key: Key, source: Source, at: DateTime<Utc>) -> bool {
        let Some(link) = self.links.get_mut(&key) else {
            return false;
        };
        if link.status == Status::Uninstalled {
            return false;
        }
        link.turn(Status::Uninstalled, source, at);
        link.parked_hooks.clear();
        link.channels.clear();
        link.short_names.clear();
        link.special_settings.clear();
        link.refunded_at = None;
        // What is left of the periods does not come back with a new connection.
        link.cut_periods(at);
        if let Some(hooks) = self.hooks.get_mut(&key.1) {
            hooks.retain(|hook| hook.application_id != Some(key.0));
        }
        true
    }

    /// Does what became due by the passing of time. Each change is dated when it was due.
    pub(super) fn sweep(&mut self, now: DateTime<Utc>) {
        let due: Vec<(Key, Due)> = self
            .links
            .iter()
            .filter_map(|(key, link)| self.due(link, now).map(|due| (*key, due)))
            .collect();
        for (key, due) in due {
            match due {
                Due::Expire(at) => {
                    self.end(key, Source::Marketplace, at);
                }
                Due::Freeze(at) => self.freeze(key, at),
                Due::Disable(at) => self.suspend(key, Status::Disabled, at),
            }
        }
    }

    fn due(&self, link: &Link, now: DateTime<Utc>) -> Option<Due> {
        match link.status {
            Status::Pending => {
                let at = link.created_at + self.terms.activation_limit;
                (at <= now).then_some(Due::Expire(at))
            }
            Status::Active if link.covered(now) => None,
            Status::Active => {
                if let Some(refunded_at) = link.refunded_at {
                    let at = refunded_at + self.terms.refund_lag;
                    return (at <= now).then_some(Due::Disable(at));
                }
                let at = link.paid_until()? + self.terms.freeze_lag;
                (at <= now).then_some(Due::Freeze(at))
            }
            Status::Freezed | Status::Disabled | Status::Uninstalled => None,
        }
    }
}

/// What has to happen to a link, and since when.
enum Due {
    Expire(DateTime<Utc>),
    Freeze(DateTime<Utc>),
    Disable(DateTime<Utc>),
}

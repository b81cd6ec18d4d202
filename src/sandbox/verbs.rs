//! The control verbs: what owners, time and bad luck do. The HTTP control API calls the same
//! methods. A verb that causes callbacks comes back when they were sent.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::calls::Calls;
use super::chats::Said;
use super::events::{Change, Manner};
use super::faults::Fault;
use super::inbox::Received;
use super::links::{Source, Status};
use super::locations::Location;
use super::mailbox::Mail;
use super::options::Application;
use super::payments::{Paid, Pay};
use super::sender::Sent;
use super::state::{Key, State};
use super::truth::{LinkTruth, Truth};

/// An application at a location.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Application.
    pub application_id: i64,
    /// Location.
    pub location_id: i64,
}

impl Place {
    fn key(self) -> Key {
        (self.application_id, self.location_id)
    }
}

impl Sandbox {
    /// Adds or replaces a location.
    pub async fn put_location(&self, location: Location) -> Result<()> {
        if location.id <= 0 {
            bail!("a location needs a positive id");
        }
        if location.timezone_name.parse::<chrono_tz::Tz>().is_err() {
            bail!("{:?} is not the name of a time zone", location.timezone_name);
        }
        self.lock().put_location(location);
        Ok(())
    }

    /// Adds or replaces an application.
    pub async fn put_application(&self, application: Application) -> Result<()> {
        if application.id <= 0 {
            bail!("an application needs a positive id");
        }
        self.lock().applications.insert(application.id, application);
        Ok(())
    }

    /// The owner uninstalls: the link ends, and the application is called back.
    pub async fn disconnect(&self, place: Place) -> Result<()> {
        self.act(|state, now| {
            if state.uninstall(place.key(), Source::Marketplace, now) {
                Ok(())
            } else {
                bail!("the application is not connected at this location")
            }
        })
        .await
    }

    /// Ends the running period now: the link is frozen, and the application is called back.
    pub async fn freeze(&self, place: Place) -> Result<()> {
        self.act(|state, now| {
            let link = state.links.get_mut(&place.key()).context("never connected")?;
            if link.status != Status::Active {
                bail!("only an active link can be frozen");
            }
            link.cut_periods(now);
            state.freeze(place.key(), now);
            Ok(())
        })
        .await
    }

    /// The owner pays through the platform: the period is recorded from the end of the last
    /// one (or now, if later), a frozen link works again, and the application is told by a
    /// signed callback.
    pub async fn pay(&self, pay: Pay) -> Result<Paid> {
        self.act(|state, now| state.platform_payment(&pay, now)).await
    }

    /// Gives a payment back, as the owner's side would. A running period ends the link later.
    pub async fn refund(&self, payment_id: i64) -> Result<()> {
        self.act(|state, now| {
            let found = state.refund(payment_id, now);
            found.map(|_| ()).context("there is no such payment to give back")
        })
        .await
    }

    /// An entity changed. Answers the number of deliveries queued.
    pub async fn change(&self, change: Change) -> Result<usize> {
        let delivery = &self.world.delivery;
        let manner = Manner {
            delay: TimeDelta::from_std(delivery.delay)?,
            hook_id: delivery.hook_id,
            array: delivery.array,
        };
        let queued = self.act(|state, now| Ok(state.change(&change, manner, now))).await?;
        self.send_due_events();
        Ok(queued)
    }

    /// Time passes: every stored date moves into the past, and what became due happens.
    pub async fn advance(&self, by: Duration) -> Result<()> {
        let by = TimeDelta::from_std(by)?;
        if by > TimeDelta::days(36_500) {
            bail!("a hundred years at most");
        }
        self.act(|state, now| {
            state.age(by);
            state.sweep(now);
            Ok(())
        })
        .await?;
        self.send_due_events();
        Ok(())
    }

    /// Waits until nothing is queued or under way, also the delay of entity events.
    pub async fn settle(&self) -> Result<()> {
        loop {
            let queued = {
                let state = self.lock();
                let queued = state.callbacks.len() + state.events.len();
                queued + self.world.in_flight.load(Ordering::SeqCst)
            };
            if queued == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Orders a fault for the next calls of a name.
    pub async fn fail(&self, fault: Fault) -> Result<()> {
        let fault = fault.checked()?;
        self.lock().faults.add(fault);
        Ok(())
    }

    /// The faults not used up yet.
    pub async fn faults(&self) -> Vec<Fault> {
        self.lock().faults.left()
    }

    /// Forgets all faults.
    pub async fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// Everything the sandbox knows.
    pub async fn truth(&self) -> Truth {
        self.lock().truth()
    }

    /// What is known of one application at one location.
    pub async fn link(&self, application_id: i64, location_id: i64) -> Option<LinkTruth> {
        self.lock().link_truth((application_id, location_id))
    }

    /// The calls that came, in order.
    pub async fn calls(&self) -> Calls {
        self.lock().calls.report()
    }

    /// Forgets the calls and the deliveries so far.
    pub async fn reset_calls(&self) {
        let mut state = self.lock();
        state.calls.clear();
        state.sent.clear();
    }

    /// How every callback and entity event fared, in order of their ends.
    pub async fn deliveries(&self) -> Vec<Sent> {
        self.lock().sent.to_vec()
    }

    /// The mails the mailbox took.
    pub async fn mails(&self) -> Vec<Mail> {
        self.lock().mails.to_vec()
    }

    /// The requests the inboxes took.
    pub async fn inbox(&self) -> Vec<Received> {
        self.lock().inbox.to_vec()
    }

    /// The messages that the stand-ins for Telegram and Slack took.
    pub async fn chats(&self) -> Vec<Said> {
        self.lock().chats.to_vec()
    }

    /// Changes the state and waits until the callbacks it caused were sent.
    pub(super) async fn act<T>(&self, change: impl FnOnce(&mut State, DateTime<Utc>) -> Result<T>) -> Result<T> {
        let done = change(&mut self.lock(), Utc::now());
        for callback in self.send_callbacks() {
            // A callback that panicked or was cut off is missing in the deliveries.
            let _ = callback.await;
        }
        done
    }
}

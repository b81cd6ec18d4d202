//! What the checks do with the backend, and where they look.

use std::cell::Cell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use url::Url;

use super::super::sender::{Class, Sent};
use super::super::{
    CallRecord, Change, Connect, Fault, FaultKind, Forged, LinkTruth, Owner, Place, Sandbox, Shape, Status,
};
use super::Trial;

/// A browser gives up after so many redirects.
const MOST_HOPS: usize = 10;
/// The sender of webhooks gives up after this (contract 7.3); nobody waits longer for a page either.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(25);

/// A check that cannot be played: not the fault of what it would have judged.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unplayable(pub(super) String);

/// What a browser got in the end.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: u16,
    pub(super) url: String,
    pub(super) seconds: f64,
    /// A header that forbids the cabinet to show the page in its card.
    pub(super) unframeable: Option<String>,
}

/// The sandbox, the trial, and what was made so far.
pub(super) struct Scene {
    pub(super) sandbox: Sandbox,
    pub(super) trial: Trial,
    pub(super) began: DateTime<Utc>,
    next: Cell<i64>,
    /// A location that works, for checks that disturb nothing.
    working: Cell<Option<i64>>,
    slowest_page: Cell<f64>,
}

impl Scene {
    pub(super) fn new(sandbox: Sandbox, trial: Trial) -> Self {
        Self {
            sandbox,
            next: Cell::new(trial.first_location),
            trial,
            began: Utc::now(),
            working: Cell::new(None),
            slowest_page: Cell::new(0.0),
        }
    }

    pub(super) fn place(&self, location_id: i64) -> Place {
        Place {
            application_id: self.trial.application_id,
            location_id,
        }
    }

    /// Locations nobody has seen before.
    pub(super) fn locations(&self, count: i64) -> Vec<i64> {
        let first = self.next.get();
        self.next.set(first + count);
        (first..first + count).collect()
    }

    pub(super) fn location(&self) -> i64 {
        self.locations(1)[0]
    }

    fn visit(&self, shape: Shape, locations: &[i64]) -> Connect {
        Connect {
            location_ids: locations.to_vec(),
            shape: Some(shape),
            user: Owner {
                // Base64 of this has a plus and a slash in it, wherever it begins.
                salon_name: Some("Salon >>>> ???? ~~~~".to_owned()),
                ..Owner::default()
            },
            ..Connect::new(self.trial.application_id, 0)
        }
    }

    /// The owner consents, and the browser goes where the marketplace sends it.
    pub(super) async fn connect(&self, shape: Shape, locations: &[i64]) -> Result<Page> {
        let connected = self.sandbox.connect(self.visit(shape, locations)).await?;
        self.browse(connected.redirect_url).await
    }

    /// The card of the application is opened; nothing was connected by that.
    pub(super) async fn open(&self, shape: Shape, locations: &[i64]) -> Result<Page> {
        let opened = self.sandbox.open(self.visit(shape, locations)).await?;
        self.browse(opened.redirect_url).await
    }

    async fn browse(&self, url: Option<String>) -> Result<Page> {
        let page = self.get(&url.context("the sandbox made no redirect")?).await?;
        self.slowest_page.set(self.slowest_page.get().max(page.seconds));
        Ok(page)
    }

    /// Opens an address as a browser does, redirects and all.
    pub(super) async fn get(&self, url: &str) -> Result<Page> {
        let mut url = Url::parse(url).with_context(|| format!("{url} is no address"))?;
        let started = Instant::now();
        for _ in 0..MOST_HOPS {
            let request = self.sandbox.world.http.get(url.clone()).header("Accept", "text/html");
            let answer = request.timeout(ANSWER_LIMIT).send().await.map_err(|error| {
                let what = if error.is_timeout() {
                    "no answer in 10 s"
                } else {
                    "no answer"
                };
                anyhow::anyhow!("{what} from {}{}", url.origin().ascii_serialization(), url.path())
            })?;
            let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
            let next = header("location").and_then(|next| url.join(next).ok());
            // Where the backend sends the browser in the end, for instance into the cabinet, is not its own.
            let next = next.filter(|next| answer.status().is_redirection() && next.origin() == url.origin());
            if let Some(next) = next {
                url = next;
                continue;
            }
            return Ok(Page {
                status: answer.status().as_u16(),
                url: format!("{}{}", url.origin().ascii_serialization(), url.path()),
                seconds: started.elapsed().as_secs_f64(),
                unframeable: header("x-frame-options").map(str::to_owned),
            });
        }
        anyhow::bail!("more than {MOST_HOPS} redirects")
    }

    pub(super) fn slowest_page(&self) -> f64 {
        self.slowest_page.get()
    }

    /// What the marketplace knows of a location.
    pub(super) async fn link(&self, location: i64) -> Option<LinkTruth> {
        self.sandbox.link(self.trial.application_id, location).await
    }

    pub(super) async fn is_active(&self, location: i64) -> bool {
        let link = self.link(location).await;
        link.is_some_and(|link| link.link.status == Status::Active)
    }

    /// Asks again and again, until it is so or the time is over.
    pub(super) async fn until(&self, time: Duration, so: impl AsyncFn() -> bool) -> bool {
        let began = Instant::now();
        while !so().await {
            if began.elapsed() > time {
                return false;
            }
            tokio::time::sleep(STEP).await;
        }
        true
    }

    pub(super) async fn until_active(&self, location: i64) -> bool {
        self.until(self.trial.patience, async || self.is_active(location).await)
            .await
    }

    /// Lets things happen that should not.
    pub(super) async fn quiet(&self) {
        tokio::time::sleep(self.trial.quiet).await;
    }

    /// A location that has just been connected and works.
    pub(super) async fn fresh(&self) -> Result<i64> {
        let location = self.location();
        self.connect(Shape::Single, &[location]).await?;
        if self.until_active(location).await {
            self.working.set(self.working.get().or(Some(location)));
            Ok(location)
        } else {
            Err(Unplayable("no location was activated, so there was nothing to try it on".to_owned()).into())
        }
    }

    /// A location that works; only for checks that leave it as it is.
    pub(super) async fn working(&self) -> Result<i64> {
        match self.working.get() {
            Some(location) if self.is_active(location).await => Ok(location),
            _ => {
                self.working.set(None);
                self.fresh().await
            }
        }
    }

    /// The webhook address that the backend registered for a location.
    pub(super) async fn hook(&self, location: i64) -> Result<String> {
        let urls = self.link(location).await.map(|link| link.webhook_urls);
        let first = urls.and_then(|urls| urls.into_iter().next());
        first.ok_or_else(|| {
            let why = "the activation registered no webhook address (webhook_urls), so no event can be sent";
            Unplayable(why.to_owned()).into()
        })
    }

    /// The calls about a location so far, of these names.
    pub(super) async fn calls(&self, location: i64, names: &[&str]) -> Vec<CallRecord> {
        let calls = self.sandbox.calls().await.items;
        let wanted = |call: &CallRecord| call.location_id == Some(location) && names.contains(&call.call);
        calls.into_iter().filter(wanted).collect()
    }

    /// How often the backend has asked to activate a location.
    pub(super) async fn activations(&self, location: i64) -> usize {
        self.calls(location, &["activate", "activate_redirect"]).await.len()
    }

    /// A fault for this location's calls or deliveries.
    pub(super) async fn fail(&self, location: i64, fault: Fault) -> Result<()> {
        self.sandbox.fail(fault.at(location)).await
    }

    /// The owner disconnects; with `told` off, the callback about it is lost.
    pub(super) async fn disconnect(&self, location: i64, told: bool) -> Result<()> {
        if !told {
            let lost = Fault::new("callback.uninstall", FaultKind::Lost);
            self.fail(location, lost).await?;
        }
        self.sandbox.disconnect(self.place(location)).await
    }

    /// Sends a callback made to order; how it fared.
    pub(super) async fn callback(&self, forged: Forged) -> Result<Sent> {
        let location = forged.location_id;
        self.sandbox.callback(forged).await?;
        self.last(Class::Callback, location).await
    }

    /// The callback about a location that was sent last.
    pub(super) async fn last(&self, class: Class, location: i64) -> Result<Sent> {
        let sent = self.sandbox.deliveries().await;
        let found = sent
            .into_iter()
            .rev()
            .find(|sent| sent.class == class && sent.location_id == location);
        found.context("the sandbox sent nothing")
    }

    /// Sends the events of a change; how each fared.
    pub(super) async fn change(&self, change: Change) -> Result<Vec<Sent>> {
        let location = change.location_id;
        self.hook(location).await?;
        let of_here = |sent: &Sent| sent.class == Class::Event && sent.location_id == location;
        let before = self
            .sandbox
            .deliveries()
            .await
            .iter()
            .filter(|sent| of_here(sent))
            .count();
        self.sandbox.change(change).await?;
        self.sandbox.settle().await?;
        let all = self.sandbox.deliveries().await;
        Ok(all.into_iter().filter(of_here).skip(before).collect())
    }
}

//! The owner's browser: consent, the redirect, and following it.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::links::Status;
use super::redirect::{Owner, Redirect, Shape};
use super::state::State;

/// The owner presses Connect, or opens the card again.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connect {
    /// Application.
    pub application_id: i64,
    /// Locations; unknown ones are invented.
    pub location_ids: Vec<i64>,
    /// The owner.
    pub user: Owner,
    /// Shape of the redirect; default `single` or `brackets`, by the number of locations.
    pub shape: Option<Shape>,
    /// Whether the sandbox opens the redirect itself, like a browser.
    pub follow: bool,
}

impl Connect {
    /// One location, without following the redirect.
    pub fn new(application_id: i64, location_id: i64) -> Self {
        Self {
            application_id,
            location_ids: vec![location_id],
            ..Self::default()
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Connected {
    /// Where the browser is sent; absent for non-public applications.
    pub redirect_url: Option<String>,
    /// The locations and the status of each.
    pub links: Vec<Connection>,
    /// What the browser got, when it followed.
    pub followed: Option<Followed>,
}

/// A location and its status.
#[derive(Debug, Clone, Serialize)]
pub struct Connection {
    /// Location.
    pub location_id: i64,
    /// Status after the consent.
    pub status: Status,
}

/// What a browser got.
#[derive(Debug, Clone, Serialize)]
pub struct Followed {
    /// HTTP status.
    pub status: u16,
    /// Where it is sent next.
    pub location: Option<String>,
    /// The page.
    pub body: String,
}

impl Sandbox {
    /// The owner consents: links become pending (of a non-public application: active), and the
    /// browser is sent to the application. Links that are connected stay as they are.
    pub async fn connect(&self, connect: Connect) -> Result<Connected> {
        self.visit(connect, true).await
    }

    /// The card is opened again: the same redirect, without any change.
    pub async fn open(&self, connect: Connect) -> Result<Connected> {
        self.visit(connect, false).await
    }

    async fn visit(&self, connect: Connect, consent: bool) -> Result<Connected> {
        let visited = self.act(|state, now| state.visit(&connect, consent, now)).await;
        let mut connected = visited?;
        if let (true, Some(url)) = (connect.follow, &connected.redirect_url) {
            connected.followed = Some(self.follow(url.clone()).await?);
        }
        Ok(connected)
    }

    async fn follow(&self, url: String) -> Result<Followed> {
        let http = self.world.http.clone();
        let timeout = self.world.delivery.attempt_timeout;
        let task = self.world.runtime.spawn(async move {
            let request = http.get(url).header("Accept", "text/html").timeout(timeout);
            let answer = request.send().await?;
            let header = answer.headers().get("location");
            Ok::<_, reqwest::Error>(Followed {
                status: answer.status().as_u16(),
                location: header.and_then(|value| value.to_str().ok()).map(str::to_owned),
                body: answer.text().await?,
            })
        });
        task.await?.context("the redirect could not be opened")
    }
}

impl State {
    fn visit(&mut self, connect: &Connect, consent: bool, now: DateTime<Utc>) -> Result<Connected> {
        let application = self.applications.get(&connect.application_id);
        let application = application.context("unknown application")?.clone();
        let first = connect.location_ids.first().copied();
        let first = first.context("name at least one location")?;
        let redirect_url = match application.public {
            false => None,
            true => {
                let token = self.partner_token.clone();
                let redirect = Redirect {
                    base: &application.redirect_url,
                    token: &token,
                    locations: &connect.location_ids,
                    owner: &connect.user,
                    salon_name: &self.location(first).title,
                    pass_user_data: application.pass_user_data,
                    shape: connect.shape.unwrap_or(match connect.location_ids.len() {
                        1 => Shape::Single,
                        _ => Shape::Brackets,
                    }),
                };
                Some(redirect.url()?)
            }
        };
        let status = |state: &mut Self, location_id: i64| {
            let key = (connect.application_id, location_id);
            if consent {
                return state.consent(key, now);
            }
            state.links.get(&key).map_or(Status::Uninstalled, |link| link.status)
        };
        let mut links = Vec::new();
        for &location_id in &connect.location_ids {
            let status = status(self, location_id);
            links.push(Connection { location_id, status });
        }
        Ok(Connected {
            redirect_url,
            links,
            followed: None,
        })
    }
}

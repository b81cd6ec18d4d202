//! The marketplace played against somebody's backend, whatever it is written in: what the moderators try,
//! and the traps that integrators fell into. Judged is only what shows outside: the answers of the backend,
//! and what it asks of the sandbox.

mod activating;
mod callbacks;
mod connecting;
mod manners;
mod moderation;
mod scene;
mod webhooks;

use std::time::Duration;

use anyhow::Result;
use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use super::{Application, Sandbox, options::Tariff, options::TariffOption};
use scene::{Scene, Unplayable};

/// What is tried, and how patiently.
#[derive(Debug, Clone)]
pub struct Trial {
    /// The application that the backend serves.
    pub application_id: i64,
    /// The registration redirect URL of the backend.
    pub connect_url: String,
    /// Its callback URL.
    pub callback_url: String,
    /// The user token of the application's system user, as the backend knows it.
    pub user_token: String,
    /// Locations are numbered from here on.
    pub first_location: i64,
    /// Whether the redirect carries signed user data.
    pub user_data: bool,
    /// Whether one redirect may connect several locations.
    pub several: bool,
    /// How long the backend may take for what it has to do by itself.
    pub patience: Duration,
    /// How long is watched that nothing happens.
    pub quiet: Duration,
    /// How long a call hangs that is answered by nothing.
    pub hang: Duration,
    /// Time for people to report a payment and a refund by hand.
    pub wait: Duration,
    /// Events in a burst.
    pub burst: u32,
    /// Names of the checks to make; empty: all.
    pub only: Vec<String>,
}

impl Trial {
    /// A trial of an application with these two addresses, and the defaults for everything else.
    pub fn new(application_id: i64, connect_url: impl Into<String>, callback_url: impl Into<String>) -> Self {
        Self {
            application_id,
            connect_url: connect_url.into(),
            callback_url: callback_url.into(),
            user_token: "conformance-user-token".to_owned(),
            first_location: 900_001,
            user_data: true,
            several: true,
            patience: Duration::from_secs(30),
            quiet: Duration::from_secs(3),
            hang: Duration::from_secs(25),
            wait: Duration::ZERO,
            burst: 500,
            only: Vec::new(),
        }
    }
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// It works, and will be trouble some day.
    Warn,
    /// It could not be tried, or does not show outside.
    NotSeen,
}

impl Verdict {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Warn => "warn",
            Self::NotSeen => "not seen",
        }
    }
}

/// What one check found.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Name of the check.
    pub check: &'static str,
    /// What should be.
    pub about: &'static str,
    /// How it ended.
    pub result: Verdict,
    /// What was seen, in a sentence.
    pub seen: String,
}

/// What a check saw, and what that means.
struct Finding {
    result: Verdict,
    seen: String,
}

impl Finding {
    fn pass(seen: impl Into<String>) -> Played {
        Ok(Self::of(Verdict::Pass, seen))
    }

    fn fail(seen: impl Into<String>) -> Played {
        Ok(Self::of(Verdict::Fail, seen))
    }

    fn warn(seen: impl Into<String>) -> Played {
        Ok(Self::of(Verdict::Warn, seen))
    }

    fn not_seen(seen: impl Into<String>) -> Played {
        Ok(Self::of(Verdict::NotSeen, seen))
    }

    fn of(result: Verdict, seen: impl Into<String>) -> Self {
        Self {
            result,
            seen: seen.into(),
        }
    }
}

/// What came of playing a check. An error fails it, unless it says that it could not be played.
type Played = Result<Finding>;

/// One thing that is tried.
struct Check {
    name: &'static str,
    about: &'static str,
    run: for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, Played>,
}

/// All checks, in the order in which they are made. Those of `manners` judge everything before them.
const CHECKS: [&[Check]; 6] = [
    moderation::CHECKS,
    connecting::CHECKS,
    activating::CHECKS,
    callbacks::CHECKS,
    webhooks::CHECKS,
    manners::CHECKS,
];

/// The names of all checks with what each is about.
pub fn checks() -> impl Iterator<Item = (&'static str, &'static str)> {
    CHECKS.into_iter().flatten().map(|check| (check.name, check.about))
}

/// Plays the marketplace against the backend that this sandbox is the marketplace of. Each outcome is told
/// as soon as it is there.
///
/// # Errors
/// When the scene cannot be set, for instance because an id of the trial is no id.
pub async fn play(sandbox: &Sandbox, trial: &Trial, told: &dyn Fn(&Outcome)) -> Result<Vec<Outcome>> {
    for id in [trial.application_id, sibling(trial)] {
        sandbox.put_application(application(trial, id)).await?;
    }
    let scene = Scene::new(sandbox.clone(), trial.clone());
    let mut outcomes = Vec::new();
    for check in CHECKS.into_iter().flatten() {
        if !trial.only.is_empty() && !trial.only.iter().any(|name| name == check.name) {
            continue;
        }
        let finding = (check.run)(&scene)
            .await
            .unwrap_or_else(|error| match error.downcast() {
                Ok(Unplayable(why)) => Finding::of(Verdict::NotSeen, why),
                Err(error) => Finding::of(Verdict::Fail, format!("{error:#}")),
            });
        sandbox.clear_faults().await;
        let outcome = Outcome {
            check: check.name,
            about: check.about,
            result: finding.result,
            seen: finding.seen,
        };
        told(&outcome);
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// Another application of the same developer account.
fn sibling(trial: &Trial) -> i64 {
    trial.application_id + 1
}

fn application(trial: &Trial, id: i64) -> Application {
    let own = id == trial.application_id;
    let option = TariffOption {
        id: 123,
        ..TariffOption::default()
    };
    Application {
        id,
        title: "Conformance run".to_owned(),
        callback_url: trial.callback_url.clone(),
        redirect_url: trial.connect_url.clone(),
        pass_user_data: trial.user_data,
        system_user_token: if own { trial.user_token.clone() } else { String::new() },
        tariffs: vec![Tariff {
            id: 89,
            title: "1 month".to_owned(),
            options: vec![option],
        }],
        ..Application::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_sentence() {
        let mut names: Vec<&str> = checks().map(|(name, _)| name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for (name, about) in checks() {
            assert!(about.ends_with('.') && about.len() < 120, "{name}: {about}");
        }
    }
}

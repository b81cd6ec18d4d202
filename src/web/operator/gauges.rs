use std::time::Duration;

use actix_web::{HttpResponse, web};
use chrono::Utc;
use tracing::warn;

use crate::{
    app::App,
    domain::{action::ACTION_NAMES, installation::Status},
    store::{
        self,
        ledger::State,
        looks::Hooks,
        stats::{self, Stats},
    },
};

/// The figures are left as they are when reading them takes longer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A database that was slow with the figures has so long to say that it is there.
const ANSWER: Duration = Duration::from_secs(2);

/// `GET /metrics`
pub(super) async fn metrics(app: web::Data<App>) -> HttpResponse {
    let is_up = match stats::read(&app.pool, app.config.activation.limit, PATIENCE).await {
        Ok(Some(stats)) => {
            show(&app, &stats);
            let now = Utc::now().timestamp_millis() as f64 / 1_000.0;
            app.metrics.figures_last_read_timestamp_seconds.set(now);
            true
        }
        Ok(None) => {
            warn!("Reading the figures of the queues took too long");
            answers(&app).await
        }
        Err(error) => {
            warn!(%error, "The figures of the queues could not be read");
            answers(&app).await
        }
    };
    app.metrics.database_up.set(i64::from(is_up));
    let pool = &app.metrics.database_pool_connections;
    let idle = i64::try_from(app.pool.num_idle()).unwrap_or(0);
    pool.with_label_values(&["idle"]).set(idle);
    pool.with_label_values(&["used"]).set(i64::from(app.pool.size()) - idle);
    pool.with_label_values(&["limit"])
        .set(i64::from(app.config.database.connections));
    show_spool(&app);
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(app.metrics.render())
}

/// Whether the database answers, although it told no figures. On a connection of its own: those of the pool may all wait
/// for something else.
pub(super) async fn answers(app: &App) -> bool {
    matches!(tokio::time::timeout(ANSWER, store::ping(&app.pool)).await, Ok(Ok(_)))
}

/// Without a spool all of it reads zero.
fn show_spool(app: &App) {
    let (metrics, content) = (&app.metrics, app.intake.spooled().unwrap_or_default());
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let age = content
        .oldest
        .map_or(0.0, |oldest| (Utc::now() - oldest).as_seconds_f64());
    metrics.spool_events.set(number(content.events));
    metrics.spool_bytes.set(number(content.bytes));
    metrics.spool_oldest_seconds.set(age.max(0.0));
    metrics.spool_set_aside_files.set(number(content.set_aside));
    let limit = if app.config.spool.enabled {
        app.config.spool.limit
    } else {
        0
    };
    metrics.spool_limit_bytes.set(number(limit));
}

/// Every rule with a cap is listed; of those that are gone, what they left.
fn show_held(app: &App, stats: &Stats) {
    let gauge = &app.metrics.firings_held;
    gauge.reset();
    for (application, set) in app.rulebook.now().sets() {
        for rule in set.rules().iter().filter(|rule| rule.cap_per_day.is_some()) {
            gauge.with_label_values(&[&application.to_string(), &rule.name]).set(0);
        }
    }
    for (application, rule, count) in &stats.held {
        gauge.with_label_values(&[&application.to_string(), rule]).set(*count);
    }
}

/// Every label is listed, so that what is empty reads zero.
fn show(app: &App, stats: &Stats) {
    let metrics = &app.metrics;
    for served in app.all_served() {
        let application = served.id.to_string();
        for status in Status::ALL {
            let key = (served.id.0, status.as_str().to_owned());
            let count = stats.installations.get(&key).copied().unwrap_or(0);
            metrics
                .installations
                .with_label_values(&[application.as_str(), status.as_str()])
                .set(count);
        }
        for state in Hooks::ALL {
            let key = (served.id.0, state.as_str().to_owned());
            let count = stats.hooks.get(&key).copied().unwrap_or(0);
            metrics
                .hooks
                .with_label_values(&[application.as_str(), state.as_str()])
                .set(count);
        }
        if app.config.reconcile.enabled {
            let at = stats.reconciled_at.get(&served.id.0).copied().unwrap_or(0.0);
            metrics
                .reconcile_last_success_timestamp_seconds
                .with_label_values(&[&application])
                .set(at);
        }
        let oldest = stats.activation_oldest_seconds.get(&served.id.0);
        let left = oldest.map_or(f64::INFINITY, |age| app.config.activation.safe.as_secs_f64() - age);
        metrics
            .activation_deadline_seconds
            .with_label_values(&[&application])
            .set(left);
    }
    show_held(app, stats);
    show_forwarding(app, stats);
    show_business(app, stats);
    for action in ACTION_NAMES {
        for state in ["available", "running"] {
            let key = (state.to_owned(), action.to_owned());
            let count = stats.jobs.get(&key).copied().unwrap_or(0);
            metrics.jobs.with_label_values(&[state, action]).set(count);
        }
        let discarded = stats.discarded_last_day.get(action).copied().unwrap_or(0);
        metrics
            .jobs_discarded_last_day
            .with_label_values(&[action])
            .set(discarded);
    }
    for state in [State::Intended, State::Unknown].map(State::as_str) {
        let count = stats.ledger.get(state).copied().unwrap_or(0);
        metrics.ledger_entries.with_label_values(&[state]).set(count);
    }
    metrics.job_oldest_due_seconds.set(stats.job_oldest_due_seconds);
    metrics.moments_due.set(stats.moments_due);
    metrics.events_unprocessed.set(stats.events_unprocessed);
    metrics
        .events_oldest_unprocessed_seconds
        .set(stats.events_oldest_unprocessed_seconds);
}

/// Of an application nobody has connected yet all of it reads zero.
fn show_business(app: &App, stats: &Stats) {
    let metrics = &app.metrics;
    for served in app.all_served() {
        let application = served.id.to_string();
        let business = stats.business.get(&served.id.0).copied().unwrap_or_default();
        for (stage, count) in [
            ("trial", business.trial),
            ("paid", business.paid),
            ("other", business.other),
        ] {
            let labels = [application.as_str(), stage];
            metrics.active_installations.with_label_values(&labels).set(count);
        }
        for (outcome, count) in [
            ("paid", business.ended_paid),
            ("unpaid", business.ended_unpaid),
            ("left", business.ended_left),
        ] {
            let labels = [application.as_str(), outcome];
            metrics.trials_ended.with_label_values(&labels).set(count);
        }
        let soon = metrics.trials_ending_soon.with_label_values(&[&application]);
        soon.set(business.ending);
    }
}

/// One label for each rule that forwards; of rules that were taken out nothing stays.
fn show_forwarding(app: &App, stats: &Stats) {
    let metrics = &app.metrics;
    metrics.forwarding_waiting.reset();
    metrics.forwarding_oldest_seconds.reset();
    metrics.forwarding_receiver_down.reset();
    let waits = |(application, rule): (&str, &str), (count, age): (i64, f64)| {
        let labels = [application, rule];
        metrics.forwarding_waiting.with_label_values(&labels).set(count);
        metrics.forwarding_oldest_seconds.with_label_values(&labels).set(age);
    };
    for (id, set) in app.rulebook.now().sets() {
        let application = id.to_string();
        for (rule, url) in set.forwarding() {
            waits((&application, &rule.name), (0, 0.0));
            let down = app.endpoints.of(url).is_open();
            let labels = [application.as_str(), &rule.name];
            metrics
                .forwarding_receiver_down
                .with_label_values(&labels)
                .set(i64::from(down));
        }
    }
    // Also of rules that this process does not know: another one does, or they were taken out.
    for ((application, rule), found) in &stats.forwarding {
        waits((&application.to_string(), rule), *found);
    }
}

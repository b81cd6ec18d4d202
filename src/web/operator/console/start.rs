//! The start page: is it well, and what needs me.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::{Value, context, value::Serde};
use tracing::warn;

use super::{
    super::{entry::Visitor, probes},
    charts::Chart,
    frame::Page,
    needs::{self, Known},
};
use crate::{
    app::App,
    domain::installation::Status,
    store::{
        self,
        reading::activity,
        stats::{self, Stats},
    },
};

/// The page is drawn without what the database has not told by then.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counting deliveries may take so long; the other figures are more important.
const COUNTING: Duration = Duration::from_millis(1_500);

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service.route("/", web::get().to(start));
}

async fn start(app: web::Data<App>, request: HttpRequest, visitor: Visitor) -> HttpResponse {
    let reasons = probes::why_not(&app, &request).await;
    let known = asked(async {
        let stats = stats::read(&app.pool, app.config.activation.limit).await?;
        Known::read(&app, &app.pool, stats).await
    })
    .await;
    let needs = needs::all(&app, known.as_ref());
    let charts = match known {
        Some(_) => asked(charts(&app)).await,
        None => None,
    };
    let counts = known.as_ref().map(|known| counts(&app, &known.stats));
    let page = Page {
        family: "/",
        template: "start.html",
        title: "Start",
    };
    page.show(&visitor, context! { reasons, needs => Serde(&needs), counts, charts })
}

/// What the database tells in time.
async fn asked<T>(question: impl Future<Output = store::Result<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            warn!(%error, "The start page could not read the database");
            None
        }
        Err(_) => None,
    }
}

/// Locations of each application by status, and what is in the queues.
fn counts(app: &App, stats: &Stats) -> Value {
    let applications: Vec<Value> = app
        .all_served()
        .map(|served| {
            let of = |status: &Status| {
                let key = (served.id.0, status.as_str().to_owned());
                stats.installations.get(&key).copied().unwrap_or(0)
            };
            let statuses: Vec<Value> = Status::ALL
                .iter()
                .map(|status| context! { status => status.as_str(), count => of(status) })
                .collect();
            let compared = stats.reconciled_at.get(&served.id.0).filter(|at| **at > 0.0);
            let compared = compared.and_then(|at| chrono::DateTime::from_timestamp(*at as i64, 0));
            let compared = compared.map(|at| at.to_rfc3339());
            context! { id => served.id.0, name => &served.config.name, statuses, compared, compares => app.config.reconcile.enabled }
        })
        .collect();
    let jobs: i64 = stats.jobs.values().sum();
    context! { applications, jobs, events => stats.events_unprocessed, rules => app.rulebook.now().count() }
}

async fn charts(app: &App) -> store::Result<Value> {
    let hours = activity::deliveries(&app.pool, COUNTING).await?.map(|hours| {
        let columns = hours.into_iter().map(|hour| {
            (
                hour.at.format("%-d %b %H:00 UTC").to_string(),
                [hour.taken, hour.refused],
            )
        });
        Chart::new("hour", ["taken", "refused"], columns.collect())
    });
    let days = activity::comings_and_goings(&app.pool).await?;
    let columns = days
        .into_iter()
        .map(|day| (day.day.format("%-d %b").to_string(), [day.connected, day.uninstalled]));
    let days = Chart::new("day", ["connected", "uninstalled"], columns.collect());
    Ok(context! { hours => Serde(hours), days => Serde(days) })
}

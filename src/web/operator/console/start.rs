//! The start page: is it well, and what needs me.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use minijinja::{Value, context, value::Serde};
use tracing::warn;

use super::{
    super::{entry::Visitor, gauges, probes},
    charts::Chart,
    frame::Page,
    needs::{self, Known, NoFigures},
};
use crate::{
    app::App,
    domain::installation::Status,
    store::{
        self, PgPool,
        looking::took_too_long,
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
    let figures = figures(&app).await;
    let needs = needs::all(&app, figures.as_ref().map(|(known, _)| known));
    let is_late = matches!(&figures, Err(NoFigures::Late));
    let (known, charts) = figures.ok().unzip();
    let counts = known.as_ref().map(|known| counts(&app, &known.stats));
    let page = Page {
        family: "/",
        template: "start.html",
        title: "Start",
    };
    page.show(
        &visitor,
        context! { reasons, needs => Serde(&needs), is_late, counts, charts => charts.flatten() },
    )
}

/// The figures, and charts of what came lately where those could be drawn.
async fn figures(app: &App) -> Result<(Known, Option<Value>), NoFigures> {
    let Ok(look) = app.readers.look().await else {
        return Err(NoFigures::Late);
    };
    let away = |error: store::Error| {
        warn!(%error, "The start page could not read the database");
        match took_too_long(&error) {
            true => NoFigures::Late,
            false => NoFigures::Away,
        }
    };
    let stats = match stats::read(&look, app.config.activation.limit, PATIENCE)
        .await
        .map_err(away)?
    {
        Some(stats) => stats,
        None if gauges::answers(app).await => return Err(NoFigures::Late),
        None => return Err(NoFigures::Away),
    };
    let known = Known::read(app, &look, stats).await.map_err(away)?;
    let charts = charts(&look).await;
    let charts = charts.inspect_err(|error| warn!(%error, "The start page could not read what came lately"));
    Ok((known, charts.ok()))
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

async fn charts(pool: &PgPool) -> store::Result<Value> {
    let hours = activity::deliveries(pool, COUNTING).await?.map(|hours| {
        let columns = hours.into_iter().map(|hour| {
            (
                hour.at.format("%-d %b %H:00 UTC").to_string(),
                [hour.taken, hour.refused],
            )
        });
        Chart::new("hour", ["taken", "refused"], columns.collect())
    });
    let days = activity::comings_and_goings(pool).await?;
    let columns = days
        .into_iter()
        .map(|day| (day.day.format("%-d %b").to_string(), [day.connected, day.uninstalled]));
    let days = Chart::new("day", ["connected", "uninstalled"], columns.collect());
    Ok(context! { hours => Serde(hours), days => Serde(days) })
}

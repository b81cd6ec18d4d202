//! One location: where it stands, what can be done, and what happened.

use actix_web::{HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use minijinja::{Value, context, value::Serde};
use serde::Deserialize;

use super::{
    super::{
        entry::Visitor,
        wishes::{self, Wish},
    },
    frame::{self, Page},
    list::{Asked, ROWS, filled},
    refusal::Refusal,
};
use crate::{
    app::App,
    domain::ids::Place,
    store::reading::{
        profile::{self, Profile},
        story::{self, Cursor, Sort},
    },
};

pub(super) fn routes(service: &mut web::ServiceConfig) {
    let orders = [
        ("activate", Wish::Activate),
        ("compare", Wish::Compare),
        ("repair-hooks", Wish::RepairHooks { force: false }),
        ("uninstall", Wish::Uninstall),
    ];
    service
        .route("/locations/{application_id}/{location_id}", web::get().to(show))
        .route(
            "/locations/{application_id}/{location_id}/uninstall",
            web::get().to(confirm_uninstall),
        );
    for (word, wish) in orders {
        let address = format!("/locations/{{application_id}}/{{location_id}}/{word}");
        let order = move |app: web::Data<App>, path: web::Path<(i64, i64)>| order(app, wishes::place(*path), wish);
        service.route(&address, web::post().to(order));
    }
}

/// The address of a place's page.
fn address(place: Place) -> String {
    format!("/locations/{}/{}", place.application_id, place.location_id)
}

/// Queues what is wanted, and shows that it is.
async fn order(app: web::Data<App>, place: Place, wish: Wish) -> Result<HttpResponse, Refusal> {
    let job = wishes::queue(&app, place, wish).await?;
    Ok(frame::see(&format!("{}?queued={job}", address(place))))
}

#[derive(Deserialize)]
struct Query {
    only: Option<String>,
    cursor: Option<String>,
    queued: Option<i64>,
}

async fn show(
    app: web::Data<App>,
    path: web::Path<(i64, i64)>,
    query: web::Query<Query>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let (place, query) = (wishes::place(*path), query.into_inner());
    let look = app.readers.look().await?;
    let profile = profile::of(&look, place).await?;
    let profile = profile.ok_or_else(|| Refusal::unknown_location(place))?;
    let only = filled(query.only);
    let sort = only.as_deref().map(|word| {
        let mut all = Sort::ALL.into_iter();
        all.find(|sort| sort.as_str() == word)
            .ok_or_else(|| Refusal::invalid(format!("There are no happenings of the sort {word}.")))
    });
    let cursor = query.cursor.as_deref().map(str::parse::<Cursor>).transpose();
    let cursor = cursor.map_err(|()| Refusal::no_page())?;
    let story = story::page(&look, place, sort.transpose()?, cursor.unwrap_or_default(), ROWS).await?;
    let asked = Asked::new(&address(place), [("only", only.clone())]);
    let view = context! {
        next => asked.page(story.next_cursor.as_deref()),
        first => query.cursor.is_some().then(|| asked.first()),
        story => Serde(story.items),
        sorts => Sort::ALL.map(Sort::as_str).to_vec(),
        only,
        queued => query.queued,
        ..facts(&app, place, &profile)
    };
    let title = name(&profile);
    let page = Page {
        family: "/locations",
        template: "location.html",
        title: &title,
    };
    Ok(page.show(&visitor, view))
}

/// What the top of the page shows.
fn facts(app: &App, place: Place, profile: &Profile) -> Value {
    let served = app.served(place.application_id);
    let known = profile.location.as_ref();
    let zone = known.and_then(|known| known["timezone_name"].as_str());
    context! {
        name => name(profile),
        here => address(place),
        application => served.map(|served| served.config.name.as_str()),
        card => served.and_then(|served| served.account.brand.card_url(place.location_id.0, place.application_id.0)),
        installation => Serde(&profile.installation),
        known => Serde(known),
        zone,
        clocks => clocks(app, profile),
        tags => Serde(&profile.tags),
        erasures => Serde(&profile.erasures),
        coming => Serde(&profile.coming),
    }
}

fn name(profile: &Profile) -> String {
    let installation = &profile.installation;
    let title = installation.title.clone();
    title.unwrap_or_else(|| format!("Location {}", installation.location_id))
}

/// The dates that matter, with what each of them means.
fn clocks(app: &App, profile: &Profile) -> Vec<Value> {
    let installation = &profile.installation;
    let limits = &app.config.activation;
    let is_under_way = matches!(
        installation.connection.as_deref(),
        Some("activating" | "external" | "failed")
    );
    let began = profile.pending_since.filter(|_| is_under_way);
    let after = |limit| Some(began? + TimeDelta::from_std(limit).ok()?);
    let now = Utc::now();
    // What is over is told as such, and needs nobody.
    let end = |[ahead, over]: [&'static str; 2], at: Option<DateTime<Utc>>| {
        let is_ahead = at.is_some_and(|at| at > now);
        (if is_ahead { ahead } else { over }, at, is_ahead)
    };
    let dates: [(&str, Option<DateTime<Utc>>, bool); 8] = [
        ("Activation: safe deadline", after(limits.safe), true),
        ("Activation: last moment", after(limits.limit), true),
        end(["Trial ends", "Trial ended"], installation.trial_ends_at),
        end(["Paid until", "Was paid until"], installation.paid_until),
        ("In this status since", installation.status_since, false),
        ("Connected", installation.connected_at, false),
        ("Activated", installation.activated_at, false),
        ("Compared with the marketplace", installation.looked_at, false),
    ];
    let dates = dates
        .into_iter()
        .filter_map(|(label, at, is_an_end)| Some((label, at?, is_an_end)));
    dates
        .map(|(label, at, is_an_end)| context! { label, at => at.to_rfc3339(), is_an_end })
        .collect()
}

/// Asks whether it is meant: there is no way back from here but the owner's.
async fn confirm_uninstall(
    app: web::Data<App>,
    path: web::Path<(i64, i64)>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let place = wishes::place(*path);
    let look = app.readers.look().await?;
    let profile = profile::of(&look, place).await?;
    let profile = profile.ok_or_else(|| Refusal::unknown_location(place))?;
    let page = Page {
        family: "/locations",
        template: "uninstall.html",
        title: "Disconnect a location",
    };
    Ok(page.show(&visitor, facts(&app, place, &profile)))
}

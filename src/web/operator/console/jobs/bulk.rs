//! Many jobs at once: a filter, then a look at what would become of each, then the exact number in one's own hand.
//! What is confirmed is what was shown: when others are meant by then, they are shown anew and nothing is done.

use actix_web::{HttpResponse, http::Method, web};
use minijinja::{Value, context};

use super::{
    super::{
        super::entry::{Visitor, orders},
        guard::Form,
        list::{Asked, Given, filled},
        refusal::Refusal,
    },
    FIELDS, filter, order, page,
};
use crate::{
    app::App,
    domain::signature::sha256_of,
    store::{
        jobs::{self, Meant, Obeyed, Order},
        reading::jobs::{Filter, Job},
    },
};

/// The most at once.
const MOST: i64 = 500;

/// Those that are shown one by one.
const SHOWN: usize = 20;

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route("/jobs/all/{order}", web::get().to(preview))
        .route("/jobs/all/{order}", web::post().to(confirm));
}

/// Which orders make sense for the jobs of a filter: word and address.
pub(super) fn offers(asked: &Asked) -> Vec<Value> {
    let state = asked.text("state");
    let offer = |word: &str, states: [&str; 2]| {
        let fits = state.as_deref().is_none_or(|state| states.contains(&state));
        let mut fields = asked.fields();
        fields.entry("state").or_insert_with(|| states[0].to_owned());
        fits.then(|| context! { word, fields })
    };
    let retry = offer("retry", ["discarded", "cancelled"]);
    let cancel = offer("cancel", ["available", "available"]);
    retry.into_iter().chain(cancel).collect()
}

/// What an order would come to.
struct Foreseen {
    asked: Asked,
    jobs: Vec<Job>,
    results: Vec<Obeyed>,
    /// There are more than [`MOST`].
    more: bool,
}

impl Foreseen {
    async fn of(app: &App, order: Order, given: &Given) -> Result<Self, Refusal> {
        let asked = Asked::read("/jobs", FIELDS, given);
        let filter = Filter {
            limit: MOST,
            ..filter(&asked)?
        };
        let Meant { jobs, more } = jobs::meant(&*app.readers.look().await?, order, &filter).await?;
        let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
        let results = jobs::obey_all(&app.pool, order, &ids, true).await?;
        Ok(Self {
            asked,
            jobs,
            results,
            more,
        })
    }

    /// The jobs that would move by themselves.
    fn moving(&self) -> Vec<i64> {
        let moving = self.results.iter().filter(|one| one.reason.is_none());
        moving.map(|one| one.job_id).collect()
    }

    /// Later steps that would go with them.
    fn along(&self) -> usize {
        self.results.iter().map(|one| one.with.len()).sum()
    }

    /// What these jobs, and no others, have in common.
    fn mark(&self) -> String {
        let ids: Vec<String> = self.moving().iter().map(i64::to_string).collect();
        hex::encode(&sha256_of(ids.join(",").as_bytes())[..16])
    }

    /// Why jobs stay as they are, and how many of them.
    fn refused(&self) -> Vec<Value> {
        let mut refused: Vec<(&str, usize, i64)> = Vec::new();
        for one in &self.results {
            let Some(why) = one.reason.as_deref() else { continue };
            match refused.iter_mut().find(|(known, ..)| *known == why) {
                Some((_, count, _)) => *count += 1,
                None => refused.push((why, 1, one.job_id)),
            }
        }
        let told = refused.into_iter();
        told.map(|(why, count, first)| context! { why, count, first }).collect()
    }

    fn show(&self, word: &str, visitor: &Visitor, mistake: Option<&str>) -> HttpResponse {
        let moving = self.moving();
        let shown = self.jobs.iter().filter(|job| moving.contains(&job.id)).take(SHOWN);
        let mut fields = self.asked.fields();
        fields.insert("mark", self.mark());
        let view = context! {
            word,
            mistake,
            count => moving.len(),
            along => self.along(),
            first => shown.map(|job| minijinja::value::Serde(job).into()).collect::<Vec<Value>>(),
            refused => self.refused(),
            more => self.more.then_some(MOST),
            asked => self.asked.fields(),
            fields,
            back => self.asked.first(),
        };
        let title = match word {
            "retry" => "Try jobs again",
            _ => "Cancel jobs",
        };
        page("jobs_bulk.html", title).show(visitor, view)
    }
}

async fn preview(
    app: web::Data<App>,
    word: web::Path<String>,
    given: web::Query<Given>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let order = order(&app, &word)?;
    if !visitor.role.may(&Method::POST) {
        return Err(Refusal::reader());
    }
    let foreseen = Foreseen::of(&app, order, &given).await?;
    Ok(foreseen.show(&word, &visitor, None))
}

async fn confirm(
    app: web::Data<App>,
    word: web::Path<String>,
    Form(given): Form<Given>,
    visitor: Visitor,
) -> Result<HttpResponse, Refusal> {
    let order = order(&app, &word)?;
    let foreseen = Foreseen::of(&app, order, &given).await?;
    let moving = foreseen.moving();
    let mistake = if given.get("mark") != Some(&foreseen.mark()) {
        Some("Meanwhile other jobs are meant than those that were shown. Nothing was done; look once more.".to_owned())
    } else if filled(given.get("number").cloned()) != Some(moving.len().to_string()) {
        Some(format!(
            "Nothing was done: to go on, write the exact number, {}.",
            moving.len()
        ))
    } else {
        None
    };
    if let Some(mistake) = mistake {
        return Ok(foreseen.show(&word, &visitor, Some(&mistake)));
    }
    let results = jobs::obey_all(&app.pool, order, &moving, false).await?;
    orders::jobs(order, &foreseen.asked.fields(), &results);
    app.wake.for_jobs();
    let done = results.iter().filter(|one| one.reason.is_none()).count();
    let refused: Vec<Value> = results
        .iter()
        .filter_map(|one| Some(context! { id => one.job_id, why => one.reason.as_deref()? }))
        .collect();
    let along: usize = results.iter().map(|one| one.with.len()).sum();
    let view = context! { word => &*word, done, along, refused, more => foreseen.more, back => foreseen.asked.first() };
    Ok(page("jobs_done.html", "Done").show(&visitor, view))
}

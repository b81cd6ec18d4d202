//! The console: what an operator sees and does in a browser. Pages are drawn here and need no script.
//!
//! A family of pages has a file here and its templates in `web/pages/console`. It registers its routes in [`routes`] and
//! its templates and its place in the navigation in [`frame`], reads through `store::reading`, and answers with
//! [`frame::Page`]. A form that changes something is a POST, drawn with the macro `order` of `parts.html`. Whoever sends
//! one was let in before a page hears of it, and its fields come as [`guard::Form`].

mod assets;
mod charts;
mod entrance;
mod events;
mod firings;
mod frame;
mod guard;
mod jobs;
mod ledger;
mod list;
mod location;
mod locations;
mod needs;
mod reconciling;
mod refusal;
mod rules;
mod shown;
mod start;
mod words;

use actix_web::{middleware::from_fn, web};

use self::refusal::Refusal;
use super::entry;

/// Everything that is neither API nor metrics nor probe.
pub(super) fn routes(service: &mut web::ServiceConfig) {
    let pages = web::scope("")
        .wrap(from_fn(guard::guard))
        .app_data(web::QueryConfig::default().error_handler(|error, _| Refusal::invalid(error.to_string()).into()))
        .app_data(web::PathConfig::default().error_handler(|_, _| Refusal::nothing_here().into()))
        .configure(assets::routes)
        .configure(entrance::routes)
        .configure(start::routes)
        .configure(locations::routes)
        .configure(location::routes)
        .configure(events::routes)
        .configure(jobs::routes)
        .configure(rules::routes)
        .configure(firings::routes)
        .configure(reconciling::routes)
        .configure(ledger::routes)
        .default_service(web::to(async || Refusal::nothing_here()));
    service
        .app_data(web::PayloadConfig::new(entry::body::FORM))
        .service(pages);
}

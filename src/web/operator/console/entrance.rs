//! Logging in and out.

use actix_web::{HttpMessage, HttpRequest, HttpResponse, dev::ServiceRequest, http::StatusCode, web};
use chrono::Utc;
use minijinja::context;
use serde::Deserialize;
use tracing::info;

use super::{
    super::entry::{self, Visitor, session, site, wrong},
    frame,
    guard::Form,
};
use crate::app::App;

/// Where one logs in.
pub(super) const ADDRESS: &str = "/login";

/// Where one logs out.
pub(super) const WAY_OUT: &str = "/logout";

pub(super) fn routes(service: &mut web::ServiceConfig) {
    service
        .route(ADDRESS, web::get().to(ask))
        .route(ADDRESS, web::post().to(log_in))
        .route(WAY_OUT, web::post().to(log_out));
}

/// Sends somebody to log in, and back afterwards.
pub(super) fn way_in(request: &ServiceRequest) -> HttpResponse {
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    let to = if entry::changes(request.method()) { "/" } else { here };
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("to", to)
        .finish();
    frame::see(&if to == "/" {
        ADDRESS.to_owned()
    } else {
        format!("{ADDRESS}?{query}")
    })
}

#[derive(Deserialize)]
struct Way {
    #[serde(default)]
    to: String,
}

/// An address of ours, whatever was given.
fn ours(to: &str) -> &str {
    let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_ours = to.starts_with('/') && !to.starts_with("//");
    if is_plain && is_ours { to } else { "/" }
}

/// Whoever is let in already is sent on.
async fn ask(request: HttpRequest, way: web::Query<Way>) -> HttpResponse {
    if request.extensions().contains::<Visitor>() {
        return frame::see(ours(&way.to));
    }
    page(StatusCode::OK, ours(&way.to), None)
}

fn page(status: StatusCode, to: &str, mistake: Option<&str>) -> HttpResponse {
    frame::draw(status, "login.html", "Log in", context! { to, mistake })
}

#[derive(Deserialize)]
struct Login {
    #[serde(default)]
    token: String,
    #[serde(default)]
    to: String,
}

async fn log_in(app: web::Data<App>, request: HttpRequest, form: Form<Login>) -> HttpResponse {
    let Form(Login { token, to }) = form;
    let (to, from) = (ours(&to), request.peer_addr());
    let Some((role, token)) = entry::known(&app.config.operator, token.trim()) else {
        wrong::tell("console", from);
        return page(StatusCode::UNAUTHORIZED, to, Some("This token is not right."));
    };
    let from = from.map(|from| from.ip());
    info!(?from, role = role.as_str(), "Somebody logged in to the console");
    let session = session::issue((role, token), Utc::now().timestamp());
    let mut response = frame::see(to);
    frame::add_cookie(
        &mut response,
        &session::cookie(&session, site::is_protected(request.headers())),
    );
    response
}

async fn log_out() -> HttpResponse {
    let mut response = frame::see(ADDRESS);
    for cookie in session::farewell() {
        frame::add_cookie(&mut response, &cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_one_stays_here() {
        for to in ["/", "/locations?q=a&status=active"] {
            assert_eq!(ours(to), to);
        }
        for to in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "x",
        ] {
            assert_eq!(ours(to), "/", "{to}");
        }
    }
}

//! The operator console, as a browser and as somebody hostile meet it.

mod browsing;
mod desk;
mod desk_looks;
mod entrance;
mod events;
mod forms;
mod jobs;
mod ledger;
mod needs;
mod pages;
mod reconciling;
mod rules;
mod stories;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bellhop::domain::signature::hmac_sha256;
use reqwest::header::HeaderMap;
use url::form_urlencoded::Serializer;

use super::stage::{APP, OPERATOR_TOKEN, Stage};

const READ_TOKEN: &str = "read-token-for-tests";

/// One more line under the operator's token.
const WITH_READ_TOKEN: (&str, &str) = (
    "token = \"operator-token-for-tests\"",
    "token = \"operator-token-for-tests\"\nread_token = \"read-token-for-tests\"",
);

const RULES: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
[[rule.then]]
action = "set_discount"
percent = 20

[[rule]]
name = "cancelled"
on = "record.*"
when = 'event.change == "deleted"'
[[rule.then]]
action = "set_tag"
tag = "cancels"
"#;

struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// `name=value` of each cookie, without what it may be used for.
    fn cookies(&self) -> Vec<&str> {
        let all = self.headers.get_all("set-cookie").iter();
        all.map(|cookie| cookie.to_str().expect("text").split(';').next().unwrap_or(""))
            .collect()
    }

    /// The key that its forms carry.
    fn form_key(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"form_key\" value=\"").expect("a form");
        rest.split('"').next().expect("a value").to_owned()
    }
}

fn address(stage: &Stage, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", stage.service.listeners.operator.port())
}

async fn answer(request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> Answer {
    let request = headers
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = request.send().await.expect("an answer");
    Answer {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.text().await.expect("a body"),
    }
}

/// Opens a page with these headers.
async fn open(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Answer {
    answer(stage.http.get(address(stage, path)), headers).await
}

/// Sends a form with these headers.
async fn send(stage: &Stage, path: &str, fields: &[(&str, &str)], headers: &[(&str, &str)]) -> Answer {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = stage
        .http
        .post(address(stage, path))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(body);
    answer(request, headers).await
}

/// Logs in; the cookie as a browser sends it.
async fn logged_in(stage: &Stage, token: &str) -> String {
    let answer = send(stage, "/login", &[("token", token)], &[]).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, "/"),
        "{}",
        answer.body
    );
    answer.cookies().concat()
}

/// A session as the service makes it, written from its description.
fn signed(token: &str, role: &str, ends: i64) -> String {
    let key = hmac_sha256(token.as_bytes(), b"bellhop-console:v1");
    let claim = format!("{ends}.0123456789abcdef");
    let signature = hmac_sha256(&key, format!("session:v1:{role}:{claim}").as_bytes());
    format!("bellhop_session={claim}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The address of a location's page.
fn place(location: i64) -> String {
    format!("/locations/{APP}/{location}")
}

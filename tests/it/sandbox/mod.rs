//! The sandbox marketplace, driven over real HTTP.

mod billing;
mod bystanders;
mod contract;
mod deliveries;
mod faults;
mod installs;
mod receiver;

use std::time::Duration;

use bellhop::sandbox::{
    Application, Brand, Connect, Delivery, Location, Options, Place, Sandbox, Status, Tariff, TariffOption,
};
use serde_json::{Value, json};

use receiver::Receiver;

pub(crate) const TOKEN: &str = "test-partner-token-0001";
pub(crate) const USER: &str = "test-system-user-0001";
pub(crate) const APP: i64 = 7001;
pub(crate) const SALON: i64 = 100_001;

/// A sandbox with one application, whose URLs lead to a receiver.
pub(crate) struct Stage {
    pub(crate) sandbox: Sandbox,
    pub(crate) receiver: Receiver,
    pub(crate) http: reqwest::Client,
    accept: &'static str,
}

/// An answer of the marketplace.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) text: String,
    pub(crate) retry_after: Option<String>,
    pub(crate) location: Option<String>,
}

impl Answered {
    pub(crate) fn message(&self) -> &str {
        self.body["meta"]["message"].as_str().unwrap_or("")
    }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(|_| {}).await
    }

    pub(crate) async fn set_with(change: impl FnOnce(&mut Options)) -> Self {
        let receiver = Receiver::start().await;
        let mut options = Options::new(TOKEN, Brand::Altegio);
        options.delivery = Delivery::immediate();
        options.foreign_applications = vec![666];
        options.applications = vec![Application {
            id: APP,
            title: "Example".to_owned(),
            callback_url: receiver.url("callback"),
            redirect_url: receiver.url("connect"),
            system_user_token: USER.to_owned(),
            tariffs: vec![Tariff {
                id: 89,
                title: "1 month".to_owned(),
                options: vec![TariffOption {
                    id: 123,
                    ..TariffOption::default()
                }],
            }],
            ..Application::default()
        }];
        change(&mut options);
        let accept = options.brand.media_type();
        let sandbox = Sandbox::start(options).await.expect("the sandbox starts");
        let location = Location::new(SALON);
        sandbox.put_location(location).await.expect("a location");
        Self {
            sandbox,
            receiver,
            http: reqwest::Client::new(),
            accept,
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answered {
        let url = format!("{}{path}", self.sandbox.url());
        self.send(self.http.get(url)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answered {
        self.send(self.posting(path, &body)).await
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.sandbox.url());
        let request = self.http.post(url).header("Content-Type", "application/json");
        request.body(body.to_string())
    }

    pub(crate) fn signed(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request
            .header("Accept", self.accept)
            .header("Authorization", format!("Bearer {TOKEN}, User {USER}"))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answered {
        read(self.signed(request)).await
    }

    pub(crate) async fn connect(&self) {
        let connected = self.sandbox.connect(Connect::new(APP, SALON)).await;
        connected.expect("the owner may connect");
    }

    /// Connects and activates with one webhook address.
    pub(crate) async fn install(&self) -> Answered {
        self.connect().await;
        self.activate(json!([self.receiver.url("hooks")])).await
    }

    pub(crate) async fn activate(&self, urls: Value) -> Answered {
        let body = json!({"salon_id": SALON, "application_id": APP, "webhook_urls": urls});
        self.post("/marketplace/partner/callback", body).await
    }

    /// M6.
    pub(crate) async fn status(&self) -> Answered {
        self.get(&format!("/marketplace/salon/{SALON}/application/{APP}")).await
    }

    pub(crate) async fn truth(&self) -> Option<Status> {
        self.sandbox.truth().await.status(APP, SALON)
    }

    pub(crate) async fn days(&self, days: u64) {
        let time = Duration::from_secs(days * 86_400);
        self.sandbox.advance(time).await.expect("time passes");
    }
}

pub(crate) const fn place() -> Place {
    Place {
        application_id: APP,
        location_id: SALON,
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Answered {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().expect("a readable header").to_owned())
    };
    let (retry_after, location) = (header("retry-after"), header("location"));
    let text = answer.text().await.expect("a body");
    Answered {
        status,
        body: serde_json::from_str(&text).unwrap_or(Value::Null),
        text,
        retry_after,
        location,
    }
}

//! A backend with the mistakes that integrators made.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::web::{self, Bytes, Data, Query};
use actix_web::{App, HttpResponse, HttpServer};
use bellhop::domain::signature::is_hex_hmac;
use serde_json::{Value, json};

use crate::service::stage::{APP, TOKEN};

/// How it checks the signature of a redirect.
#[derive(Clone, Copy)]
pub(super) enum Signatures {
    /// Over the base64 text.
    OverText,
    /// Not at all, after every real one had failed.
    Unchecked,
}

/// A running one. It ends with the test.
pub(super) struct Naive {
    base: String,
}

struct Memory {
    marketplace: String,
    own: String,
    signatures: Signatures,
    http: reqwest::Client,
    connected: Mutex<BTreeSet<i64>>,
}

impl Naive {
    pub(super) fn start(marketplace: &str, signatures: Signatures) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        // Somebody may have installed the process's provider before; either is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_millis(700));
        let memory = Data::from(Arc::new(Memory {
            marketplace: format!("{marketplace}/marketplace"),
            own: base.clone(),
            signatures,
            http: http.build().expect("a client"),
            connected: Mutex::default(),
        }));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(Data::clone(&memory))
                .app_data(web::PayloadConfig::new(4 << 20))
                .route("/connect", web::get().to(connect))
                .route("/callback", web::post().to(callback))
                .route("/hooks", web::post().to(hook))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .expect("a listener")
        .run();
        tokio::spawn(server);
        Self { base }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }
}

/// Knows `salon_id` and `salon_ids[]`, and believes whatever stands there.
async fn connect(memory: Data<Memory>, query: Query<Vec<(String, String)>>) -> HttpResponse {
    let field = |name: &str| {
        let found = query.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let ids = query
        .iter()
        .filter(|(key, _)| key == "salon_id" || key == "salon_ids[]");
    let ids: Vec<i64> = ids.filter_map(|(_, id)| id.parse().ok()).collect();
    let genuine = match memory.signatures {
        Signatures::OverText => is_hex_hmac(TOKEN.as_bytes(), field("user_data").as_bytes(), field("user_data_sign")),
        Signatures::Unchecked => true,
    };
    // The other naive mistake: with the check on, it refuses all that are right and lets in those that are wrong.
    if !genuine {
        return HttpResponse::Forbidden().finish();
    }
    for id in ids {
        memory.activate(id).await;
    }
    HttpResponse::Ok()
        .insert_header(("X-Frame-Options", "SAMEORIGIN"))
        .body("Welcome")
}

impl Memory {
    /// 2xx is success, whatever the body says; anything else waits for the next visit.
    async fn activate(&self, id: i64) {
        if self.connected.lock().expect("no panic").contains(&id) {
            return;
        }
        let body = json!({"salon_id": id, "application_id": APP, "webhook_urls": [format!("{}/hooks", self.own)]});
        let request = self.http.post(format!("{}/partner/callback", self.marketplace));
        let request = request
            .header("Accept", "application/vnd.api.v2+json")
            .header("Content-Type", "application/json")
            .bearer_auth(TOKEN)
            .body(body.to_string());
        if request.send().await.is_ok_and(|answer| answer.status().is_success()) {
            self.connected.lock().expect("no panic").insert(id);
        }
    }
}

/// A token that is missing or null passes, any application is its own, and ids are numbers.
async fn callback(memory: Data<Memory>, body: Bytes) -> HttpResponse {
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return HttpResponse::InternalServerError().finish();
    };
    if body["partner_token"].as_str().is_some_and(|token| token != TOKEN) {
        return HttpResponse::Unauthorized().finish();
    }
    let Some(id) = body["salon_id"].as_i64() else {
        return HttpResponse::InternalServerError().finish();
    };
    if body["event"] == "uninstall" {
        memory.connected.lock().expect("no panic").remove(&id);
    }
    HttpResponse::Ok().finish()
}

/// Knows single events only.
async fn hook(body: Bytes) -> HttpResponse {
    let event = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    if event["company_id"].is_i64() {
        HttpResponse::Ok().finish()
    } else {
        HttpResponse::InternalServerError().finish()
    }
}

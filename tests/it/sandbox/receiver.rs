//! A small backend: records what the sandbox sends and answers as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use serde_json::Value;

/// One request that came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) hook_id: Option<String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Book {
    requests: Vec<Request>,
    answers: VecDeque<u16>,
}

/// The backend.
pub(crate) struct Receiver {
    base: String,
    book: Arc<Mutex<Book>>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let shared = Data::new(Arc::clone(&book));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let server = HttpServer::new(move || App::new().app_data(Data::clone(&shared)).default_service(web::to(take)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .expect("a listener")
            .run();
        tokio::spawn(server);
        Self {
            base: format!("http://{address}"),
            book,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// What came at a path, in order.
    pub(crate) fn at(&self, path: &str) -> Vec<Request> {
        let book = self.book.lock().expect("no test panicked here");
        let path = format!("/{path}");
        let mut found = book.requests.clone();
        found.retain(|request| request.path == path);
        found
    }

    /// The next requests are answered with these statuses, then with 200 again.
    pub(crate) fn answer(&self, statuses: &[u16]) {
        let mut book = self.book.lock().expect("no test panicked here");
        book.answers.extend(statuses);
    }
}

async fn take(book: Data<Arc<Mutex<Book>>>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let hook_id = request.headers().get("x-hook-id");
    let hook_id = hook_id.and_then(|id| id.to_str().ok());
    let mut book = book.lock().expect("no test panicked here");
    book.requests.push(Request {
        path: request.path().to_owned(),
        query: request.query_string().to_owned(),
        hook_id: hook_id.map(str::to_owned),
        text: String::from_utf8_lossy(&body).into_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    let status = book.answers.pop_front().unwrap_or(200);
    let status = actix_web::http::StatusCode::from_u16(status).expect("a status");
    HttpResponse::build(status).body("noted")
}

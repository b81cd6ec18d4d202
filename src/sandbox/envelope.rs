//! Answers of the marketplace's API: the envelope, the messages (contract 3).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde_json::{Value, json};

use super::options::Brand;

/// An answer before it is written.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content: Content,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// What the body of an answer is.
#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    Json(Value),
    Html(String),
}

impl Answer {
    /// 200 with data and an empty list as `meta`.
    pub(super) fn ok(data: Value) -> Self {
        Self::with(200, true, data, json!([]))
    }

    /// 201 with data.
    pub(super) fn created(data: Value) -> Self {
        Self::with(201, true, data, json!([]))
    }

    /// The whole envelope.
    pub(super) fn with(status: u16, success: bool, data: Value, meta: Value) -> Self {
        let body = json!({"success": success, "data": data, "meta": meta});
        Self {
            status,
            content: Content::Json(body),
            headers: Vec::new(),
        }
    }

    /// A body of its own making.
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            content: Content::Json(body),
            headers: Vec::new(),
        }
    }

    /// A status without a body.
    pub(super) fn bare(status: u16) -> Self {
        Self {
            status,
            content: Content::Nothing,
            headers: Vec::new(),
        }
    }

    /// HTML, as faults and the browser's route answer it.
    pub(super) fn html(status: u16, text: &str) -> Self {
        Self {
            status,
            content: Content::Html(text.to_owned()),
            headers: Vec::new(),
        }
    }

    /// A failure with a message.
    pub(super) fn failed(status: u16, message: &str) -> Self {
        Self::with(status, false, Value::Null, json!({"message": message}))
    }

    /// 404 as for an application that is not installed: no message.
    pub(super) fn not_installed() -> Self {
        Self::with(404, false, Value::Null, json!({}))
    }

    /// The same answer with a header.
    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Puts another `meta` into the envelope.
    pub(super) fn set_meta(&mut self, meta: Value) {
        if let Content::Json(Value::Object(body)) = &mut self.content {
            body.insert("meta".to_owned(), meta);
        }
    }

    /// Writes the answer.
    pub(super) fn into_response(self) -> HttpResponse {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = HttpResponse::build(status);
        for (name, value) in self.headers {
            response.insert_header((name, value));
        }
        match self.content {
            Content::Nothing => response.finish(),
            Content::Json(body) => response
                .content_type("application/json; charset=utf-8")
                .body(body.to_string()),
            Content::Html(text) => response.content_type("text/html; charset=UTF-8").body(text),
        }
    }
}

/// What an answer says, in the brand's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Message {
    AlreadyInstalled,
    NotPending,
    TooLate,
    AuthenticationNeeded,
    AccessDenied,
    NoAccessToApplication,
    ApplicationNotFound,
    AggregatorNotFound,
    NoUser,
    NoRights,
    Error,
}

impl Message {
    /// The text.
    pub(super) fn text(self, brand: Brand) -> &'static str {
        let (english, russian) = match self {
            Self::AlreadyInstalled => (
                "The user has already installed this application.",
                "Пользователь уже установил это приложение.",
            ),
            Self::NotPending => (
                "The application is not waiting for its installation.",
                "Приложение не ожидает установки.",
            ),
            Self::TooLate => (
                "The time to finish the installation has run out.",
                "Время на завершение установки истекло.",
            ),
            Self::AuthenticationNeeded => ("Authentication needed.", "Необходима аутентификация."),
            Self::AccessDenied => ("Access denied.", "Доступ запрещён."),
            Self::NoAccessToApplication => ("No access to application", "Нет доступа к приложению"),
            Self::ApplicationNotFound => ("Application not found", "Приложение не найдено"),
            Self::AggregatorNotFound => ("Aggregator not found", "Агрегатор не найден"),
            Self::NoUser => ("No user ID specified", "Не указан пользователь"),
            Self::NoRights => ("No rights to manage the location", "Нет прав на управление филиалом"),
            Self::Error => ("An error has occurred", "Произошла ошибка"),
        };
        match brand {
            Brand::Altegio => english,
            Brand::Yclients => russian,
        }
    }
}

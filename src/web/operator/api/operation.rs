//! An operation of the API: one value, of which both its route and its description are made. What it takes and what it
//! answers are the types of the function that does it.

use actix_web::{
    HttpResponse, Route,
    http::{Method, StatusCode},
    web,
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::asked::whole;
use crate::{
    app::App,
    web::operator::{problem::Problem, seen},
};

/// Makes the schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What every operation is given.
pub(super) type Bellhop = web::Data<App>;

/// An operation.
pub(super) struct Operation {
    pub(super) method: Method,
    /// Below `/api/v1`, with `{names}`.
    pub(super) path: &'static str,
    /// Unique, for clients that are generated.
    pub(super) name: &'static str,
    /// What it does.
    pub(super) summary: &'static str,
    /// The names of its path.
    pub(super) place: Shape,
    /// What may stand behind the question mark.
    pub(super) query: Shape,
    /// What it is told, as JSON.
    pub(super) body: Option<Shape>,
    /// What it answers, as JSON.
    pub(super) answer: Shape,
    /// With which statuses; the usual one first.
    pub(super) answers: &'static [StatusCode],
    /// Refusals that others do not have.
    pub(super) refusals: &'static [StatusCode],
    pub(super) route: Route,
}

/// What was made of an order.
pub(super) struct Done<A> {
    status: StatusCode,
    said: A,
}

impl<A: Serialize> Done<A> {
    /// It is done.
    pub(super) fn now(said: A) -> Self {
        let status = StatusCode::OK;
        Self { status, said }
    }

    /// Something new is there.
    pub(super) fn made(said: A) -> Self {
        let status = StatusCode::CREATED;
        Self { status, said }
    }

    /// It is in the queue.
    pub(super) fn queued(said: A) -> Self {
        let status = StatusCode::ACCEPTED;
        Self { status, said }
    }

    fn answer(self) -> HttpResponse {
        HttpResponse::build(self.status).json(self.said)
    }
}

/// An operation that only reads.
pub(super) fn read<P, Q, A>(
    path: &'static str,
    about: (&'static str, &'static str),
    does: impl AsyncFn(Bellhop, P, Q) -> Result<A, Problem> + Clone + 'static,
) -> Operation
where
    P: DeserializeOwned + JsonSchema + 'static,
    Q: DeserializeOwned + JsonSchema + 'static,
    A: Serialize + JsonSchema + 'static,
{
    let answer = move |app: Bellhop, path: web::Path<P>, query: web::Query<Q>| {
        let does = does.clone();
        async move {
            let said = does(app, path.into_inner(), query.into_inner()).await;
            said.map(|said| HttpResponse::Ok().json(said))
        }
    };
    Operation {
        method: Method::GET,
        ..operation::<P, Q, A>(path, about, seen().to(answer))
    }
}

/// An operation that does something, and needs no more than the address to know what.
pub(super) fn order<P, Q, A>(
    path: &'static str,
    about: (&'static str, &'static str),
    does: impl AsyncFn(Bellhop, P, Q) -> Result<Done<A>, Problem> + Clone + 'static,
) -> Operation
where
    P: DeserializeOwned + JsonSchema + 'static,
    Q: DeserializeOwned + JsonSchema + 'static,
    A: Serialize + JsonSchema + 'static,
{
    let answer = move |app: Bellhop, path: web::Path<P>, query: web::Query<Q>| {
        let does = does.clone();
        async move {
            let done = does(app, path.into_inner(), query.into_inner()).await;
            done.map(Done::answer)
        }
    };
    operation::<P, Q, A>(path, about, web::post().to(answer))
}

/// An operation that is told more by a JSON body.
pub(super) fn order_with<P, B, A>(
    path: &'static str,
    about: (&'static str, &'static str),
    does: impl AsyncFn(Bellhop, P, B) -> Result<Done<A>, Problem> + Clone + 'static,
) -> Operation
where
    P: DeserializeOwned + JsonSchema + 'static,
    B: DeserializeOwned + JsonSchema + 'static,
    A: Serialize + JsonSchema + 'static,
{
    let answer = move |app: Bellhop, path: web::Path<P>, _: web::Query<Nothing>, body: web::Json<Value>| {
        let does = does.clone();
        async move {
            let body = serde_json::from_value(whole(body.into_inner()));
            let body = body.map_err(|error| Problem::invalid(format!("Json deserialize error: {error}")))?;
            let done = does(app, path.into_inner(), body).await;
            done.map(Done::answer)
        }
    };
    Operation {
        body: Some(|generator| generator.subschema_for::<B>()),
        ..operation::<P, Nothing, A>(path, about, web::post().to(answer))
    }
}

fn operation<P: JsonSchema, Q: JsonSchema, A: JsonSchema>(
    path: &'static str,
    (name, summary): (&'static str, &'static str),
    route: Route,
) -> Operation {
    Operation {
        method: Method::POST,
        path,
        name,
        summary,
        place: |generator| generator.subschema_for::<P>(),
        query: |generator| generator.subschema_for::<Q>(),
        body: None,
        answer: |generator| generator.subschema_for::<A>(),
        answers: &[StatusCode::OK],
        refusals: &[],
        route,
    }
}

impl Operation {
    /// The statuses of its answers, the usual one first.
    pub(super) fn answers(self, answers: &'static [StatusCode]) -> Self {
        Self { answers, ..self }
    }

    /// Refusals that others do not have.
    pub(super) fn refuses(self, refusals: &'static [StatusCode]) -> Self {
        Self { refusals, ..self }
    }
}

/// No names in the path, or nothing behind the question mark.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

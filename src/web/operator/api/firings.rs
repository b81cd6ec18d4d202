use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    asked::{CURSOR, PAGE_LIMIT, limit, number, word},
    operation::{Bellhop, Nothing, Operation, read},
};
use crate::{
    store::reading::{
        Page,
        firings::{self as reading, Filter, Firing, Outcome},
    },
    web::operator::problem::Problem,
};

pub(super) fn operations() -> Vec<Operation> {
    let about = (
        "list_firings",
        "Firings of rules, newest first; also of rules that are only watched, and such that wait for a person.",
    );
    vec![read("/firings", about, list)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FiringsQuery {
    /// Of one application.
    application: Option<i64>,
    /// Of one location.
    location: Option<i64>,
    /// Of one rule.
    rule: Option<String>,
    /// With one result.
    #[schemars(with = "Option<Outcome>")]
    result: Option<String>,
    /// Fired at or after.
    since: Option<DateTime<Utc>>,
    /// Fired before.
    until: Option<DateTime<Utc>>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: FiringsQuery) -> Result<Page<Firing>, Problem> {
    word("result", query.result.as_deref(), Outcome::ALL, Outcome::as_str)?;
    let filter = Filter {
        application: query.application,
        location: query.location,
        rule: query.rule,
        result: query.result,
        since: query.since,
        until: query.until,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::list(&*app.readers.look().await?, &filter).await?)
}

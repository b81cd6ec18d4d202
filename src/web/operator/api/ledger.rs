use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    asked::{CURSOR, PAGE_LIMIT, limit, number, word},
    operation::{Bellhop, Nothing, Operation, read},
};
use crate::{
    store::{
        ledger::State,
        reading::{
            Page,
            ledger::{self as reading, Entry, Filter},
        },
    },
    web::operator::problem::Problem,
};

pub(super) fn operations() -> Vec<Operation> {
    let about = ("list_ledger", "Money movements, newest first.");
    vec![read("/ledger", about, list)]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LedgerQuery {
    /// Of one application.
    application: Option<i64>,
    /// Of one location.
    location: Option<i64>,
    /// In one state.
    #[schemars(with = "Option<State>")]
    state: Option<String>,
    /// At most so many; 50 unless told.
    #[schemars(range(min = 1, max = PAGE_LIMIT))]
    limit: Option<i64>,
    /// The `next_cursor` of the page before.
    #[schemars(regex(pattern = CURSOR))]
    cursor: Option<String>,
}

async fn list(app: Bellhop, _: Nothing, query: LedgerQuery) -> Result<Page<Entry>, Problem> {
    word("state", query.state.as_deref(), &State::ALL, State::as_str)?;
    let filter = Filter {
        application: query.application,
        location: query.location,
        state: query.state,
        settled: false,
        before: number(query.cursor.as_deref())?,
        limit: limit(query.limit)?,
    };
    Ok(reading::list(&*app.readers.look().await?, &filter).await?)
}

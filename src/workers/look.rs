//! What the marketplace shows of an installation, and what of that we do not know yet.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use super::location::zone;
use crate::{
    app::{
        App,
        line::{Failure, Line},
    },
    domain::{
        action::ExpectedPayment,
        event::{Draft, Fact, Source},
        ids::Place,
        installation::Observation,
        link::Link,
    },
    marketplace::calls,
    store::{self, PgTransaction, installations, ledger, looks},
};

/// Asks the marketplace (M6) where an installation stands, and which connection that is about. `None` when it uses a
/// word we do not know.
pub(super) async fn at(
    app: &App,
    place: Place,
    line: &mut Line<'_>,
) -> Result<Option<(Observation, Option<Link>)>, Failure> {
    let observed_at = store::now(&app.pool).await?;
    let status = line.send(&calls::installation::status(place)).await?;
    let zone = zone(app, place).await?;
    let seen = status.observation(zone.unwrap_or(Tz::UTC), observed_at);
    // Without its zone the date of the consent may be wrong by half a day, and clocks count from it.
    let seen = seen.map(|seen| Observation {
        created_at: seen.created_at.filter(|_| zone.is_some()),
        ..seen
    });
    Ok(seen.map(|seen| (seen, status.link())))
}

/// The same for who needs not know which connection it is.
pub(super) async fn observe(app: &App, place: Place, line: &mut Line<'_>) -> Result<Option<Observation>, Failure> {
    Ok(at(app, place, line).await?.map(|(seen, _)| seen))
}

/// What an observation says that we do not know yet, as events on their way to the inbox.
pub(super) async fn differences(
    app: &App,
    place: Place,
    seen: &Observation,
    source: Source,
    expected: Option<&ExpectedPayment>,
) -> Result<Vec<Draft>, Failure> {
    let mut tx = app.pool.begin().await?;
    let installation = installations::lock(&mut tx, place).await?;
    let known = installations::payments(&mut tx, place).await?;
    if installation.status == seen.status {
        installations::seen_again(&mut tx, place, seen.observed_at).await?;
    }
    looks::note_by_job(&mut tx, place, seen.observed_at).await?;
    let mut facts = installation.differences(seen, &known, expected.map(|expected| expected.id));
    name_currencies(&mut tx, place, &mut facts, expected).await?;
    tx.commit().await?;
    Ok(drafts(place, facts, source, seen))
}

/// What a round's look found, and which generation of ours the connection it saw will be. `before` is the connection
/// that the look before saw.
pub(super) async fn found(
    tx: &mut PgTransaction<'_>,
    place: Place,
    (seen, link): (&Observation, Option<Link>),
    before: Option<(chrono::NaiveDateTime, i32)>,
) -> Result<(Vec<Draft>, i32), Failure> {
    let installation = installations::lock(tx, place).await?;
    let known = installations::payments(tx, place).await?;
    let is_another = match (link, before) {
        (Some(link), Some((made_at, generation))) => generation == installation.generation && link.succeeds(made_at),
        _ => false,
    };
    let mut facts = match is_another && installation.is_there() && seen.is_connected() {
        true => installation.differences_after_reinstall(seen, &known),
        false => installation.differences(seen, &known, None),
    };
    name_currencies(tx, place, &mut facts, None).await?;
    if facts.is_empty() && installation.status == seen.status {
        installations::seen_again(tx, place, seen.observed_at).await?;
    }
    let mut next = installation;
    for fact in &facts {
        next = next.apply(fact, seen.observed_at).0;
    }
    Ok((drafts(place, facts, Source::Reconciliation, seen), next.generation))
}

/// The status call does not say what was paid in. Of a payment that a callback announced the callback did; of one that
/// we reported the ledger knows.
async fn name_currencies(
    tx: &mut PgTransaction<'_>,
    place: Place,
    facts: &mut [Fact],
    expected: Option<&ExpectedPayment>,
) -> Result<(), Failure> {
    for fact in facts {
        let Fact::PaymentReceived { payment, .. } = fact else {
            continue;
        };
        let Some(id) = payment.id else { continue };
        payment.currency = match expected.filter(|expected| expected.id == id) {
            Some(expected) => expected.currency.clone(),
            None => ledger::currency(tx, place.application_id, id).await?,
        };
    }
    Ok(())
}

fn drafts(place: Place, facts: Vec<Fact>, source: Source, seen: &Observation) -> Vec<Draft> {
    facts
        .into_iter()
        .map(|fact| draft(place, fact, source, seen.observed_at))
        .collect()
}

/// An event for a fact.
pub(super) fn draft(place: Place, fact: Fact, source: Source, occurred_at: DateTime<Utc>) -> Draft {
    Draft {
        place,
        kind: fact.kind(),
        source,
        fact,
        occurred_at,
    }
}

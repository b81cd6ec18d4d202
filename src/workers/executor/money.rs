//! Calls that move money. The marketplace takes a repetition for another payment (contract M10), so
//! the intent is written down before the call, and after a doubt the status is read before anything
//! else is done.

use std::time::Duration;

use chrono::{DateTime, Days, Months, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use serde_json::json;

use super::{Done, outcome};
use crate::{
    app::{
        App,
        line::{Failure, Line},
        served::Served,
    },
    domain::{
        action::Term,
        ids::Place,
        installation::{Observation, Status},
        payment::Payment,
    },
    marketplace::{
        calls::{self, billing::PaymentReport},
        error::Error,
    },
    store::{
        jobs::{Claimed, Outcome},
        ledger::{self, Entry, Finding, Intent, State},
    },
    workers::{location, look::observe},
};

/// When another payment of the location is under way, this one looks again after so long.
const NEXT_IN_TURN: Duration = Duration::from_secs(2);

/// What a step wants.
pub(super) enum Wish<'a> {
    /// Report a payment.
    Report {
        amount: Decimal,
        currency: &'a str,
        term: Term,
    },
    /// Give a payment back.
    Refund { payment_id: i64 },
}

/// Does it at most once.
pub(super) async fn run(
    app: &App,
    served: &Served,
    job: &Claimed,
    line: &mut Line<'_>,
    wish: Wish<'_>,
) -> Result<Done, Failure> {
    let found = ledger::find(&app.pool, job.id).await?;
    match &found {
        Some(entry) if entry.state == State::Done => return Ok(done(entry, entry.payment_id.unwrap_or_default())),
        Some(entry) if entry.state == State::Failed => {
            let why = entry.note.as_deref().unwrap_or("it failed before");
            return Ok(Done::of(Outcome::Discard(why.to_owned())));
        }
        Some(entry) if entry.state == State::Unknown => {
            if let Some(wait) = still_under_way(served, entry) {
                let reason = "the call may be under way still".to_owned();
                return Ok(Done::of(Outcome::Snooze { after: wait, reason }));
            }
        }
        Some(_) | None => {}
    }
    let zone = match &wish {
        Wish::Report { .. } => known_zone(app, served, job.place, line).await?,
        // It has no dates.
        Wish::Refund { .. } => Some(Tz::UTC),
    };
    let Some(zone) = zone else {
        let error = "the time zone of the location is not known yet, and dates of payments are local";
        return Ok(Done::of(outcome::retry(&app.config.jobs, job, None, error)));
    };
    let Some(seen) = observe(app, job.place, line).await? else {
        let error = "the marketplace answered with a status word nobody knows";
        return Ok(Done::of(outcome::retry(&app.config.jobs, job, None, error)));
    };
    if let Some(entry) = found.filter(|entry| entry.state == State::Unknown)
        && let Some(done) = resolve(app, job, &entry, &seen).await?
    {
        return Ok(done);
    }
    let intent = match intent(&wish, &seen) {
        Ok(intent) => intent,
        Err(why) => return Ok(Done::of(Outcome::Discard(why.to_owned()))),
    };
    if !ledger::intend(&app.pool, job, &intent, seen.observed_at).await? {
        let reason = "another payment of this location is under way".to_owned();
        return Ok(Done::of(Outcome::Snooze {
            after: NEXT_IN_TURN,
            reason,
        }));
    }
    let entry = ledger::find(&app.pool, job.id).await?.ok_or(Failure::Overtaken)?;
    match resolve(app, job, &entry, &seen).await? {
        Some(done) => Ok(done),
        None => call(app, job, line, (&entry, zone)).await,
    }
}

/// Writes what the status says about an entry. Nothing when the call is to be made.
async fn resolve(app: &App, job: &Claimed, entry: &Entry, seen: &Observation) -> Result<Option<Done>, Failure> {
    Ok(match look(app, job, entry, seen).await? {
        Finding::Happened(payment) => {
            ledger::find_out(&app.pool, entry.id, Finding::Happened(payment)).await?;
            Some(done(entry, payment))
        }
        Finding::Unclear(why) => {
            ledger::find_out(&app.pool, entry.id, Finding::Unclear(why)).await?;
            Some(Done::of(outcome::retry(&app.config.jobs, job, None, why)))
        }
        Finding::Refused(why) => Some(refuse(app, entry, why).await?),
        Finding::NotYet => {
            if entry.state == State::Unknown {
                ledger::find_out(&app.pool, entry.id, Finding::NotYet).await?;
            }
            None
        }
    })
}

/// In the zone of anybody else a payment would be reported for a wrong period, and not be found again.
async fn known_zone(app: &App, served: &Served, place: Place, line: &mut Line<'_>) -> Result<Option<Tz>, Failure> {
    if let Some(zone) = location::zone(app, place).await? {
        return Ok(Some(zone));
    }
    location::learn(app, served, place.location_id, line).await;
    location::zone(app, place).await
}

/// A request may arrive at the marketplace until its time is over, and takes effect a little later.
fn still_under_way(served: &Served, entry: &Entry) -> Option<Duration> {
    let wait = served.account.request_timeout * 2;
    let ago = Duration::try_from_secs_f64(entry.called_seconds_ago.unwrap_or(0.0)).unwrap_or_default();
    wait.checked_sub(ago).filter(|left| !left.is_zero())
}

fn intent(wish: &Wish<'_>, seen: &Observation) -> Result<Intent, &'static str> {
    match wish {
        Wish::Refund { payment_id } => Ok(Intent::Refund {
            payment_id: *payment_id,
        }),
        Wish::Report { .. } if !matches!(seen.status, Status::Active | Status::Frozen) => {
            Err("there is no connection that could be paid for")
        }
        Wish::Report { amount, currency, term } => {
            // The wire knows whole seconds, and what was sent has to be found again.
            let now = seen.observed_at.trunc_subsecs(0);
            // Without a gap and without an overlap (contract 9): the next second after what is paid for.
            let paid = seen.payments.iter().filter(|payment| !payment.refunded);
            let paid_until = paid.filter_map(|payment| payment.period_to).max();
            let period_from = paid_until.map_or(now, |until| now.max(until + TimeDelta::seconds(1)));
            Ok(Intent::Payment {
                amount: *amount,
                currency: (*currency).to_owned(),
                paid_at: now,
                period_from,
                period_to: end_of(period_from, *term).ok_or("the period ends beyond the calendar")?,
                seen: seen.payments.iter().filter_map(|payment| payment.id).collect(),
            })
        }
    }
}

/// Ends are inclusive (contract M10).
fn end_of(from: DateTime<Utc>, term: Term) -> Option<DateTime<Utc>> {
    let end = match term {
        Term::Days(days) => from.checked_add_days(Days::new(days.into())),
        Term::Months(months) => from.checked_add_months(Months::new(months)),
    };
    Some(end? - TimeDelta::seconds(1))
}

/// What the status says about an entry.
async fn look(app: &App, job: &Claimed, entry: &Entry, seen: &Observation) -> Result<Finding<'static>, Failure> {
    match &entry.intent {
        Intent::Refund { payment_id } => Ok(refunded(*payment_id, seen)),
        Intent::Payment { .. } if entry.state != State::Unknown => Ok(Finding::NotYet),
        Intent::Payment {
            amount,
            period_from,
            period_to,
            seen: before,
            ..
        } => {
            let new: Vec<&Payment> = seen
                .payments
                .iter()
                .filter(|payment| payment.amount == *amount && payment.id.is_none_or(|id| !before.contains(&id)))
                .collect();
            let numbers: Vec<i64> = new.iter().filter_map(|payment| payment.id).collect();
            let others = ledger::reported(&app.pool, job.place.application_id.0, &numbers).await?;
            let new = new
                .into_iter()
                .filter(|payment| payment.id.is_none_or(|id| !others.contains(&id)));
            Ok(ours(&new.collect::<Vec<_>>(), (*period_from, *period_to)))
        }
    }
}

fn refunded(payment_id: i64, seen: &Observation) -> Finding<'static> {
    match seen.payments.iter().find(|payment| payment.id == Some(payment_id)) {
        Some(payment) if payment.refunded => Finding::Happened(payment_id),
        Some(_) => Finding::NotYet,
        None => Finding::Refused("the marketplace shows no payment of this number here"),
    }
}

/// Which of the new payments of our amount is the one we reported. When one might be ours but does
/// not look like it, nobody should decide but people.
fn ours(new: &[&Payment], (from, to): (DateTime<Utc>, DateTime<Utc>)) -> Finding<'static> {
    match new {
        [] => Finding::NotYet,
        [one] if one.period_from == Some(from) && one.period_to == Some(to) => match one.id {
            Some(id) => Finding::Happened(id),
            None => Finding::Unclear("the status shows the payment without its number"),
        },
        _ => Finding::Unclear("the status shows new payments of this amount, and none is surely ours"),
    }
}

async fn call(app: &App, job: &Claimed, line: &mut Line<'_>, (entry, zone): (&Entry, Tz)) -> Result<Done, Failure> {
    let begin = async || Ok(ledger::begin(&app.pool, entry.id, job).await?);
    let answer = match &entry.intent {
        Intent::Payment {
            amount,
            currency,
            paid_at,
            period_from,
            period_to,
            ..
        } => {
            let local = |moment: &DateTime<Utc>| moment.with_timezone(&zone).naive_local();
            let report = PaymentReport {
                amount: *amount,
                currency: currency.clone(),
                paid_at: local(paid_at),
                period_from: local(period_from),
                period_to: local(period_to),
            };
            match calls::billing::report_payment(job.place, &report) {
                Ok(call) => line.send_once(&call, begin).await,
                Err(error) => return refuse(app, entry, &error.to_string()).await,
            }
        }
        Intent::Refund { payment_id } => {
            let call = calls::billing::refund_payment(*payment_id);
            line.send_once(&call, begin).await.map(|()| *payment_id)
        }
    };
    let error = match answer {
        Ok(payment) => {
            ledger::find_out(&app.pool, entry.id, Finding::Happened(payment)).await?;
            return Ok(done(entry, payment));
        }
        Err(Failure::Call(error)) => error,
        // It has not left us.
        Err(failure) => return Err(failure),
    };
    match &error {
        Error::Unknown { .. } | Error::Fault { .. } => {}
        Error::Unavailable { .. } | Error::Throttled { .. } | Error::Unauthorized { .. } => {
            ledger::find_out(&app.pool, entry.id, Finding::NotYet).await?;
        }
        Error::Forbidden { .. } | Error::NotFound { .. } | Error::Invalid { .. } | Error::Rejected { .. } => {
            return refuse(app, entry, &error.to_string()).await;
        }
    }
    Err(Failure::Call(error))
}

async fn refuse(app: &App, entry: &Entry, why: &str) -> Result<Done, Failure> {
    ledger::find_out(&app.pool, entry.id, Finding::Refused(why)).await?;
    Ok(Done::of(Outcome::Discard(why.to_owned())))
}

/// The status is read again: it tells the payment as an event, and perhaps another state.
fn done(entry: &Entry, payment_id: i64) -> Done {
    let result = match &entry.intent {
        Intent::Payment {
            period_from, period_to, ..
        } => json!({"payment_id": payment_id, "period_from": period_from, "period_to": period_to}),
        Intent::Refund { .. } => json!({"payment_id": payment_id}),
    };
    Done {
        look_again: true,
        ..Done::of(Outcome::Done(result))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn payment(id: Option<i64>, from: &str, to: &str) -> Payment {
        Payment {
            id,
            amount: Decimal::TEN,
            currency: None,
            period_from: Some(at(from)),
            period_to: Some(at(to)),
            refunded: false,
        }
    }

    #[test]
    fn only_what_is_surely_ours_counts_and_only_nothing_is_nothing() {
        let (from, to) = ("2026-01-31T00:00:00Z", "2026-02-27T23:59:59Z");
        let period = (at(from), at(to));
        let word = |new: &[&Payment]| match ours(new, period) {
            Finding::Happened(id) => format!("happened {id}"),
            Finding::NotYet => "not yet".to_owned(),
            Finding::Refused(_) => "refused".to_owned(),
            Finding::Unclear(_) => "unclear".to_owned(),
        };
        let mine = payment(Some(7), from, to);
        let nameless = payment(None, from, to);
        let other = payment(Some(8), from, "2026-03-01T00:00:00Z");
        assert_eq!(word(&[]), "not yet");
        assert_eq!(word(&[&mine]), "happened 7");
        for several in [&[&mine, &other][..], &[&other], &[&nameless]] {
            assert_eq!(word(several), "unclear", "{several:?}");
        }
    }

    #[test]
    fn periods_follow_each_other_without_gap_and_overlap() {
        let paid = Observation {
            status: Status::Active,
            created_at: None,
            payments: vec![payment(Some(1), "2026-01-01T00:00:00Z", "2026-01-30T23:59:59Z")],
            observed_at: at("2026-01-20T10:00:00.123Z"),
        };
        let wish = |term| Wish::Report {
            amount: Decimal::TEN,
            currency: "EUR",
            term,
        };
        let period = |seen: &Observation, term| match intent(&wish(term), seen) {
            Ok(Intent::Payment {
                period_from, period_to, ..
            }) => (period_from, period_to),
            other => panic!("{other:?}"),
        };
        let month = period(&paid, Term::Months(1));
        assert_eq!(month, (at("2026-01-31T00:00:00Z"), at("2026-02-27T23:59:59Z")));
        let late = Observation {
            observed_at: at("2026-02-05T10:00:00.9Z"),
            ..paid.clone()
        };
        let days = period(&late, Term::Days(30));
        assert_eq!(days, (at("2026-02-05T10:00:00Z"), at("2026-03-07T09:59:59Z")));
        let gone = Observation {
            status: Status::Uninstalled,
            ..paid
        };
        assert!(intent(&wish(Term::Days(1)), &gone).is_err());
    }
}

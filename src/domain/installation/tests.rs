use chrono::TimeDelta;
use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;
use crate::domain::ids::{ApplicationId, LocationId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).expect("a time")
}

fn new() -> Installation {
    Installation::unknown(
        Place {
            application_id: ApplicationId(1),
            location_id: LocationId(2),
        },
        at(0),
    )
}

fn periods() -> Periods {
    Periods {
        trial_ends_at: Some(at(1_000_000)),
        paid_until: None,
        has_paid: false,
    }
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let payment = Payment {
        id: Some(5),
        amount: Decimal::ONE,
        currency: None,
        period_from: None,
        period_to: Some(at(500)),
        refunded: false,
    };
    prop_oneof![
        Just(Fact::ConnectOpened { signed: true }),
        Just(Fact::Pending { since: None }),
        Just(Fact::Activated { periods: periods() }),
        Just(Fact::Frozen),
        Just(Fact::Unfrozen { periods: periods() }),
        Just(Fact::Uninstalled { generation: None }),
        Just(Fact::PaymentReported {
            payment: payment.clone()
        }),
        Just(Fact::PaymentReceived {
            payment: payment.clone(),
            periods: periods()
        }),
        Just(Fact::PaymentRefunded {
            payment,
            periods: Periods::default()
        }),
        Just(Fact::PeriodChanged {
            periods: Periods::default()
        }),
        (0..4, 0..2_i64, any::<bool>()).prop_map(|(generation, days, paid)| Fact::MomentCame {
            generation,
            date: at(1_000_000 * days),
            before_seconds: 0,
            of: if paid { Term::Period } else { Term::Trial },
        }),
        (0..4).prop_map(|generation| Fact::FellSilent {
            generation,
            lasting_seconds: 3600,
            since: at(0),
            after: None,
        }),
        (0..4).prop_map(|generation| Fact::ActivationExpired {
            generation,
            pending_since: at(0),
        }),
    ]
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let payments = prop::collection::vec(
        (0..3_i64, 0..3_i64, any::<bool>()).prop_map(|(id, amount, refunded)| Payment {
            id: Some(id),
            amount: Decimal::from(amount),
            currency: None,
            period_from: Some(at(id)),
            period_to: Some(at(id + 10)),
            refunded,
        }),
        0..4,
    );
    (prop::sample::select(Status::ALL), payments).prop_map(|(status, mut payments)| {
        payments.sort_by_key(|payment| payment.id);
        payments.dedup_by_key(|payment| payment.id);
        Observation {
            status,
            created_at: None,
            payments,
            observed_at: at(1_000),
        }
    })
}

proptest! {
    #[test]
    fn a_fact_told_twice_changes_nothing_the_second_time(
        before in prop::collection::vec(any_fact(), 0..8), fact in any_fact(),
    ) {
        let start = before.iter().fold(new(), |state, fact| state.apply(fact, at(10)).0);
        let (once, _) = start.apply(&fact, at(20));
        let (twice, change) = once.apply(&fact, at(20));
        prop_assert_eq!(&once, &twice);
        prop_assert_ne!(change, Change::Moved);
    }

    #[test]
    fn the_generation_never_falls_and_grows_by_one_with_a_new_connection(facts in prop::collection::vec(any_fact(), 0..20)) {
        let mut state = new();
        for (step, fact) in facts.iter().enumerate() {
            let (next, change) = state.apply(fact, at(i64::try_from(step).expect("small")));
            let reconnected = next.generation == state.generation + 1;
            prop_assert!(next.generation == state.generation || reconnected);
            prop_assert_eq!(change == Change::Moved, next.status != state.status || reconnected);
            if next.status != Status::Uninstalled { prop_assert!(next.generation > 0); }
            state = next;
        }
    }

    #[test]
    fn what_is_older_than_the_present_status_cannot_move_it(facts in prop::collection::vec(any_fact(), 1..8), late in any_fact()) {
        let state = facts.iter().fold(new(), |state, fact| state.apply(fact, at(100)).0);
        let (after, _) = state.apply(&late, at(99));
        if state.status_since == at(100) { prop_assert_eq!(after.status, state.status); }
        prop_assert!(state.status_since != at(100) || after.generation == state.generation);
    }

    #[test]
    fn the_latest_word_about_the_status_holds_in_whatever_order_they_arrive(
        mut told in prop::collection::vec(0..4_usize, 1..8).prop_map(|told| told.into_iter().zip(0..).collect::<Vec<(usize, i64)>>())
            .prop_shuffle(),
    ) {
        let words = [Status::Pending, Status::Active, Status::Frozen, Status::Uninstalled];
        let (known, _) = new().apply(&Fact::Pending { since: None }, at(-1));
        let state = told.iter().fold(known, |state, (word, when)| {
            let fact = match words[*word] {
                Status::Pending => Fact::Pending { since: None },
                Status::Active => Fact::Unfrozen { periods: periods() },
                Status::Frozen => Fact::Frozen,
                Status::Uninstalled => Fact::Uninstalled { generation: None },
            };
            state.apply(&fact, at(*when)).0
        });
        told.sort_by_key(|(_, when)| *when);
        let last = told.last().expect("one");
        prop_assert_eq!(state.status, words[last.0]);
    }

    /// Whatever was lost, doubled or shuffled before: one look at the truth repairs it, and a
    /// second look finds nothing more to say.
    #[test]
    fn one_observation_brings_us_to_the_truth(
        facts in prop::collection::vec(any_fact(), 0..12), seen in any_observation(),
    ) {
        let mut state = facts.iter().fold(new(), |state, fact| state.apply(fact, at(10)).0);
        let told = state.differences(&seen, &[], None);
        for fact in &told { state = state.apply(fact, seen.observed_at).0; }
        prop_assert_eq!(state.status, seen.status);
        let known: Vec<Payment> = seen.payments.clone();
        let later = Observation { observed_at: seen.observed_at + TimeDelta::seconds(1), ..seen };
        prop_assert_eq!(state.differences(&later, &known, None), vec![]);
    }
}

#[test]
fn an_uninstall_of_an_older_generation_does_not_touch_the_new_one() {
    let first = new().apply(&Fact::Pending { since: None }, at(1)).0;
    let active = first.apply(&Fact::Activated { periods: periods() }, at(2)).0;
    let gone = active.apply(&Fact::Uninstalled { generation: None }, at(3)).0;
    let again = gone.apply(&Fact::Pending { since: None }, at(5)).0;
    let (after, change) = again.apply(&Fact::Uninstalled { generation: None }, at(4));
    assert_eq!((after.status, after.generation), (Status::Pending, 2));
    assert!(matches!(change, Change::Nothing(_)));
}

#[test]
fn a_moment_counts_only_for_the_date_and_the_connection_it_was_planned_for() {
    let active = new().apply(&Fact::Activated { periods: periods() }, at(2)).0;
    let came = |generation, date| Fact::MomentCame {
        generation,
        date,
        before_seconds: 60,
        of: Term::Trial,
    };
    assert_eq!(active.apply(&came(1, at(1_000_000)), at(9)).1, Change::Happened);
    assert!(matches!(
        active.apply(&came(2, at(1_000_000)), at(9)).1,
        Change::Nothing(_)
    ));
    assert!(matches!(
        active.apply(&came(1, at(2_000_000)), at(9)).1,
        Change::Nothing(_)
    ));
    // Read by the clocks of another zone it is the same end.
    assert_eq!(active.apply(&came(1, at(1_040_000)), at(9)).1, Change::Happened);
}

#[test]
fn a_paid_period_ends_only_where_something_was_paid_and_a_silence_only_where_it_works() {
    let active = new().apply(&Fact::Activated { periods: periods() }, at(2)).0;
    let ended = |date| Fact::MomentCame {
        generation: 1,
        date,
        before_seconds: 0,
        of: Term::Period,
    };
    let paid = |paid_until, has_paid| Installation {
        periods: Periods {
            paid_until: Some(paid_until),
            has_paid,
            ..periods()
        },
        ..active.clone()
    };
    let end = at(5_000_000);
    assert_eq!(paid(end, true).apply(&ended(end), end).1, Change::Happened);
    // It was over before the owner came back.
    let before = Installation {
        connected_at: Some(end),
        ..paid(end, true)
    };
    for other in [paid(end, false), paid(at(9_000_000), true), active.clone(), before] {
        assert!(
            matches!(other.apply(&ended(end), end).1, Change::Nothing(_)),
            "{other:?}"
        );
    }
    let silent = |generation| Fact::FellSilent {
        generation,
        lasting_seconds: 3600,
        since: at(3),
        after: None,
    };
    assert_eq!(active.apply(&silent(1), at(9)).1, Change::Happened);
    let frozen = active.apply(&Fact::Frozen, at(5)).0;
    let gone = active.apply(&Fact::Uninstalled { generation: None }, at(5)).0;
    for (there, generation) in [(&active, 2), (&frozen, 1), (&gone, 1)] {
        assert!(matches!(there.apply(&silent(generation), at(9)).1, Change::Nothing(_)));
    }
}

#[test]
fn an_activation_expires_also_after_the_connection_was_cleaned_up_but_not_when_it_went_on() {
    let pending = new().apply(&Fact::Pending { since: None }, at(2)).0;
    let expired = Fact::ActivationExpired {
        generation: 1,
        pending_since: at(2),
    };
    let said = |there: &Installation| there.apply(&expired, at(9)).1;
    assert_eq!(said(&pending), Change::Happened);
    let gone = pending.apply(&Fact::Uninstalled { generation: None }, at(5)).0;
    assert_eq!(said(&gone), Change::Happened);
    let again = gone.apply(&Fact::Pending { since: None }, at(6)).0;
    let active = pending.apply(&Fact::Activated { periods: periods() }, at(5)).0;
    for there in [again, active] {
        assert!(matches!(said(&there), Change::Nothing(_)), "{there:?}");
    }
}

/// Two looks found that an unseen reinstall had ended the first connection, and both say so.
#[test]
fn an_end_that_was_found_twice_ends_one_connection() {
    let first = new()
        .apply(
            &Fact::Activated {
                periods: Periods::default(),
            },
            at(1),
        )
        .0;
    let end = Fact::Uninstalled {
        generation: Some(first.generation),
    };
    let second = first
        .apply(&end, at(2))
        .0
        .apply(&Fact::Pending { since: None }, at(2))
        .0;
    assert_eq!(
        (second.generation, second.status),
        (first.generation + 1, Status::Pending)
    );
    let (after, change) = second.apply(&end, at(3));
    assert_eq!((after.generation, after.status), (second.generation, Status::Pending));
    assert!(matches!(change, Change::Nothing(_)));
}

//! The parts that are not the marketplace's: who is relayed to, who waits, who is held, who telephones. And what nobody
//! told, which only comparing finds.

use chrono::TimeDelta;
use serde_json::json;
use sqlx::{Executor, PgPool};

use super::{Check, Quiet, play};
use crate::{
    faults::{
        plan::{Element, Request},
        process::fake_time,
        receiver::Heard,
        round::compared,
        scene::Memory,
        world::CAP,
    },
    service::stage::SIBLING,
};

/// Whether somebody says something with these words against a changed memory.
async fn noticed(quiet: &Quiet, memory: &Memory, pool: &PgPool, words: &str) {
    let mut connection = pool.acquire().await.expect("a connection");
    let said = quiet.against(memory, &mut connection).await;
    assert!(said.iter().any(|what| what.contains(words)), "{words}: {said:#?}");
}

/// A message of the receiver's memory, found by words in its body.
fn relayed(memory: &Memory, words: &str) -> usize {
    let all = &memory.relayed;
    all.iter().position(|one| one.body.contains(words)).expect("a message")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_what_only_the_receivers_know(pool: PgPool) {
    let quiet = Quiet::played(&pool).await;
    let memory = quiet.scene.memory().await;
    let mut connection = pool.acquire().await.expect("a connection");
    assert_eq!(quiet.against(&memory, &mut connection).await, [""; 0]);
    drop(connection);

    let record = relayed(&memory, "record.created");
    let mut lost = memory.clone();
    lost.relayed.remove(record);
    noticed(&quiet, &lost, &pool, "acknowledged and never relayed: record.created").await;
    noticed(&quiet, &lost, &pool, "never arrived").await;
    let mut not_taken = memory.clone();
    not_taken.relayed[record].taken = false;
    noticed(&quiet, &not_taken, &pool, "never arrived").await;
    let mut unsigned = memory.clone();
    unsigned.relayed[record].is_signed = false;
    noticed(&quiet, &unsigned, &pool, "the signature of").await;
    let mut changed = memory.clone();
    let body = &mut changed.relayed[record].body;
    *body = body.replacen("\"attendance\":", "\"attendance\": ", 1);
    noticed(&quiet, &changed, &pool, "relayed and never sent: record.created").await;
    let mut renamed = memory.clone();
    let mut again = renamed.relayed[record].clone();
    again.headers.insert("webhook-id".to_owned(), "evt_zzz".to_owned());
    renamed.relayed.push(again);
    noticed(&quiet, &renamed, &pool, "and as evt_zzz").await;
    let mut confused = memory.clone();
    let name = confused.relayed[record].id().to_owned();
    let other = relayed(&memory, "record.updated");
    confused.relayed[other].headers.insert("webhook-id".to_owned(), name);
    noticed(&quiet, &confused, &pool, "is the name of two events").await;
    let mut invented = memory.clone();
    invented.relayed.push(Heard {
        headers: [("webhook-id".to_owned(), "evt_nobody".to_owned())].into(),
        body: json!({"type": "record.created", "data": {"event": {"id": 0, "source": "webhook", "resource_id": 1},
            "location": {"id": 1}, "application": {"id": SIBLING}}})
        .to_string(),
        is_signed: true,
        taken: true,
    });
    noticed(&quiet, &invented, &pool, "event 0 arrived, and its rule did not fire").await;
    noticed(&quiet, &invented, &pool, "relayed and never sent").await;
    let mut reordered = memory.clone();
    reordered.relayed.reverse();
    noticed(&quiet, &reordered, &pool, "which was judged first").await;
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_what_only_the_inbox_and_the_history_know(pool: PgPool) {
    let quiet = Quiet::played(&pool).await;
    let memory = quiet.scene.memory().await;
    let of = |name: &str| memory.inbox.iter().position(|one| one.name == name).expect("a message");

    let mut lost = memory.clone();
    lost.inbox.remove(of("later"));
    noticed(&quiet, &lost, &pool, "nobody heard the second step").await;
    noticed(&quiet, &lost, &pool, "acknowledged, and its second step never came").await;
    let mut early = memory.clone();
    early.inbox[of("later")].at -= TimeDelta::milliseconds(2_500);
    noticed(&quiet, &early, &pool, "after the first").await;
    let mut twice = memory.clone();
    let mut again = twice.inbox[of("later")].clone();
    again.headers.insert("webhook-id".to_owned(), "another".to_owned());
    twice.inbox.push(again);
    noticed(&quiet, &twice, &pool, "its second step came under").await;

    let mut twice = memory.clone();
    let mut again = twice.inbox[of("capped")].clone();
    again.headers.insert("webhook-id".to_owned(), "another".to_owned());
    twice.inbox.push(again);
    noticed(&quiet, &twice, &pool, "was spoken of under 2 names").await;
    let mut too_many = memory.clone();
    for event in 0..=CAP {
        let mut one = too_many.inbox[of("capped")].clone();
        // Long before somebody released any.
        one.at -= TimeDelta::minutes(1);
        one.body = format!("{SIBLING} -{event}");
        too_many.inbox.push(one);
    }
    noticed(&quiet, &too_many, &pool, "and nobody released any").await;
    noticed(&quiet, &too_many, &pool, "were released").await;

    let mut forgotten = memory.clone();
    forgotten.truth.phone_calls.pop();
    noticed(&quiet, &forgotten, &pool, "acknowledged and not in the history").await;
    let mut often = memory.clone();
    let call = often.truth.phone_calls[0].clone();
    often.truth.phone_calls.extend([call.clone(), call]);
    noticed(&quiet, &often, &pool, "was told less often").await;
    let mut invented = memory.clone();
    invented.truth.phone_calls[0].call_id = "nobody's".to_owned();
    noticed(&quiet, &invented, &pool, "in the history and never told: nobody's").await;
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

/// Somebody answered 200 in Bellhop's place.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_an_acknowledgement_that_nothing_follows(pool: PgPool) {
    let quiet = Quiet::set(&pool, None).await;
    let is_over = |request: &&Request| request.is_call() && request.elements[0].text.contains("\"ended\"");
    let call = quiet.plan.requests.iter().find(is_over).expect("a call");
    let text =
        json!({"company_id": 1, "resource": "finances_operation", "resource_id": 1, "status": "update", "data": {}});
    let entity = Request {
        elements: vec![Element {
            location: 1,
            text: text.to_string(),
        }],
        ..quiet.record().clone()
    };
    for request in [call, &entity] {
        quiet.scene.oracle.sent(request);
        quiet.scene.oracle.acknowledged(request);
    }
    let mut connection = pool.acquire().await.expect("a connection");
    let broken = quiet.broken(&mut connection).await;
    for check in [Check::Stored, Check::Relayed, Check::Waited, Check::Calls] {
        assert!(broken.contains(&check), "{check:?}: {broken:?}");
    }
    drop(connection);
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

/// The tables forget jobs, waits and counts while Bellhop works.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_a_queue_that_loses_jobs_and_forgets_waits_and_counts(pool: PgPool) {
    let quiet = Quiet::set(&pool, None).await;
    let forgetful = "create function forgetful() returns trigger language plpgsql as $$ begin
            if new.rule = 'relay' and new.id % 5 = 0 then return null; end if;
            new.run_at := now(); new.wait_seconds := null; return new; end $$;
        create trigger forgetful before insert on jobs for each row execute function forgetful();
        create function uncounted() returns trigger language plpgsql as $$ begin new.fired := 1; return new; end $$;
        create trigger uncounted before insert or update on rule_days for each row execute function uncounted()";
    pool.execute(forgetful).await.expect("sabotaged");
    assert!(play(&quiet.scene, &quiet.plan, None).await.unheard.is_empty());
    quiet.drained().await;
    let memory = quiet.scene.memory().await;
    for words in [
        "acknowledged and never relayed",
        "after the first",
        "times on a day, and 0 were held",
        "and nobody released any",
    ] {
        noticed(&quiet, &memory, &pool, words).await;
    }
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_what_is_released_twice(pool: PgPool) {
    let quiet = Quiet::set(&pool, None).await;
    let unreleased = "create function unreleased() returns trigger language plpgsql as $$ begin new.state := 'held'; return new; end $$;
        create trigger unreleased before update on holds for each row execute function unreleased()";
    pool.execute(unreleased).await.expect("sabotaged");
    assert!(play(&quiet.scene, &quiet.plan, None).await.unheard.is_empty());
    super::release(&quiet.scene, &super::SOME).await;
    quiet.drained().await;
    let memory = quiet.scene.memory().await;
    noticed(&quiet, &memory, &pool, "is held and has 2 jobs").await;
    noticed(&quiet, &memory, &pool, "and people were told 2").await;
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

/// What no callback told stands out until Bellhop has compared itself with the marketplace, and not afterwards.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_checks_notice_a_wrong_status_until_it_is_compared(pool: PgPool) {
    let quiet = Quiet::played(&pool).await;
    let mut connection = pool.acquire().await.expect("a connection");
    let slip = "update installations set status = 'frozen' where status = 'active'";
    let slipped = connection.execute(slip).await.expect("changed");
    assert!(slipped.rows_affected() > 0);
    assert_eq!(quiet.broken(&mut connection).await.first(), Some(&Check::Installations));
    compared(&quiet.scene, super::PATIENCE).await.expect("compared");
    assert!(!quiet.broken(&mut connection).await.contains(&Check::Installations));
    drop(connection);
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

/// No sabotage: here the check of signatures would notice by itself.
#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_process_in_another_hour_signs_with_the_hour_of_the_others(pool: PgPool) {
    if fake_time().is_none() {
        eprintln!("nothing is here that moves a clock");
        return;
    }
    let quiet = Quiet::set_at(&pool, None, 7_200).await;
    assert!(play(&quiet.scene, &quiet.plan, None).await.unheard.is_empty());
    quiet.drained().await;
    let memory = quiet.scene.memory().await;
    let mut connection = pool.acquire().await.expect("a connection");
    assert_eq!(quiet.against(&memory, &mut connection).await, [""; 0]);
    drop(connection);
    assert_eq!(quiet.scene.end().await, [""; 0]);
}

//! While the database is away, and after it.

use std::{sync::Arc, time::Duration};

use bellhop::{
    domain::{
        event::{Kind, Source, State},
        ids::{ApplicationId, LocationId},
    },
    intake::{
        Accepted, Intake, Settings, Unavailable,
        spool::{Place, Spool},
    },
    metrics::Metrics,
    store::{self, events::Delivery, partitions, quarantine::Share},
};
use serde_json::json;
use sqlx::PgPool;
use tokio::{sync::Notify, time::Instant};

use super::{
    gate::{Gate, Way},
    program::{Program, ended, signal, until},
    stage::APP,
};

const DEADLINE: Duration = Duration::from_millis(800);

/// An intake with a mean way to its database.
struct Scene {
    pool: PgPool,
    gate: Gate,
    intake: Intake,
    folder: tempfile::TempDir,
}

impl Scene {
    /// With a spool of so many bytes, or none.
    async fn set(pool: PgPool, way: Way, spool: Option<u64>) -> Self {
        partitions::ensure(&pool, 1).await.expect("days");
        let gate = Gate::to(&pool, way).await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut scene = Self {
            intake: intake(&gate, &folder, spool),
            pool,
            gate,
            folder,
        };
        if way == Way::Open {
            // From here on the statement is known to the connection.
            assert!(scene.give(0..1).await[0].is_ok());
            scene = scene.emptied().await;
        }
        scene
    }

    async fn give(&self, numbers: std::ops::Range<i64>) -> Vec<Result<Accepted, Unavailable>> {
        let mut answers = Vec::new();
        for number in numbers {
            let answer = self.intake.accept(vec![delivery(number)]).await;
            answers.push(answer.map(|accepted| accepted[0]));
        }
        answers
    }

    async fn emptied(self) -> Self {
        until("the spool is empty", async || self.waiting() == 0).await;
        self
    }

    fn waiting(&self) -> u64 {
        self.intake.spooled().map_or(0, |content| content.events)
    }

    /// The numbers of what is stored, in its order.
    async fn stored(&self) -> Vec<i64> {
        sqlx::query_scalar("select coalesce(resource_id, 0) from events order by id")
            .fetch_all(&self.pool)
            .await
            .expect("numbers")
    }

    /// The same as soon as there are so many: what comes in the moment in which the spool gets empty may go through it.
    async fn stored_at_last(&self, count: usize) -> Vec<i64> {
        until("it is stored", async || {
            self.stored().await.len() >= count && self.waiting() == 0
        })
        .await;
        self.stored().await
    }
}

const SPOOL: u64 = 16 << 20;

fn intake(gate: &Gate, folder: &tempfile::TempDir, spool: Option<u64>) -> Intake {
    let pool = store::connect(&gate.url(), 2, Duration::from_secs(5)).expect("an address");
    let place = |limit| Place {
        folder: folder.path().join("spool"),
        limit,
    };
    let settings = Settings {
        queue: 1000,
        deadline: DEADLINE,
        duplicate_window: Duration::from_secs(3600),
        quarantine_per_day: Share {
            deliveries: 1000,
            bytes: 1 << 20,
        },
        applications: [ApplicationId(APP)].into(),
    };
    let spool = spool.map(|limit| Spool::open(&place(limit)).expect("a spool"));
    Intake::start(pool, spool, settings, Metrics::new(), Arc::new(Notify::new()))
}

fn delivery(number: i64) -> Delivery {
    let mut key = [7; 32];
    key[..8].copy_from_slice(&number.to_be_bytes());
    Delivery {
        key: Some(key),
        application_id: ApplicationId(APP),
        location_id: Some(LocationId(1)),
        kind: Kind::of_entity("record", "create"),
        source: Source::Webhook,
        verdict: State::Received,
        reason: None,
        resource_id: Some(number),
        digest: key,
        fact: None,
        headers: json!({}),
        body: vec![b'x'; 1000],
        arrived_at: None,
    }
}

/// One that counts each time it arrives.
fn uncounted(number: i64) -> Delivery {
    Delivery {
        key: None,
        ..delivery(number)
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn while_the_database_is_away_deliveries_wait_on_the_disk_and_come_in_their_order_with_their_time(pool: PgPool) {
    let scene = Scene::set(pool, Way::Open, Some(SPOOL)).await;
    scene.gate.now(Way::Shut);
    let before = chrono::Utc::now();
    assert_eq!(scene.give(1..40).await, [Ok(Accepted::Fresh)].repeat(39));
    assert_eq!(scene.waiting(), 39);
    let after = chrono::Utc::now();
    tokio::time::sleep(Duration::from_millis(100)).await;
    scene.gate.now(Way::Open);
    // What comes now comes behind them.
    scene.give(40..60).await;
    let scene = scene.emptied().await;
    assert_eq!(scene.give(60..61).await, [Ok(Accepted::Fresh)]);
    assert_eq!(scene.stored_at_last(61).await, (0..61).collect::<Vec<_>>());
    let times = "select count(*) from events where resource_id between 1 and 39
        and occurred_at between $1 and $2 and received_at > $2";
    let timely: i64 = sqlx::query_scalar(times)
        .bind(before)
        .bind(after)
        .fetch_one(&scene.pool)
        .await
        .expect("a count");
    assert_eq!(timely, 39, "they happened when they arrived, and were received later");
    assert_eq!(
        scene.give(5..6).await,
        [Ok(Accepted::Duplicate)],
        "also these are known by their keys"
    );
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_database_that_says_nothing_is_waited_for_only_half_the_deadline(pool: PgPool) {
    let scene = Scene::set(pool, Way::Open, Some(SPOOL)).await;
    scene.gate.now(Way::Silent);
    let began = Instant::now();
    assert_eq!(scene.give(1..2).await, [Ok(Accepted::Fresh)]);
    assert!(began.elapsed() >= DEADLINE / 2, "{:?}", began.elapsed());
    // Nobody waits for it again.
    assert_eq!(scene.give(2..30).await, [Ok(Accepted::Fresh)].repeat(28));
    scene.gate.now(Way::Open);
    let scene = scene.emptied().await;
    assert_eq!(scene.stored_at_last(30).await, (0..30).collect::<Vec<_>>());
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_lost_answer_of_the_database_doubles_nothing_with_or_without_a_name(pool: PgPool) {
    for (way, first) in [(Way::UnansweredOnce, 1), (Way::Unanswered, 10)] {
        let scene = Scene::set(pool.clone(), Way::Open, Some(SPOOL)).await;
        scene.gate.now(way);
        let both = vec![delivery(first), uncounted(first + 1)];
        assert!(scene.intake.accept(both).await.is_ok());
        let stored = scene.stored().await;
        assert!(
            stored.contains(&first),
            "it was done, only the answer was lost: {stored:?}"
        );
        assert_ne!(scene.gate.is(Way::Unanswered), scene.gate.is(Way::Open));
        scene.gate.now(Way::Open);
        let scene = scene.emptied().await;
        let before = scene.stored().await.len();
        scene.give(first + 2..first + 3).await;
        let stored = scene.stored_at_last(before + 1).await;
        let count = |number| stored.iter().filter(|stored| **stored == number).count();
        assert_eq!([count(first), count(first + 1), count(first + 2)], [1, 1, 1]);
        // The same bytes, sent again, count again when they have no name.
        scene.intake.accept(vec![uncounted(first + 1)]).await.expect("taken");
        let again = scene.stored_at_last(before + 2).await;
        assert_eq!(again.iter().filter(|stored| **stored == first + 1).count(), 2);
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_full_spool_refuses_at_once_and_keeps_what_it_took(pool: PgPool) {
    let scene = Scene::set(pool, Way::Shut, Some(64 << 10)).await;
    let answers = scene.give(1..100).await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((20..64).contains(&taken), "{taken}");
    let refused = answers.iter().skip(taken).all(|answer| *answer == Err(Unavailable));
    assert!(refused, "what is full stays full: {answers:?}");
    assert!(scene.intake.spool_trouble().is_some_and(|why| why.contains("full")));
    let began = Instant::now();
    assert_eq!(scene.give(100..101).await, [Err(Unavailable)]);
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
    scene.gate.now(Way::Open);
    let scene = scene.emptied().await;
    let taken = i64::try_from(taken).expect("few");
    assert_eq!(scene.stored().await, (1..=taken).collect::<Vec<_>>());
    until("there is room", async || scene.intake.spool_trouble().is_none()).await;
    assert_eq!(scene.give(101..102).await, [Ok(Accepted::Fresh)]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn without_a_spool_nothing_is_acknowledged_that_is_not_stored(pool: PgPool) {
    let scene = Scene::set(pool, Way::Open, None).await;
    for way in [Way::Shut, Way::Silent] {
        scene.gate.now(way);
        let began = Instant::now();
        assert_eq!(scene.give(1..2).await, [Err(Unavailable)], "{way:?}");
        assert!(began.elapsed() < DEADLINE * 3, "{way:?}: {:?}", began.elapsed());
    }
    scene.gate.now(Way::Open);
    until("it is taken", async || scene.give(2..3).await[0].is_ok()).await;
    assert!(scene.stored().await.contains(&2), "there is no spool, so it is stored");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_comes_while_the_spool_is_emptied_overtakes_nothing(pool: PgPool) {
    let scene = Scene::set(pool, Way::Shut, Some(SPOOL)).await;
    let mut last = 0;
    while last < 3000 {
        let list = (last..last + 300).map(delivery).collect();
        scene.intake.accept(list).await.expect("taken");
        last += 300;
    }
    scene.gate.now(Way::Open);
    while scene.waiting() > 0 {
        scene.intake.accept(vec![delivery(last)]).await.expect("taken");
        last += 1;
        assert!(last < 100_000, "it never gets empty");
    }
    scene.intake.accept(vec![delivery(last)]).await.expect("taken");
    let all: Vec<i64> = (0..=last).collect();
    assert_eq!(scene.stored_at_last(all.len()).await, all);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_delivery_that_the_database_refuses_stops_no_other_and_is_kept_for_people(pool: PgPool) {
    let scene = Scene::set(pool, Way::Shut, Some(SPOOL)).await;
    let poisoned = |number| Delivery {
        headers: json!({"x-hook-id": "\0"}),
        ..delivery(number)
    };
    let list = vec![delivery(1), poisoned(2), delivery(3)];
    assert!(scene.intake.accept(list).await.is_ok());
    scene.gate.now(Way::Open);
    let scene = scene.emptied().await;
    assert!(scene.intake.accept(vec![delivery(4), poisoned(5)]).await.is_ok());
    scene.stored_at_last(5).await;
    let kept: Vec<(String, Option<i64>, Option<String>)> =
        sqlx::query_as("select verdict, resource_id, reason from events order by id")
            .fetch_all(&scene.pool)
            .await
            .expect("rows");
    let believed = |number| ("received".to_owned(), Some(number), None);
    let why = "the database refused it as it was (22P05)".to_owned();
    let refused = ("quarantined".to_owned(), None, Some(why));
    assert_eq!(kept, [believed(1), refused.clone(), believed(3), believed(4), refused]);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_killed_process_leaves_its_spool_to_the_next(pool: PgPool) {
    let program = Program::new(pool, "threads = 1", "");
    let gate = Gate::to(&program.pool, Way::Shut).await;
    program.database_at(&gate.url());
    let mut process = program.start(Vec::new()).await;
    assert_eq!(program.operator_status("readyz").await, 503);
    let mut id = 0;
    for round in 0..3 {
        let mut stream = program.connect().await.expect("it listens");
        for _ in 0..20 {
            let request = program.delivery(id, "keep-alive");
            assert_eq!(
                super::program::ask(&mut stream, &request).await.expect("an answer").0,
                200
            );
            id += 1;
        }
        if round == 1 {
            // Killed while it is emptied, too.
            gate.now(Way::Unanswered);
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
        signal(process.id().expect("it runs"), "KILL");
        ended(&mut process).await;
        gate.now(Way::Shut);
        process = program.start(Vec::new()).await;
    }
    gate.now(Way::Open);
    until("it is ready", async || program.operator_status("readyz").await == 200).await;
    let all = i64::try_from(id).expect("few");
    until("all of it is stored", async || program.stored().await == (all, all)).await;
    let in_order: bool = sqlx::query_scalar(
        "select array_agg(resource_id order by id) = array_agg(resource_id order by resource_id) from events
         where kind = 'record.updated'",
    )
    .fetch_one(&program.pool)
    .await
    .expect("an answer");
    assert!(in_order, "in the order of their arrival");
    signal(process.id().expect("it runs"), "TERM");
    assert!(ended(&mut process).await.success(), "{}", program.log());
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_running_process_takes_over_the_spool_of_one_that_is_gone(pool: PgPool) {
    let Scene {
        pool,
        gate,
        intake: goes,
        folder,
    } = Scene::set(pool, Way::Shut, Some(SPOOL)).await;
    let stays = intake(&gate, &folder, Some(SPOOL));
    for number in 1..4 {
        assert!(goes.accept(vec![delivery(number)]).await.is_ok());
    }
    assert_eq!(stays.spooled().expect("a spool").events, 0);
    drop(goes);
    gate.now(Way::Open);
    until("the other one stored it", async || {
        let stored = sqlx::query_scalar::<_, i64>("select resource_id from events order by id").fetch_all(&pool);
        stored.await.expect("numbers") == [1, 2, 3]
    })
    .await;
}

//! A worker that looks for jobs in the very moment in which another one ends its own.

use std::time::Duration;

use bellhop::{
    domain::action::{Action, Priority},
    store::{
        jobs::{self, Cancel, Claimed, Hands, NewJob, Outcome, Settlement},
        partitions,
    },
};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgPool, postgres::PgPoolOptions};

use super::stage::place;

/// Lets whoever is called `late` read the lanes no further than to its own idea of what is there, until the lock goes.
const A_PAUSE: &str = "
    create function pause() returns bool language plpgsql volatile as $$ begin
        if current_setting('application_name') = 'late' then perform pg_advisory_xact_lock_shared(7); end if;
        return true;
    end $$;
    alter table lanes rename to all_lanes;
    create view lanes as select * from all_lanes where pause()";

/// In one lane.
async fn two_jobs(pool: &PgPool) {
    partitions::ensure(pool, 1).await.expect("partitions");
    let action = Action::SetDiscount {
        percent: rust_decimal::Decimal::TEN,
    };
    let job = NewJob {
        place: place(1),
        lane: "a".into(),
        priority: Priority::Rule,
        action: &action,
        step: None,
        max_attempts: 3,
    };
    let mut tx = pool.begin().await.expect("a transaction");
    jobs::enqueue(&mut tx, &[job.clone(), job]).await.expect("queued");
    tx.commit().await.expect("committed");
}

async fn claim(pool: &PgPool, worker: &str) -> Vec<Claimed> {
    let hands = Hands {
        worker,
        lease: Duration::from_secs(600),
        among: (Priority::Activation, Priority::Unproven),
        except: &[],
        lanes: 10,
        depth: 1,
    };
    jobs::claim(pool, hands).await.expect("claimed")
}

async fn finish(pool: &PgPool, job: &Claimed) {
    let mut tx = pool.begin().await.expect("a transaction");
    let done = Settlement {
        job,
        outcome: &Outcome::Done(json!({})),
        exchanges: &Value::Array(Vec::new()),
    };
    assert_eq!(jobs::settle(&mut tx, &[done]).await.expect("settled"), [true]);
    tx.commit().await.expect("committed");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_claim_that_comes_while_a_job_ends_takes_no_lane_without_a_job_and_rewrites_no_attempt(pool: PgPool) {
    two_jobs(&pool).await;
    sqlx::raw_sql(A_PAUSE).execute(&pool).await.expect("a pause");
    let late = PgPoolOptions::new()
        .connect_with((*pool.connect_options()).clone().application_name("late"))
        .await
        .expect("a pool");

    let first = claim(&pool, "anna").await.remove(0);
    // Its lease ends at once, so that others look at the lane.
    sqlx::query("update all_lanes set leased_until = now() - interval '1 second'")
        .execute(&pool)
        .await
        .expect("run out");
    let mut holder = pool.acquire().await.expect("a connection");
    sqlx::query("select pg_advisory_lock(7)")
        .execute(&mut *holder)
        .await
        .expect("locked");
    let claiming = tokio::spawn(async move { claim(&late, "boris").await });
    let waits = "select count(*) from pg_stat_activity where application_name = 'late' and wait_event = 'advisory'
        and datname = current_database()";
    while sqlx::query_scalar::<_, i64>(waits)
        .fetch_one(&pool)
        .await
        .expect("a count")
        == 0
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    finish(&pool, &first).await;
    sqlx::query("select pg_advisory_unlock(7)")
        .execute(&mut *holder)
        .await
        .expect("unlocked");

    // What boris sees first is the lane of before, with the job that ended meanwhile.
    assert_eq!(claiming.await.expect("claimed").len(), 0);
    let outcomes: Vec<Option<String>> = sqlx::query_scalar("select outcome from attempts")
        .fetch_all(&pool)
        .await
        .expect("attempts");
    assert_eq!(outcomes, [Some("done".to_owned())]);
    let second = claim(&pool, "boris").await;
    assert_eq!(second.len(), 1, "the lane is free for the next job");
    finish(&pool, &second[0]).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_job_that_is_cancelled_while_the_one_before_it_ends_leaves_no_lane(pool: PgPool) {
    two_jobs(&pool).await;
    sqlx::query("update jobs set firing_id = 1, rule = 'a'")
        .execute(&pool)
        .await
        .expect("of a rule");
    let first = claim(&pool, "anna").await.remove(0);

    let mut ending = pool.begin().await.expect("a transaction");
    let done = Settlement {
        job: &first,
        outcome: &Outcome::Done(json!({})),
        exchanges: &Value::Array(Vec::new()),
    };
    jobs::settle(&mut ending, &[done]).await.expect("settled");
    let cancelling = tokio::spawn({
        let pool = pool.clone();
        async move {
            let which = Cancel::Rules {
                place: place(1),
                except: &[],
            };
            let mut tx = pool.begin().await.expect("a transaction");
            let cancelled = jobs::cancel(&mut tx, &which, "gone").await.expect("cancelled");
            tx.commit().await.expect("committed");
            cancelled
        }
    });
    // Until it has done what it can without the other one.
    tokio::time::sleep(Duration::from_millis(200)).await;
    ending.commit().await.expect("committed");
    assert_eq!(cancelling.await.expect("cancelled"), 1);
    let left: i64 = sqlx::query_scalar("select count(*) from lanes")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}

/// Rows of a table that were read by anybody, in any way.
async fn reads(pool: &PgPool, table: &str) -> i64 {
    sqlx::query("select pg_stat_force_next_flush()")
        .execute(pool)
        .await
        .expect("told");
    sqlx::query_scalar("select seq_tup_read + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables where relname = $1")
        .bind(table)
        .fetch_one(pool)
        .await
        .expect("a count")
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_claim_and_its_end_read_what_they_take_and_not_the_whole_queue(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("partitions");
    // One connection, so that what it reads is counted by the time it is asked.
    let url = pool.connect_options().to_url_lossy().to_string();
    let one = bellhop::store::connect(&url, 1, Duration::from_secs(5)).expect("an address");
    let fill = "insert into lanes (application_id, location_id, name, priority, run_at)
            select 1, n, 'r', 1, now() from generate_series(1, 100) n;
        insert into jobs (lane_id, application_id, location_id, action, params, max_attempts)
            select id, 1, location_id, 'send_webhook', '{}', 3 from generate_series(1, 200) n, lanes";
    // What the planner remembers is a queue that was long and is empty.
    let drained = "delete from jobs where ctid < '(100,0)'; delete from jobs; delete from lanes";
    for statement in [
        fill,
        drained,
        "vacuum (truncate off, analyze) jobs",
        "vacuum (truncate off, analyze) lanes",
        fill,
    ] {
        sqlx::raw_sql(statement).execute(&one).await.expect(statement);
    }
    let before = reads(&one, "jobs").await;
    let hands = Hands {
        worker: "anna",
        lease: Duration::from_secs(600),
        among: (Priority::Activation, Priority::Unproven),
        except: &[],
        lanes: 10,
        depth: 8,
    };
    let claimed = jobs::claim(&one, hands).await.expect("claimed");
    assert_eq!(claimed.len(), 80);
    let exchanges = Value::Array(Vec::new());
    let outcome = Outcome::Done(json!({}));
    let all: Vec<Settlement<'_>> = claimed
        .iter()
        .map(|job| Settlement {
            job,
            outcome: &outcome,
            exchanges: &exchanges,
        })
        .collect();
    let mut tx = one.begin().await.expect("a transaction");
    assert_eq!(jobs::settle(&mut tx, &all).await.expect("settled"), [true].repeat(80));
    tx.commit().await.expect("committed");
    let read = reads(&one, "jobs").await - before;
    assert!(read < 2000, "{read} rows were read for 80 jobs beside 20000");
}

//! The queue under workers that sleep over their leases, against the real tables: random schedules,
//! each named by its seed, after each of which everything must have happened once and in order.
//! `LEASES_SEED=123` plays the one of this seed first.

use std::{collections::BTreeMap, time::Duration};

use bellhop::{
    domain::{
        action::{Action, Priority},
        ids::Place,
    },
    store::{
        jobs::{self, Claimed, Hands, NewJob, Outcome, Settlement},
        partitions,
    },
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::place;

/// Schedules in one test.
const SEEDS: u64 = 6;

/// Moves in one schedule, before it is brought to its end.
const MOVES: usize = 60;

/// Attempts of a job that fails.
const MAX_ATTEMPTS: i32 = 4;

/// Workers that do not know of each other, and what has to hold for what they do together.
struct Model {
    pool: PgPool,
    random: fastrand::Rng,
    /// Claims that are not settled, whoever holds them, and whether their lease ran out.
    held: Vec<(Vec<Claimed>, bool)>,
    /// Jobs of a lane that ended, in the order in which they did.
    ended: BTreeMap<i64, Vec<i64>>,
    /// The highest attempt that was begun, by job.
    begun: BTreeMap<i64, i32>,
    queued: Vec<i64>,
}

/// What a worker meets.
fn outcome(random: &mut fastrand::Rng, job: &Claimed) -> Outcome {
    let after = Duration::ZERO;
    if job.attempt > job.max_attempts {
        // Its workers were gone each time; the executor begins it no more.
        return Outcome::Discard("given up".to_owned());
    }
    match random.u8(0..10) {
        0 | 1 if job.attempt < job.max_attempts => Outcome::Retry {
            after,
            error: "it failed".to_owned(),
        },
        2 => Outcome::Snooze {
            after,
            reason: "not now".to_owned(),
        },
        3 => Outcome::Discard("never".to_owned()),
        _ => Outcome::Done(json!({})),
    }
}

impl Model {
    async fn enqueue(&mut self) {
        let action = match self.random.u8(0..3) {
            0 => Action::SetDiscount {
                percent: rust_decimal::Decimal::TEN,
            },
            _ => Action::SendWebhook {
                url: String::new(),
                body: None,
            },
        };
        let jobs: Vec<(Place, &str)> = (0..self.random.usize(1..6))
            .map(|_| (place(self.random.i64(1..4)), if self.random.bool() { "a" } else { "b" }))
            .collect();
        let new: Vec<NewJob<'_>> = jobs
            .iter()
            .map(|(place, lane)| NewJob {
                place: *place,
                lane: (*lane).into(),
                priority: Priority::Rule,
                action: &action,
                step: None,
                max_attempts: MAX_ATTEMPTS,
            })
            .collect();
        let mut tx = self.pool.begin().await.expect("a transaction");
        let ids = jobs::enqueue(&mut tx, &new).await.expect("queued");
        tx.commit().await.expect("committed");
        self.queued.extend(ids.iter().map(|id| id.0));
    }

    async fn claim(&mut self) {
        let worker = ["anna", "boris"][self.random.usize(..2)];
        let hands = Hands {
            worker,
            lease: Duration::from_secs(600),
            among: (Priority::Activation, Priority::Unproven),
            except: &[],
            lanes: self.random.i64(1..4),
            depth: self.random.i64(1..5),
        };
        let claimed = jobs::claim(&self.pool, hands).await.expect("claimed");
        let mut lanes: BTreeMap<i64, Vec<Claimed>> = BTreeMap::new();
        for job in claimed {
            lanes.entry(job.lane_id).or_default().push(job);
        }
        for (lane, jobs) in lanes {
            let holder = self.held.iter().find(|(held, lost)| !lost && held[0].lane_id == lane);
            assert!(holder.is_none(), "two hold the lane {lane}");
            for job in &jobs {
                let begun = self.begun.entry(job.id.0).or_default();
                assert!(
                    *begun < job.attempt,
                    "attempt {} of job {} was begun before",
                    job.attempt,
                    job.id
                );
            }
            // Only the first is begun; the others have to wait for it.
            self.begun.insert(jobs[0].id.0, jobs[0].attempt);
            self.held.push((jobs, false));
        }
    }

    /// Somebody stands still for longer than the lease.
    async fn lose(&mut self) {
        let still: Vec<usize> = (0..self.held.len()).filter(|at| !self.held[*at].1).collect();
        let Some(at) = self.random.choice(still) else { return };
        self.held[at].1 = true;
        let done = sqlx::query("update lanes set leased_until = now() - interval '1 second' where id = $1")
            .bind(self.held[at].0[0].lane_id)
            .execute(&self.pool)
            .await
            .expect("it ran out");
        assert_eq!(done.rows_affected(), 1);
    }

    /// A holder says what became of his first job, in good time or too late.
    async fn settle(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let at = self.random.usize(..self.held.len());
        let (mut jobs, lost) = self.held.swap_remove(at);
        let job = jobs.remove(0);
        let outcome = outcome(&mut self.random, &job);
        let goes_on = matches!(outcome, Outcome::Done(_)) && self.random.u8(..8) > 0;
        let rest = if goes_on { Vec::new() } else { std::mem::take(&mut jobs) };
        let exchanges = Value::Array(Vec::new());
        let of = |job, outcome| Settlement {
            job,
            outcome,
            exchanges: &exchanges,
        };
        let mut settlements = vec![of(&job, &outcome)];
        settlements.extend(rest.iter().map(|job| of(job, &Outcome::NotBegun)));
        let taken = self.taken(&job).await;
        let before = lost.then_some(self.picture().await);
        let mut tx = self.pool.begin().await.expect("a transaction");
        let counts = jobs::settle(&mut tx, &settlements).await.expect("settled");
        tx.commit().await.expect("committed");
        assert!(
            counts.iter().all(|count| *count == counts[0]),
            "a claim counts whole or not at all"
        );
        assert_eq!(counts[0], !taken, "it counts as long as nobody else has the lane");
        if !counts[0] {
            let same = before == Some(self.picture().await);
            assert!(same || !lost, "a late word changes nothing");
            return;
        }
        if matches!(outcome, Outcome::Done(_) | Outcome::Discard(_)) {
            self.ended.entry(job.lane_id).or_default().push(job.id.0);
        }
        if let Some(next) = jobs.first() {
            self.begun.insert(next.id.0, next.attempt);
            self.held.push((jobs, lost));
        }
    }

    /// Whether somebody else has claimed the lane since.
    async fn taken(&self, job: &Claimed) -> bool {
        let holder: Option<Option<String>> = sqlx::query_scalar("select leased_by from lanes where id = $1")
            .bind(job.lane_id)
            .fetch_optional(&self.pool)
            .await
            .expect("a lane");
        let begun_since = self.begun.get(&job.id.0).is_some_and(|attempt| *attempt > job.attempt);
        assert!(
            !begun_since
                || holder
                    .as_ref()
                    .is_none_or(|holder| holder.as_deref() != Some(&*job.lease))
        );
        holder.flatten().as_deref() != Some(&*job.lease)
    }

    /// Everything that a settlement may change.
    async fn picture(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select l::text from lanes l union all select j::text from jobs j union all select f::text from finished_jobs f
             union all select a::text from attempts a order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .expect("rows")
    }

    /// Everybody who sleeps is given up, and the rest is done.
    async fn finish(&mut self) {
        while !self.held.is_empty() {
            self.settle().await;
        }
        for _ in 0..1000 {
            self.claim().await;
            if self.held.is_empty() {
                // What nobody gave back has to run out.
                let run_out =
                    "update lanes set leased_until = now() - interval '1 second' where leased_until is not null";
                let stuck = sqlx::query(run_out).execute(&self.pool).await.expect("run out");
                if stuck.rows_affected() == 0 {
                    return;
                }
            }
            while !self.held.is_empty() {
                self.settle().await;
            }
        }
        panic!("it does not end");
    }

    async fn check(&self) {
        let left: i64 = sqlx::query_scalar("select (select count(*) from jobs) + (select count(*) from lanes)")
            .fetch_one(&self.pool)
            .await
            .expect("a count");
        assert_eq!(left, 0, "nothing is stuck");
        let mut finished: Vec<i64> = sqlx::query_scalar("select id from finished_jobs")
            .fetch_all(&self.pool)
            .await
            .expect("jobs");
        finished.sort_unstable();
        assert_eq!(finished, self.queued, "every job ended, and once");
        for (lane, ended) in &self.ended {
            assert!(ended.is_sorted(), "the lane {lane} did {ended:?}");
        }
        let odd: Vec<String> = sqlx::query_scalar(
            "select format('attempt %s of job %s: %s', attempt, job_id, outcome) from attempts a join finished_jobs f on f.id = a.job_id
                where a.outcome is null or a.attempt > f.attempts or (a.attempt > f.max_attempts and a.outcome in ('done', 'retry'))
             union all select format('%s attempts of job %s are not told', f.attempts, f.id) from finished_jobs f
                where f.attempts <> (select count(*) from attempts where job_id = f.id)
             union all select format('job %s was done %s times', job_id, count(*)) from attempts
                where outcome in ('done', 'discard') group by job_id having count(*) > 1",
        )
        .fetch_all(&self.pool)
        .await
        .expect("attempts");
        assert_eq!(odd, Vec::<String>::new());
    }
}

async fn play(pool: &PgPool, seed: u64) {
    sqlx::query("truncate jobs, lanes, finished_jobs, attempts")
        .execute(pool)
        .await
        .expect("empty");
    let mut model = Model {
        pool: pool.clone(),
        random: fastrand::Rng::with_seed(seed),
        held: Vec::new(),
        ended: BTreeMap::new(),
        begun: BTreeMap::new(),
        queued: Vec::new(),
    };
    for _ in 0..MOVES {
        match model.random.u8(0..10) {
            0 | 1 => model.enqueue().await,
            2..=4 => model.claim().await,
            5 => model.lose().await,
            _ => model.settle().await,
        }
    }
    model.finish().await;
    model.check().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn whoever_sleeps_over_his_lease_disturbs_nobody(pool: PgPool) {
    partitions::ensure(&pool, 1).await.expect("partitions");
    let wanted = std::env::var("LEASES_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = wanted.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    for seed in first..first + SEEDS {
        eprintln!("seed {seed}");
        play(&pool, seed).await;
    }
}

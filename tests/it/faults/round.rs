//! One round: a scene is set, a plan is played, everything is mended, and everything is compared.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bellhop::{
    domain::ids::ApplicationId,
    store::{self, ageing, reconciliations},
};
use sqlx::PgConnection;
use tokio::time::sleep;

use super::{
    checks::{Breach, Case, Check},
    cluster::Cluster,
    driver::{deliver, play},
    plan::Plan,
    scene::{Ground, Scene},
};
use crate::service::stage::{APP, SIBLING};

/// A request may still lie with a process that was stopped, or in a queue: so long after the last one nothing of it
/// can come up any more.
const LAST_OF_ALL: Duration = Duration::from_millis(300);

/// What a round was like.
#[derive(Debug, Default)]
pub(crate) struct Round {
    pub(crate) injected: BTreeMap<String, u64>,
    pub(crate) requests: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) repeated: u64,
    pub(crate) events: u64,
    pub(crate) spooled: u64,
    pub(crate) firings: u64,
    /// Events that the receiver took, repetitions included, and how often it was told in all.
    pub(crate) relayed: (u64, u64),
    /// Firings beyond the cap, and those of them that were released.
    pub(crate) held: (u64, u64),
    /// Telephone calls in the marketplace's history, repetitions included.
    pub(crate) logged: u64,
    pub(crate) calls: u64,
    pub(crate) breaches: Vec<Breach>,
}

/// Plays the round of a plan on a database of its own.
pub(crate) async fn run(plan: &Plan, cluster: &Cluster, patience: Duration) -> Round {
    let patience = plan.patience(patience);
    let name = format!("round_{}", plan.seed);
    let database = cluster.database(&name).await;
    let folder = cluster.folder().join(&name);
    let ground = Ground {
        database: &database,
        folder: &folder,
        marketplace: None,
    };
    let scene = Scene::set(plan, ground).await;
    let played = play(&scene, plan, Some(cluster)).await;
    let mut round = Round {
        injected: played.injected,
        ..Round::default()
    };
    if !scene.ready(patience).await {
        round
            .breaches
            .push(left(format!("not every process came back:\n{}", scene.said())));
        return round;
    }
    // Half of the senders try once more, the others have given up.
    for request in played.unheard.iter().step_by(2) {
        deliver(&scene, request, 0).await;
    }
    sleep(LAST_OF_ALL).await;
    if let Err(stuck) = scene.drained(patience).await {
        round.breaches.push(left(format!("{stuck:#?}\n{}", scene.said())));
    }
    settle_accounts(&scene, plan, &mut round, patience).await;
    for odd in scene.end().await {
        round.breaches.push(left(odd));
    }
    round
}

fn left(what: String) -> Breach {
    Breach {
        check: Check::NothingLeft,
        what,
    }
}

/// First what is certain without asking anybody; then everything, after Bellhop was made to look where it cannot know.
async fn settle_accounts(scene: &Scene, plan: &Plan, round: &mut Round, patience: Duration) {
    let mut connection = scene.pool.acquire().await.expect("a connection").detach();
    // Before dates are moved: what came in later than it arrived.
    let late = "select count(*) from events where occurred_at < received_at and source in ('webhook', 'callback')";
    let spooled: i64 = sqlx::query_scalar(late)
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    round.spooled = u64::try_from(spooled).unwrap_or(0);
    {
        let memory = scene.memory().await;
        let case = case(scene, plan, &memory);
        let unsure = case.unsure();
        round
            .breaches
            .extend(case.certain_places(&mut connection, &unsure).await);
    }
    if let Some(time) = plan.passes {
        time_passes(scene, time).await;
        *round
            .injected
            .entry("time: more than a trial passes at once".to_owned())
            .or_default() += 1;
        if !scene.ready(patience).await {
            round
                .breaches
                .push(left(format!("not every process came back:\n{}", scene.said())));
        }
        if let Err(stuck) = scene.drained(patience).await {
            round
                .breaches
                .push(left(format!("after time passed: {stuck:#?}\n{}", scene.said())));
        }
    }
    // What nobody told, and owners who were never seen, are found by comparing and by nothing else.
    if let Err(stuck) = compared(scene, patience).await {
        round
            .breaches
            .push(left(format!("after comparing: {stuck:#?}\n{}", scene.said())));
    }
    let memory = scene.memory().await;
    let case = case(scene, plan, &memory);
    round.breaches.extend(case.all(&mut connection).await);
    count(scene, round, &mut connection).await;
    if plan.clocks.iter().any(|clock| *clock != 0) {
        *round
            .injected
            .entry("time: a process lives in another hour".to_owned())
            .or_default() += 1;
    }
    round.calls = memory.calls.len() as u64;
    let taken = memory.relayed.iter().filter(|one| one.taken).count();
    round.relayed = (taken as u64, memory.relayed.len() as u64);
    round.logged = memory.truth.phone_calls.len() as u64;
}

pub(crate) fn case<'a>(scene: &'a Scene, plan: &Plan, memory: &'a super::scene::Memory) -> Case<'a> {
    Case {
        oracle: &scene.oracle,
        memory,
        limits: scene.limits,
        folder: &scene.folder,
        leases_lost: plan.loses_leases(),
    }
}

/// A whole round of comparing for each application, and what follows from it.
pub(crate) async fn compared(scene: &Scene, patience: Duration) -> Result<(), Vec<String>> {
    let began = Instant::now();
    for application in [APP, SIBLING].map(ApplicationId) {
        let asked = store::now(&scene.pool).await.expect("now");
        reconciliations::ask(&scene.pool, application).await.expect("asked");
        loop {
            let last = reconciliations::last(&scene.pool, application)
                .await
                .expect("the last round");
            match last.filter(|last| last.begun_at.is_some_and(|at| at > asked) && last.is_over) {
                Some(last) if last.is_complete => break,
                // Places whose look failed a moment ago waited.
                Some(_) => reconciliations::ask(&scene.pool, application).await.expect("asked"),
                None => {}
            }
            if began.elapsed() > patience {
                return Err(vec![format!("the round of {application} does not end")]);
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    scene.drained(patience).await
}

/// Both sides get older at once, and Bellhop dies while the marketplace tells what that means.
async fn time_passes(scene: &Scene, time: Duration) {
    let seconds = i64::try_from(time.as_secs()).expect("not that long");
    ageing::age(&scene.pool, seconds).await.expect("aged");
    let killed = async {
        sleep(Duration::from_millis(30)).await;
        scene.processes[0].signal("-KILL").await;
    };
    let (passed, ()) = tokio::join!(scene.sandbox.advance(time), killed);
    passed.expect("time passes");
}

async fn count(scene: &Scene, round: &mut Round, connection: &mut PgConnection) {
    for fate in scene.oracle.deliveries().values() {
        round.requests += fate.attempts;
        round.repeated += fate.attempts.saturating_sub(1);
        if fate.acknowledged > 0 {
            round.acknowledged += 1;
        } else {
            round.unacknowledged += 1;
        }
    }
    let counts: (i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from events), (select count(*) from firings),
            (select count(*) from holds), (select count(*) from holds where state = 'released')",
    )
    .fetch_one(connection)
    .await
    .expect("counts");
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    (round.events, round.firings) = (number(counts.0), number(counts.1));
    round.held = (number(counts.2), number(counts.3));
}

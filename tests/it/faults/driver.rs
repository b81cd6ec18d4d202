//! Plays a plan: the marketplace's requests, owners' lives, and what goes wrong meanwhile.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use bellhop::sandbox::{Connect, Pay, Place};
use chrono::Utc;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::{
    cluster::{Cluster, Manner},
    oracle::Released,
    plan::{Act, Life, Plan, Release, Request},
    scene::Scene,
    troubles::Trouble,
};
use crate::service::stage::OPERATOR_TOKEN;

/// Further tries of the marketplace's sender.
const RETRIES: u32 = 2;

/// How the players fared.
#[derive(Debug, Default)]
pub(crate) struct Played {
    /// Requests that nobody acknowledged, though they were repeated.
    pub(crate) unheard: Vec<Request>,
    /// Places whose owner pressed Connect and saw no page.
    pub(crate) unseen: Vec<(i64, i64)>,
    /// Faults by name.
    pub(crate) injected: BTreeMap<String, u64>,
}

/// Everything at its time; returns when all of it is over. Without a cluster nothing happens to the database.
pub(crate) async fn play(scene: &Scene, plan: &Plan, cluster: Option<&Cluster>) -> Played {
    scene.take_calls().await;
    let began = Instant::now();
    let played = Mutex::new(Played::default());
    let requests = plan.requests.iter().map(async |request| {
        sleep(request.at.saturating_sub(began.elapsed())).await;
        if !deliver(scene, request, RETRIES).await {
            played.lock().expect("whole").unheard.push(request.clone());
        }
    });
    let lives = plan.lives.iter().map(async |life| {
        if !live(scene, life).await {
            played.lock().expect("whole").unseen.push(life.place);
        }
    });
    let troubles = plan.faults.iter().map(async |(at, trouble)| {
        sleep(at.saturating_sub(began.elapsed())).await;
        let hits = strike(scene, trouble, cluster).await;
        let mut played = played.lock().expect("whole");
        *played.injected.entry(trouble.name()).or_default() += hits;
    });
    let releases = plan.releases.iter().map(async |one| {
        sleep(one.at.saturating_sub(began.elapsed())).await;
        release(scene, one).await;
    });
    tokio::join!(
        join_all(requests),
        join_all(lives),
        join_all(troubles),
        join_all(releases)
    );
    let mut played = played.into_inner().expect("whole");
    // Much of what came waits for the marketplace, whose bad days go on for a while.
    sleep(plan.lull).await;
    // What was ordered of the marketplace and met no call did not happen.
    for fault in scene.sandbox.faults().await {
        let times = u64::from(fault.times.unwrap_or(1));
        let hits = played.injected.entry(Trouble::Marketplace(fault).name()).or_default();
        *hits = hits.saturating_sub(times);
    }
    scene.sandbox.clear_faults().await;
    for day in scene.receiver.recover() {
        let hits = played.injected.entry(Trouble::Receiver(day, 1).name()).or_default();
        *hits = hits.saturating_sub(1);
    }
    played.injected.retain(|_, hits| *hits > 0);
    played
}

/// Sends a request as the marketplace does: again after a while when the answer says so, or when there is none.
pub(crate) async fn deliver(scene: &Scene, request: &Request, retries: u32) -> bool {
    for attempt in 0..=retries {
        if attempt > 0 {
            sleep(Duration::from_millis(700)).await;
        }
        scene.oracle.sent(request);
        let mut post = scene
            .http
            .post(scene.url(&request.path))
            .header("Content-Type", "application/json")
            .body(request.body());
        if let Some(name) = &request.hook_id {
            post = post.header("X-Hook-Id", name);
        }
        if let Ok(answer) = post.send().await {
            match answer.status().as_u16() {
                200 => {
                    scene.oracle.acknowledged(request);
                    return true;
                }
                503 => {}
                // Who wakes after a long sleep takes what came meanwhile for a slow request, before it reads it.
                408 if scene.stands_still => {}
                status => scene.oracle.refused(request, status),
            }
        }
    }
    false
}

/// The acts of an owner, one after another. Returns whether the last connection was seen by Bellhop.
async fn live(scene: &Scene, life: &Life) -> bool {
    let place = Place {
        application_id: life.place.0,
        location_id: life.place.1,
    };
    let mut seen = true;
    for (pause, act) in &life.acts {
        sleep(*pause).await;
        // What makes no sense just then is refused by the marketplace: owners do such things.
        match act {
            Act::Connect => seen = visit(scene, life.place, true).await,
            Act::Freeze => drop(scene.sandbox.freeze(place).await),
            Act::Disconnect => drop(scene.sandbox.disconnect(place).await),
            Act::Pay => {
                let pay = Pay {
                    application_id: place.application_id,
                    location_id: place.location_id,
                    ..Pay::default()
                };
                drop(scene.sandbox.pay(pay).await);
            }
        }
    }
    seen
}

/// The owner consents (or opens the card again), and the browser follows, a few times when the page does not come.
pub(crate) async fn visit(scene: &Scene, place: (i64, i64), consent: bool) -> bool {
    for attempt in 0..4 {
        scene.oracle.visited(place);
        let connect = Connect {
            follow: true,
            ..Connect::new(place.0, place.1)
        };
        let opened = if consent && attempt == 0 {
            scene.sandbox.connect(connect).await
        } else {
            scene.sandbox.open(connect).await
        };
        if let Ok(connected) = opened
            && connected.followed.is_some_and(|page| page.status == 303)
        {
            scene.oracle.let_in(place);
            return true;
        }
        sleep(Duration::from_millis(300)).await;
    }
    false
}

/// As soon as some are held, two people release them, each at a process of his own when there are two, in the
/// same moment. Who is not answered asks again a few times.
pub(crate) async fn release(scene: &Scene, release: &Release) {
    let held = "select count(*) from holds where application_id = $1 and state = 'held'";
    for _ in 0..30 {
        let held = sqlx::query_scalar::<_, i64>(held).bind(release.application);
        let held = held.fetch_one(&scene.pool).await;
        if held.is_ok_and(|held| held >= i64::from(release.limit.min(5))) {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let first = fastrand::usize(..scene.processes.len());
    let both = [first, first + 1].map(async |which| {
        for _ in 0..5 {
            let asked_at = Utc::now();
            let count = ask_for(scene, which % scene.processes.len(), release).await;
            scene.oracle.released(Released {
                asked_at,
                application: release.application,
                count,
            });
            if count.is_some() {
                break;
            }
            sleep(Duration::from_millis(400)).await;
        }
    });
    join_all(both).await;
}

/// How many were released, when there is an answer.
async fn ask_for(scene: &Scene, process: usize, release: &Release) -> Option<i64> {
    let operator = scene.processes[process].operator;
    let rule = format!("rules/{}/capped/release?limit={}", release.application, release.limit);
    let order = scene.http.post(format!("http://127.0.0.1:{operator}/api/v1/{rule}"));
    let answer = order.bearer_auth(OPERATOR_TOKEN).send().await.ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    answer["released"].as_i64()
}

/// Returns how often it hit.
async fn strike(scene: &Scene, trouble: &Trouble, cluster: Option<&Cluster>) -> u64 {
    let hit = match trouble {
        Trouble::Kill(which) => scene.processes[*which].signal("-KILL").await,
        Trouble::KillTwice(which, pause) => scene.processes[*which].kill_twice(*pause).await,
        Trouble::Terminate(which) => scene.processes[*which].signal("-TERM").await,
        Trouble::Pause(which, time) => scene.processes[*which].pause(*time).await,
        Trouble::Marketplace(fault) => {
            scene.sandbox.fail(fault.clone()).await.expect("a fault");
            return u64::from(fault.times.unwrap_or(1));
        }
        Trouble::Receiver(day, times) => {
            scene.receiver.fail(*day, *times);
            return u64::from(*times);
        }
        _ => {
            let Some(cluster) = cluster else { return 0 };
            match trouble {
                Trouble::Postgres(manner, away) => cluster.restart(*manner, *away).await,
                Trouble::Hang(time) => cluster.hang(*time).await,
                Trouble::Exhaust(time) => cluster.exhaust(*time).await,
                Trouble::AwayAndKill(which, time) => {
                    let kill = async {
                        sleep(time.mul_f64(0.6)).await;
                        scene.processes[*which].signal("-KILL").await;
                    };
                    tokio::join!(cluster.restart(Manner::Immediate, *time), kill);
                    sleep(Duration::from_millis(150)).await;
                    scene.processes[*which].signal("-KILL").await;
                }
                Trouble::NoRoom(which, time, bytes) => {
                    scene.processes[*which].bound_files(Some(*bytes)).await;
                    cluster.restart(Manner::Immediate, *time).await;
                    scene.processes[*which].bound_files(None).await;
                }
                Trouble::ReadOnly(time) => cluster.read_only(*time).await,
                Trouble::DiskFull(time) => cluster.disk_full(&scene.pool, *time).await,
                Trouble::CrashBackend => cluster.crash_a_backend().await,
                _ => cluster.cut_connections().await,
            }
            true
        }
    };
    u64::from(hit)
}

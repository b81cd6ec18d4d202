//! One process after another, and nobody at the door notices.

use std::{
    io,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio::task::JoinSet;

use super::program::{Program, ask, ended, signal, until};

/// Senders of both kinds: with a connection for each delivery, and with one for many.
struct Senders {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    tasks: JoinSet<Vec<String>>,
}

impl Senders {
    fn start(program: &Arc<Program>, of_each: usize) -> Self {
        let mut senders = Self {
            stop: Arc::default(),
            acknowledged: Arc::default(),
            tasks: JoinSet::new(),
        };
        let next = Arc::new(AtomicUsize::new(1));
        for n in 0..of_each * 2 {
            let (program, next) = (Arc::clone(program), Arc::clone(&next));
            let (stop, acknowledged) = (Arc::clone(&senders.stop), Arc::clone(&senders.acknowledged));
            senders.tasks.spawn(async move {
                let mut problems = Vec::new();
                let mut kept = None;
                while !stop.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    match deliver(&program, &mut kept, n % 2 == 0, id).await {
                        Ok(200) => {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(status) => problems.push(format!("delivery {id}: {status}")),
                        Err(error) => problems.push(format!("delivery {id}: {error}")),
                    }
                    // Some connections rest longer than others.
                    tokio::time::sleep(Duration::from_millis(u64::try_from(n * 3).unwrap_or(0))).await;
                }
                problems
            });
        }
        senders
    }

    /// So many more are acknowledged.
    async fn more(&self, count: usize) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + count;
        until("more acknowledgements", async || {
            self.acknowledged.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    /// Everything that went wrong, and how many were acknowledged.
    async fn stop(self) -> (Vec<String>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let problems = self.tasks.join_all().await.concat();
        (problems, self.acknowledged.load(Ordering::Relaxed))
    }
}

async fn deliver(
    program: &Program,
    kept: &mut Option<tokio::net::TcpStream>,
    keep: bool,
    id: usize,
) -> io::Result<u16> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => program.connect().await?,
    };
    let connection = if keep { "keep-alive" } else { "close" };
    let (status, last) = ask(&mut stream, &program.delivery(id, connection)).await?;
    if keep && !last {
        *kept = Some(stream);
    }
    Ok(status)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_successor_takes_over_under_load_and_no_delivery_is_refused_reset_or_lost(pool: PgPool) {
    let program = Arc::new(Program::new(pool, "", ""));
    let mut first = program.start(Vec::new()).await;
    let senders = Senders::start(&program, 6);
    senders.more(50).await;
    let mut process = first.id().expect("it runs");
    for round in 0..2 {
        signal(process, "USR2");
        // The successor is ready, and then the one before tells who goes on.
        assert_eq!(program.told().await, "READY=1");
        let told = program.told().await;
        let (name, id) = told.split_once('=').expect("a word");
        assert_eq!(name, "MAINPID");
        if round == 0 {
            assert_eq!(ended(&mut first).await.code(), Some(0), "{}", program.log());
        }
        process = id.parse().expect("a number");
        senders.more(50).await;
    }
    let (problems, acknowledged) = senders.stop().await;
    assert_eq!(problems, [""; 0], "{acknowledged} were acknowledged");
    let (all, different) = program.stored().await;
    assert_eq!(all, different, "nothing is stored twice");
    assert_eq!(usize::try_from(all).ok(), Some(acknowledged));
    signal(process, "TERM");
    assert_eq!(program.told().await, "STOPPING=1");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_supervisor_that_holds_the_sockets_restarts_it_under_load_and_nobody_is_refused(pool: PgPool) {
    let program = Arc::new(Program::new(pool, "", ""));
    let public = TcpListener::bind(("127.0.0.1", program.public)).expect("a socket");
    let operator = TcpListener::bind(("127.0.0.1", program.operator)).expect("a socket");
    // By name, whatever the order is.
    let sockets = || {
        vec![
            ("operator", operator.try_clone().expect("a copy").into()),
            ("public", public.try_clone().expect("a copy").into()),
        ]
    };
    let mut process = program.start(sockets()).await;
    let senders = Senders::start(&program, 4);
    senders.more(30).await;
    signal(process.id().expect("it runs"), "TERM");
    assert_eq!(program.told().await, "STOPPING=1");
    assert_eq!(ended(&mut process).await.code(), Some(0));
    let mut process = program.start(sockets()).await;
    senders.more(30).await;
    let (problems, acknowledged) = senders.stop().await;
    assert_eq!(problems, [""; 0], "{acknowledged} were acknowledged");
    assert_eq!(usize::try_from(program.stored().await.1).ok(), Some(acknowledged));
    assert_eq!(program.operator_status("readyz").await, 200);
    signal(process.id().expect("it runs"), "TERM");
    assert_eq!(ended(&mut process).await.code(), Some(0));
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_successor_that_cannot_start_changes_nothing(pool: PgPool) {
    let program = Program::new(pool, "", "");
    let mut process = program.start(Vec::new()).await;
    let path = program.path("bellhop.toml");
    let right = std::fs::read_to_string(&path).expect("read");
    std::fs::write(&path, right.replace("[security]", "[securty]")).expect("written");
    signal(process.id().expect("it runs"), "USR2");
    until("the successor gives up", async || {
        program.log().contains("There is no successor; this process goes on")
    })
    .await;
    assert!(program.log().contains("unknown field `securty`"), "{}", program.log());
    let mut stream = program.connect().await.expect("connected");
    let answer = ask(&mut stream, &program.delivery(1, "keep-alive")).await;
    assert_eq!(answer.expect("an answer"), (200, false));
    // And it is asked again when the mistake is corrected.
    std::fs::write(&path, right).expect("written");
    signal(process.id().expect("it runs"), "USR2");
    assert_eq!(program.told().await, "READY=1");
    assert!(program.told().await.starts_with("MAINPID="));
    // A connection that waited all the time has its next request answered, and ends then.
    let answer = ask(&mut stream, &program.delivery(2, "keep-alive")).await;
    assert_eq!(answer.expect("an answer"), (200, true));
    assert_eq!(ended(&mut process).await.code(), Some(0));
    assert_eq!(program.operator_status("readyz").await, 200);
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn balancers_are_told_first_and_deliveries_are_taken_meanwhile(pool: PgPool) {
    let program = Program::new(pool, "drain_delay = \"10m\"\nshutdown_grace = \"11m\"", "");
    let mut process = program.start(Vec::new()).await;
    let id = process.id().expect("it runs");
    let mut kept = program.connect().await.expect("connected");
    let answer = ask(&mut kept, &program.delivery(1, "keep-alive")).await;
    assert_eq!(answer.expect("an answer"), (200, false));
    assert_eq!(program.operator_status("readyz").await, 200);
    signal(id, "TERM");
    until("it is not ready", async || {
        program.operator_status("readyz").await == 503
    })
    .await;
    let answer = ask(&mut kept, &program.delivery(2, "keep-alive")).await;
    assert_eq!(
        answer.expect("an answer"),
        (200, true),
        "taken, and the connection ends"
    );
    let mut new = program.connect().await.expect("connected");
    let probe = ask(&mut new, &program.request("GET", "/healthz", "", b"")).await;
    assert_eq!(probe.expect("an answer"), (503, true));
    let mut new = program.connect().await.expect("connected");
    let answer = ask(&mut new, &program.delivery(3, "keep-alive")).await;
    assert_eq!(answer.expect("an answer"), (200, true));
    assert_eq!(program.operator_status("livez").await, 200);
    assert_eq!(program.stored().await, (3, 3));
    // Asked a second time it does not wait.
    let began = Instant::now();
    signal(id, "TERM");
    assert_eq!(ended(&mut process).await.code(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(60));
}

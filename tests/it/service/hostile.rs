//! Whoever can reach the public listener can send anything. Nothing of it may hold up a genuine
//! delivery, fill the memory, or be taken for another request.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Child,
};

use super::{
    program::{Program, answer, ask, ended, signal, until},
    stage::APP,
};

/// Generous: the machine may be busy. Every single answer takes less.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What the process held at most, in MiB.
fn most_memory(process: &Child) -> u64 {
    let id = process.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a line");
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .expect("a number");
    kib / 1024
}

async fn stop(mut process: Child) {
    signal(process.id().expect("it runs"), "TERM");
    assert_eq!(ended(&mut process).await.code(), Some(0));
}

impl Program {
    /// The status of the answer to bytes on a connection of their own; 0 when it ends without one.
    async fn send(&self, bytes: &[u8]) -> u16 {
        let mut stream = self.connect().await.expect("connected");
        // It may be answered before all of it is read.
        let _ = stream.write_all(bytes).await;
        answer(&mut stream).await.map_or(0, |(status, _)| status)
    }

    async fn genuine(&self, id: usize) -> u16 {
        self.send(&self.delivery(id, "close")).await
    }

    fn to_the_hook(&self, headers: &str, body: &[u8]) -> Vec<u8> {
        self.request("POST", &self.hook(), headers, body)
    }

    /// A request with these lines instead of a declared length.
    fn raw(&self, first: &str, headers: &str, body: &str) -> Vec<u8> {
        format!("{first}\r\nHost: localhost\r\n{headers}\r\n{body}").into_bytes()
    }

    /// Connections that have sent this and wait.
    async fn waiting(&self, count: usize, sent: &[u8]) -> Vec<TcpStream> {
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let mut stream = self.connect().await.expect("connected");
            stream.write_all(sent).await.expect("sent");
            streams.push(stream);
        }
        streams
    }
}

/// Waits until the other side has ended all of them.
async fn all_ended(who: &str, streams: Vec<TcpStream>) {
    let count = streams.len();
    for (n, mut stream) in streams.into_iter().enumerate() {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{who}: number {n} of {count} is held for ever");
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn bodies_of_any_shape_are_answered_at_once_and_genuine_ones_never_with_4xx(pool: PgPool) {
    let program = Program::new(pool, "threads = 1", "");
    let process = program.start(Vec::new()).await;
    let record = r#"{"company_id":1,"resource":"record","resource_id":1,"status":"update","data":{"n":N}}"#;
    let numbered = |n: &str| record.replace('N', n).into_bytes();
    let million = 1024 * 1024;
    let listed = format!("[{}1]", "1,".repeat(100_000));
    let genuine_among = format!("[{}{}]", "{\"x\":1},".repeat(100_000), record.replace('N', "5"));
    let nested = format!("{}{}", "{\"a\":".repeat(200_000), "}".repeat(10));
    let mut not_text = numbered("\"?\"");
    let mark = not_text.iter().position(|byte| *byte == b'?').expect("it is there");
    not_text[mark] = 0xff;
    let twice = record.replace("\"resource_id\":1", "\"resource_id\":1,\"resource_id\":2");
    for (what, headers, body, status) in [
        ("a million open lists", "", vec![b'['; million], 200),
        ("objects in objects", "", nested.into_bytes(), 200),
        ("a list of 100 000 numbers", "", listed.into_bytes(), 200),
        ("one good element among 100 000", "", genuine_among.into_bytes(), 200),
        ("a number of 900 000 digits", "", numbered(&"9".repeat(900_000)), 200),
        ("an exponent without end", "", numbered("1e999999999"), 200),
        ("a key twice", "", twice.into_bytes(), 200),
        ("bytes that are no text", "", not_text, 200),
        ("nothing", "", Vec::new(), 200),
        ("zeros", "", vec![0; million], 200),
        (
            "the name of a token again and again",
            "",
            b"partner_token:null".repeat(58_000),
            200,
        ),
        (
            "a character set as coding",
            "Content-Encoding: UTF-8\r\n",
            numbered("6"),
            200,
        ),
        ("compressed", "Content-Encoding: gzip\r\n", vec![0x1f, 0x8b, 8, 0], 415),
        (
            "compressed twice",
            "Content-Encoding: identity, BR\r\n",
            vec![1, 2, 3],
            415,
        ),
        ("one byte too many", "", vec![b' '; million + 1], 413),
    ] {
        let began = Instant::now();
        assert_eq!(
            program.send(&program.to_the_hook(headers, &body)).await,
            status,
            "{what}"
        );
        assert!(began.elapsed() < AT_ONCE, "{what} took {:?}", began.elapsed());
    }
    assert_eq!(program.genuine(77).await, 200);
    let kept: Vec<String> = sqlx::query_scalar(
        "select distinct concat_ws(' ', resource_id, verdict, reason) from events where kind = 'record.updated' order by 1",
    )
    .fetch_all(&program.pool)
    .await
    .expect("read");
    assert_eq!(kept, ["1 received", "77 received"]);
    let memory = most_memory(&process);
    assert!(memory < 400, "{memory} MiB");
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn requests_of_any_shape_are_answered_or_refused_and_never_taken_for_two(pool: PgPool) {
    let program = Program::new(pool, "threads = 1", "");
    let process = program.start(Vec::new()).await;
    let hook = program.hook();
    let body = r#"{"company_id":1,"resource":"record","resource_id":N,"status":"update"}"#;
    let numbered = |n: u32| body.replace('N', &n.to_string());
    let chunked = |n| format!("{:x}\r\n{}\r\n0\r\n\r\n", numbered(n).len(), numbered(n));
    let sized = |n, more: &str| format!("Content-Length: {}\r\n{more}", numbered(n).len());
    let post = format!("POST {hook} HTTP/1.1");
    let endless = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).repeat(17);
    let smuggled = format!(
        "0\r\n\r\n{post}\r\nHost: localhost\r\n{}\r\n{}",
        sized(666, ""),
        numbered(666)
    );
    for (what, request, status) in [
        (
            "chunked",
            program.raw(&post, "Transfer-Encoding: chunked\r\n", &chunked(10)),
            200,
        ),
        (
            "HTTP/1.0",
            program.raw(&format!("POST {hook} HTTP/1.0"), &sized(11, ""), &numbered(11)),
            200,
        ),
        (
            "an address with its host",
            program.raw(
                &format!("POST http://localhost{hook} HTTP/1.1"),
                &sized(12, ""),
                &numbered(12),
            ),
            200,
        ),
        (
            "chunked without end",
            program.raw(&post, "Transfer-Encoding: chunked\r\n", &endless),
            413,
        ),
        (
            "a huge length",
            program.raw(&post, "Content-Length: 99999999999999\r\n", ""),
            413,
        ),
        (
            "a length beyond numbers",
            program.raw(&post, "Content-Length: 99999999999999999999999999\r\n", ""),
            400,
        ),
        (
            "a negative length",
            program.raw(&post, "Content-Length: -1\r\n", ""),
            400,
        ),
        (
            "a length and chunks",
            program.raw(
                &post,
                &format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", smuggled.len()),
                &smuggled,
            ),
            400,
        ),
        (
            "two lengths",
            program.raw(&post, &sized(666, "Content-Length: 5\r\n"), &numbered(666)),
            400,
        ),
        (
            "chunks under another name",
            program.raw(&post, "Transfer-Encoding: xchunked\r\n", &smuggled),
            400,
        ),
        (
            "a chunk without a size",
            program.raw(&post, "Transfer-Encoding: chunked\r\n", "zz\r\n"),
            400,
        ),
        (
            "garbage",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            400,
        ),
        (
            "a thousand headers",
            program.raw(&post, &"X-A: 1\r\n".repeat(1000), ""),
            431,
        ),
        (
            "a header of 200 kB",
            program.raw(&post, &format!("X-A: {}\r\n", "a".repeat(200_000)), ""),
            431,
        ),
        ("GET", program.request("GET", &hook, "", b""), 200),
        ("OPTIONS", program.request("OPTIONS", &hook, "", b""), 405),
        ("PUT", program.request("PUT", &hook, "", b"{}"), 405),
        (
            "a path up",
            program.request("POST", &format!("/../..{hook}"), "", b"{}"),
            404,
        ),
    ] {
        let began = Instant::now();
        assert_eq!(program.send(&request).await, status, "{what}");
        assert!(began.elapsed() < AT_ONCE, "{what} took {:?}", began.elapsed());
    }
    // One after the other on one connection, without waiting.
    let mut stream = program.connect().await.expect("connected");
    let five: Vec<u8> = (20..25).flat_map(|id| program.delivery(id, "keep-alive")).collect();
    stream.write_all(&five).await.expect("sent");
    let mut answers = String::new();
    while answers.matches("HTTP/1.1 200 OK").count() < 5 {
        let mut more = [0; 1024];
        let length = tokio::time::timeout(AT_ONCE, stream.read(&mut more))
            .await
            .expect("in time")
            .expect("read");
        assert!(length > 0, "it ended after {answers}");
        answers.push_str(&String::from_utf8_lossy(&more[..length]));
    }
    // Who asks first is told to go on.
    let mut stream = program.connect().await.expect("connected");
    let head = program.raw(&post, &sized(30, "Expect: 100-continue\r\n"), "");
    assert_eq!(ask(&mut stream, &head).await.expect("an answer"), (100, false));
    let answer = ask(&mut stream, numbered(30).as_bytes()).await;
    assert_eq!(answer.expect("an answer").0, 200);
    let stored: Vec<i64> = sqlx::query_scalar("select resource_id from events order by resource_id")
        .fetch_all(&program.pool)
        .await
        .expect("read");
    assert_eq!(stored, [10, 11, 12, 20, 21, 22, 23, 24, 30]);
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn slow_senders_are_let_go_and_the_door_opens_again(pool: PgPool) {
    let program = Program::new(pool, "threads = 1\nconnections = 60\nkeep_alive = \"1s\"", "");
    let process = program.start(Vec::new()).await;
    let whole = program.delivery(1, "keep-alive");
    let slow_bodies = program.waiting(15, &whole[..whole.len() - 1]).await;
    let mut and_a_beginning = whole.clone();
    and_a_beginning.extend_from_slice(b"POST /");
    let slow_again = program.waiting(15, &and_a_beginning).await;
    // Below the limit nobody notices.
    assert_eq!(program.genuine(2).await, 200);
    let slow_heads = program.waiting(60, b"POST /apps HTTP/1.1\r\nX-Slow: ").await;
    // At the limit the next one waits, but not for long: slow heads have five seconds.
    let began = Instant::now();
    assert_eq!(program.genuine(3).await, 200);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    all_ended("slow heads", slow_heads).await;
    all_ended("slow again", slow_again).await;
    drop(slow_bodies);
    assert_eq!(program.genuine(4).await, 200);
    assert!(most_memory(&process) < 300);
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn in_a_crowd_those_who_only_sit_make_room(pool: PgPool) {
    let program = Program::new(pool, "threads = 1\nconnections = 40\nkeep_alive = \"10m\"", "");
    let process = program.start(Vec::new()).await;
    let mut sitting = program.waiting(32, b"").await;
    // When the last one is served, all others are inside.
    let last = sitting.last_mut().expect("some");
    let answer = ask(last, &program.delivery(1, "keep-alive")).await;
    assert_eq!(
        answer.expect("an answer"),
        (200, true),
        "in a crowd every answer ends its connection"
    );
    all_ended("who never asked", sitting).await;
    let mut sitting = program.waiting(20, b"").await;
    for (n, stream) in sitting.iter_mut().enumerate() {
        let answer = ask(stream, &program.delivery(100 + n, "keep-alive")).await;
        assert_eq!(answer.expect("an answer"), (200, false));
    }
    // A crowd comes that is busy; who has not asked anything for five seconds goes. It is one without those who sit, too:
    // they fall silent one after the other, and half of them may go a look earlier than the rest.
    let whole = program.delivery(1, "close");
    let crowd = async {
        loop {
            // Whoever is slow with a body is let go, too, but there are always others.
            let busy = program.waiting(35, &whole[..whole.len() - 1]).await;
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(busy);
        }
    };
    tokio::select! {
        () = all_ended("who asked once", sitting) => {}
        () = crowd => {}
    }
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn large_bodies_that_never_end_cannot_fill_the_memory(pool: PgPool) {
    let program = Program::new(pool, "threads = 1", "");
    let process = program.start(Vec::new()).await;
    assert_eq!(program.genuine(1).await, 200);
    let before = most_memory(&process);
    let large = vec![b' '; 1024 * 1024];
    let stranger = program.request("POST", &format!("/apps/{APP}/hooks/1/wrong"), "", &large);
    let known = program.to_the_hook("", &large);
    let mut held = Vec::new();
    for request in [&stranger, &known] {
        for _ in 0..100 {
            let mut stream = program.connect().await.expect("connected");
            // Some are refused before they have sent all of it.
            let _ = stream.write_all(&request[..request.len() - 1]).await;
            held.push(stream);
        }
    }
    // A genuine one of the usual size is taken at once.
    let began = Instant::now();
    assert_eq!(program.genuine(2).await, 200);
    assert!(began.elapsed() < AT_ONCE);
    // 40 MiB are the room for large bodies; 200 MiB were sent.
    let more = most_memory(&process) - before;
    assert!(more < 120, "{more} MiB");
    drop(held);
    until("there is room again", async || program.send(&known).await == 200).await;
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_full_queue_is_answered_at_once(pool: PgPool) {
    let program = Program::new(pool, "threads = 1\nack_deadline = \"9s\"", "[intake]\nqueue = 4");
    let process = program.start(Vec::new()).await;
    let mut held = program.pool.begin().await.expect("a transaction");
    sqlx::query("lock table events in access exclusive mode")
        .execute(&mut *held)
        .await
        .expect("held");
    let mut streams = Vec::new();
    for id in 0..20 {
        streams.extend(program.waiting(1, &program.delivery(id, "close")).await);
    }
    let mut refused = 0;
    let mut waiting = Vec::new();
    for mut stream in streams {
        let early = tokio::time::timeout(Duration::from_millis(300), answer(&mut stream)).await;
        match early {
            Ok(answer) => {
                assert_eq!(answer.expect("an answer").0, 503);
                refused += 1;
            }
            Err(_) => waiting.push(stream),
        }
    }
    // One batch is being written, four deliveries wait.
    assert!(refused >= 10, "{refused} were refused at once");
    assert!(waiting.len() >= 5, "{} wait", waiting.len());
    held.rollback().await.expect("let go");
    for mut stream in waiting {
        assert_eq!(answer(&mut stream).await.expect("an answer").0, 200);
    }
    stop(process).await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_kept_of_strangers_in_a_day_is_bounded_for_all_processes_and_their_restarts(pool: PgPool) {
    let limits = "[intake]\nquarantine_per_day = 20\nquarantine_bytes_per_day = 3000";
    let programs = [Program::new(pool.clone(), "", limits), Program::new(pool, "", limits)];
    let mut junk = 0;
    for _ in 0..2 {
        let processes = [programs[0].start(Vec::new()).await, programs[1].start(Vec::new()).await];
        for program in programs.iter().cycle().take(40) {
            junk += 1;
            let body = format!("{}{junk:03}", "x".repeat(97));
            assert_eq!(program.send(&program.to_the_hook("", body.as_bytes())).await, 200);
        }
        for (process, program) in processes.into_iter().zip(&programs) {
            stop(process).await;
            assert_eq!(program.told().await, "STOPPING=1");
        }
    }
    let kept = "select count(*), sum(octet_length(body))::bigint from events where verdict = 'quarantined'";
    let (count, bytes): (i64, i64) = sqlx::query_as(kept)
        .fetch_one(&programs[0].pool)
        .await
        .expect("counted");
    assert!((15..=20).contains(&count), "{count} are kept");
    assert!(bytes <= 3000, "{bytes} bytes are kept");
    // The bound of bytes holds by itself, too, and lets smaller bodies in.
    let process = programs[0].start(Vec::new()).await;
    sqlx::query("update quarantine_days set deliveries = 0, bytes = 2500")
        .execute(&programs[0].pool)
        .await
        .expect("updated");
    for body in ["y".repeat(400), "z".repeat(400)] {
        assert_eq!(
            programs[0].send(&programs[0].to_the_hook("", body.as_bytes())).await,
            200
        );
    }
    let (after, bytes_after): (i64, i64) = sqlx::query_as(kept)
        .fetch_one(&programs[0].pool)
        .await
        .expect("counted");
    assert_eq!((after - count, bytes_after - bytes), (1, 400));
    assert_eq!(programs[0].genuine(1).await, 200);
    stop(process).await;
}

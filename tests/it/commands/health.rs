//! `bellhop health`: what containers and clusters ask.

use std::time::{Duration, Instant};

use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::desk::{Desk, Ran};
use crate::{
    ports::free_port,
    service::program::{Program, ended, signal, until},
};

/// A desk whose operator's listener has this address.
fn desk(operator: &str) -> Desk {
    let desk = Desk::new();
    desk.change(
        "[operator]\nlisten = \"127.0.0.1:0\"",
        &format!("[operator]\nlisten = \"{operator}\""),
    );
    desk
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn it_asks_the_process_that_has_the_same_configuration(pool: PgPool) {
    let program = Program::new(pool, "drain_delay = \"10m\"\nshutdown_grace = \"11m\"", "");
    let path = program.path("bellhop.toml");
    let asked = async |more: &[&str]| {
        let arguments = [&["health", "--config", path.to_str().expect("text")], more].concat();
        let Ran { code, out, err } = super::ran(&arguments).await;
        (code, format!("{out}{err}"))
    };
    assert_eq!(asked(&[]).await.0, 1, "nobody is there");
    let mut process = program.start(Vec::new()).await;
    assert_eq!(asked(&[]).await, (0, "ok\n".to_owned()));
    until("it is ready", async || asked(&["--ready"]).await.0 == 0).await;
    assert_eq!(asked(&["--ready"]).await, (0, "{\"ready\":true}\n".to_owned()));

    // About to end it lives, and does not want more work.
    let id = process.id().expect("it runs");
    signal(id, "TERM");
    until("it is not ready", async || asked(&["--ready"]).await.0 == 1).await;
    let (_, said) = asked(&["--ready"]).await;
    assert!(
        said.ends_with("503: {\"ready\":false,\"reasons\":[\"this process was asked to end\"]}\n"),
        "{said}"
    );
    assert_eq!(asked(&[]).await.0, 0);
    signal(id, "TERM");
    ended(&mut process).await;
}

#[tokio::test]
async fn nobody_a_stranger_and_somebody_who_is_silent_are_not_well() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let said = desk(&nobody).run(&["health"]).await;
    let refused = format!("bellhop: http://{nobody}/livez: Connection refused (os error 111)\n");
    assert_eq!((said.code, said.err), (1, refused));

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = listener.local_addr().expect("an address");
    let began = Instant::now();
    let said = desk(&silent.to_string()).run(&["health"]).await;
    let late = format!("bellhop: http://{silent}/livez: no answer within 2.5s\n");
    assert_eq!((said.code, said.err), (1, late));
    assert!(began.elapsed() > Duration::from_millis(2500));

    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // What is left unread would reset the connection.
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream
                .write_all(b"220 mail.example.com \x1b[2J\x1b]0;owned\x07\r\n")
                .await;
        }
    });
    let said = desk(&silent.to_string()).run(&["health"]).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("/livez: 220 mail.example.com "), "{}", said.err);
    assert!(
        !said.err.contains('\u{1b}') && !said.err.contains('\u{7}'),
        "{:?}",
        said.err
    );
}

#[tokio::test]
async fn a_port_that_changes_with_each_start_cannot_be_asked() {
    let said = Desk::new().refused(&["health"]).await;
    assert!(
        said.contains("operator.listen = \"127.0.0.1:0\"") && said.contains("Remedy: name one"),
        "{said}"
    );
}

#[tokio::test]
async fn every_address_is_asked_on_this_machine() {
    let port = free_port();
    let said = desk(&format!("0.0.0.0:{port}")).run(&["health", "--ready"]).await;
    assert!(
        said.err.contains(&format!("http://127.0.0.1:{port}/readyz: ")),
        "{}",
        said.err
    );
    let said = desk(&format!("[::]:{port}")).run(&["health"]).await;
    assert!(
        said.err.contains(&format!("http://[::1]:{port}/livez: ")),
        "{}",
        said.err
    );
}

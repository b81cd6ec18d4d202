//! The conformance run, against Bellhop and against backends that make the mistakes it is there for.

mod naive;

use std::time::Duration;

use bellhop::sandbox::{
    Brand, Delivery, Limits, Options, Sandbox,
    conformance::{self, Outcome, Trial, Verdict},
};
use sqlx::PgPool;

use crate::ports::free_port;
use crate::service::stage::{APP, Stage, TOKEN};
use naive::{Naive, Signatures};

async fn played(sandbox: &Sandbox, trial: &Trial) -> Vec<Outcome> {
    conformance::play(sandbox, trial, &|_| {}).await.expect("played")
}

/// Every outcome with one of these ends, as `check: what was seen`.
fn ended(outcomes: &[Outcome], ends: &[Verdict]) -> Vec<String> {
    let wanted = outcomes.iter().filter(|outcome| ends.contains(&outcome.result));
    wanted
        .map(|outcome| format!("{}: {}", outcome.check, outcome.seen))
        .collect()
}

fn names(outcomes: &[Outcome], end: Verdict) -> Vec<&str> {
    let wanted = outcomes.iter().filter(|outcome| outcome.result == end);
    wanted.map(|outcome| outcome.check).collect()
}

#[sqlx::test(migrations = "./migrations")]
async fn bellhop_passes_every_check_within_the_limits_of_the_marketplace(pool: PgPool) {
    // Four times the real limits, for the sake of time: some two hundred calls are made.
    let limits = Limits {
        per_second: 20,
        per_minute: 800,
        ..Limits::default()
    };
    let stage = Stage::set_edited(
        pool,
        "",
        |options| options.limits = Some(limits),
        &[
            ("requests_per_second = 1000", "requests_per_second = 20"),
            ("requests_per_minute = 60000", "requests_per_minute = 800"),
            ("backoff_limit = \"400ms\"", "backoff_limit = \"10s\""),
        ],
    )
    .await;
    let trial = Trial {
        quiet: Duration::from_millis(400),
        hang: Duration::from_secs(3),
        ..Trial::new(
            APP,
            stage.url(&format!("apps/{APP}/connect")),
            stage.url(&format!("apps/{APP}/callback")),
        )
    };
    let outcomes = played(&stage.sandbox, &trial).await;
    assert_eq!(
        ended(&outcomes, &[Verdict::Fail, Verdict::Warn]),
        Vec::<String>::new(),
        "{outcomes:#?}"
    );
    assert_eq!(
        names(&outcomes, Verdict::NotSeen),
        ["payment-wrong-sign", "payment-report", "refund-report"]
    );
    assert_eq!(outcomes.len(), conformance::checks().count());
    stage.service.stop().await;
    stage.sandbox.stop().await;
}

/// A naive backend with a marketplace of its own, and a trial of it with little patience.
async fn naive(signatures: Signatures) -> (Sandbox, Trial) {
    let mut options = Options::new(TOKEN, Brand::Altegio);
    options.delivery = Delivery::immediate();
    let sandbox = Sandbox::start(options).await.expect("a sandbox");
    let backend = Naive::start(&sandbox.url(), signatures);
    let trial = Trial {
        patience: Duration::from_millis(500),
        quiet: Duration::from_millis(100),
        hang: Duration::from_secs(1),
        burst: 50,
        ..Trial::new(APP, backend.url("connect"), backend.url("callback"))
    };
    (sandbox, trial)
}

#[tokio::test]
async fn a_naive_backend_fails_where_it_should() {
    let (sandbox, trial) = naive(Signatures::Unchecked).await;
    let outcomes = played(&sandbox, &trial).await;
    assert_eq!(
        names(&outcomes, Verdict::Fail),
        [
            "reconnect-untold",
            "signature-over-text",
            "signature-tampered",
            "shape-indexed",
            "shape-indexed-several",
            "shape-csv",
            "probe-callback",
            "probe-webhook",
            "html-answer-undone",
            "success-false",
            "5xx-then-fine",
            "uninstall-without-token",
            "uninstall-null-token",
            "uninstall-of-sibling",
            "string-ids",
            "callback-junk",
            "event-array",
            "event-array-mixed",
            "event-junk",
        ],
        "{outcomes:#?}"
    );
    assert_eq!(
        names(&outcomes, Verdict::Warn),
        [
            "replayed-redirect",
            "framed",
            "html-answer-done",
            "429-retry-after",
            "429-plain",
            "timeout-after-effect",
        ],
        "{outcomes:#?}"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn whoever_checks_signatures_over_the_base64_text_refuses_every_owner() {
    let (sandbox, trial) = naive(Signatures::OverText).await;
    let trial = Trial {
        only: ["connect", "signature", "signature-over-text", "opened-twice"]
            .map(str::to_owned)
            .to_vec(),
        ..trial
    };
    let outcomes = played(&sandbox, &trial).await;
    assert_eq!(
        names(&outcomes, Verdict::Fail),
        ["connect", "signature", "signature-over-text"]
    );
    assert_eq!(
        ended(&outcomes, &[Verdict::NotSeen]),
        ["opened-twice: no location was activated, so there was nothing to try it on"]
    );
    sandbox.stop().await;
}

/// What the program prints about a target, and how it ends.
async fn ran(args: &[&str]) -> (Option<i32>, String, String) {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_bellhop"));
    let ended = program.arg("conformance").args(args).output().await.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (ended.status.code(), text(ended.stdout), text(ended.stderr))
}

#[tokio::test]
async fn the_command_tells_a_partner_what_was_seen_and_ends_accordingly() {
    let listen = format!("127.0.0.1:{}", free_port());
    let backend = Naive::start(&format!("http://{listen}"), Signatures::Unchecked);
    let target = backend.url("");
    let with = |more: &[&'static str]| {
        let mut args = vec![
            "--target",
            &target,
            "--listen",
            &listen,
            "--patience",
            "500ms",
            "--quiet",
            "50ms",
        ];
        args.extend(["--partner-token", TOKEN]);
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let run = async |more: &[&'static str]| {
        let args = with(more);
        ran(&args.iter().map(String::as_str).collect::<Vec<&str>>()).await
    };

    let (code, out, err) = run(&["--only", "connect,token"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(
        out.ends_with("2 checks: 2 passed, 0 failed, 0 with a warning, 0 not seen\n"),
        "{out}"
    );
    assert!(
        err.contains(&format!("partner base is http://{listen}/marketplace")),
        "{err}"
    );

    let (code, out, _) = run(&["--only", "shape-csv,payment-report"]).await;
    assert_eq!(code, Some(1));
    assert!(
        out.contains("FAIL      shape-csv       salon_ids=1,2 activates both locations. Seen: "),
        "{out}"
    );
    assert!(out.contains("not seen  payment-report  none came"), "{out}");

    let (code, out, _) = run(&["--only", "connect", "--json", "--first-location", "77"]).await;
    assert_eq!(code, Some(0));
    let report: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["items"][0]["result"], "pass");
    assert_eq!(report["summary"]["pass"], 1);

    let (code, _, err) = run(&["--only", "conect"]).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no check named `conect`"), "{err}");
    let (code, out, _) = ran(&["--list"]).await;
    assert_eq!(
        (code, out.lines().count()),
        (Some(0), conformance::checks().count() + 1)
    );
}

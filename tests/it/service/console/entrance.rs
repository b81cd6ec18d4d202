//! Who gets in, as what, and for how long.

use std::time::{Duration, Instant};

use chrono::Utc;
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn nobody_sees_a_page_before_logging_in_and_then_comes_back_to_it(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let wanted = "/locations?q=a%26b&status=active";
    let sent_away = open(&stage, wanted, &[]).await;
    assert_eq!(sent_away.status, 303);
    let way = sent_away.header("location");
    assert_eq!(way, "/login?to=%2Flocations%3Fq%3Da%2526b%26status%3Dactive");
    for path in ["/", &place(1), "/nowhere", "/login/x"] {
        let answer = open(&stage, path, &[]).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.header("location").starts_with("/login"), "{path}");
    }
    let page = open(&stage, way, &[]).await;
    assert_eq!(page.status, 200);
    assert!(
        !page.body.contains("aria-label=\"Pages\""),
        "no navigation yet: {}",
        page.body
    );
    let came = send(&stage, "/login", &[("token", OPERATOR_TOKEN), ("to", wanted)], &[]).await;
    assert_eq!((came.status, came.header("location")), (303, wanted));
    let cookie = came.header("set-cookie");
    assert!(cookie.starts_with("bellhop_session="), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax"),
        "{cookie}"
    );
    let page = open(&stage, wanted, &[("cookie", &came.cookies().concat())]).await;
    assert_eq!(page.status, 200);
    // Who is let in already is not asked again.
    let inside = came.cookies().concat();
    let inside = [("cookie", inside.as_str())];
    for (way, to) in [(way, wanted), ("/login", "/"), ("/login?to=//evil.example/", "/")] {
        let sent_on = open(&stage, way, &inside).await;
        assert_eq!((sent_on.status, sent_on.header("location")), (303, to), "{way}");
    }
    // It can be called by a name of its own, so that no other server on this machine is sent its cookie.
    for host in ["127.0.0.2:9090", "bellhop-one:9090"] {
        let origin = format!("http://{host}");
        let own = [("host", host), ("origin", &origin), ("sec-fetch-site", "same-origin")];
        let came = send(&stage, "/login", &[("token", OPERATOR_TOKEN)], &own).await;
        assert_eq!(came.status, 303, "{host}");
        let cookie = came.cookies().concat();
        let page = open(&stage, "/", &[("host", host), ("cookie", &cookie)]).await;
        assert_eq!(page.status, 200, "{host}");
    }
    // It leads nowhere else.
    for to in ["https://evil.example/", "//evil.example/", "/\\evil.example"] {
        let came = send(&stage, "/login", &[("token", OPERATOR_TOKEN), ("to", to)], &[]).await;
        assert_eq!(came.header("location"), "/", "{to}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn where_the_browser_speaks_tls_the_cookie_is_for_tls_and_this_host_only(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let origin = address(&stage, "").replace("http:", "https:");
    for headers in [
        [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")],
        [("x-forwarded-proto", "https"), ("sec-fetch-site", "same-origin")],
    ] {
        let came = send(&stage, "/login", &[("token", OPERATOR_TOKEN)], &headers).await;
        let cookie = came.header("set-cookie");
        assert!(cookie.starts_with("__Host-bellhop_session="), "{cookie}");
        assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let page = open(&stage, "/", &[("cookie", &came.cookies().concat())]).await;
        assert_eq!(page.status, 200);
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_wrong_token_is_refused_and_keeps_nobody_out_who_has_the_right_one(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    for _ in 0..30 {
        let refused = send(&stage, "/login", &[("token", "operator-token-for-test")], &[]).await;
        assert_eq!((refused.status, refused.cookies().len()), (401, 0));
        assert!(refused.body.contains("This token is not right."), "{}", refused.body);
        assert!(!refused.body.contains("operator-token-for"), "{}", refused.body);
        let bearer = [("authorization", "Bearer operator-token-for-test")];
        assert_eq!(open(&stage, "/api/v1/locations", &bearer).await.status, 401);
    }
    let cookie = logged_in(&stage, OPERATOR_TOKEN).await;
    assert_eq!(open(&stage, "/", &[("cookie", &cookie)]).await.status, 200);
    stage.api("locations").await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_session_that_ended_or_was_forged_is_none(pool: PgPool) {
    let stage = Stage::set_edited(pool, "", |_| {}, &[WITH_READ_TOKEN]).await;
    let now = Utc::now().timestamp();
    let right = signed(OPERATOR_TOKEN, "operator", now + 60);
    assert_eq!(open(&stage, "/", &[("cookie", &right)]).await.status, 200);
    let wrong = [
        signed(OPERATOR_TOKEN, "operator", now - 1),
        signed("a-token-of-yesterday", "operator", now + 60),
        signed(READ_TOKEN, "operator", now + 60),
        signed(OPERATOR_TOKEN, "reader", now + 60),
        right.replace(&(now + 60).to_string(), &(now + 61).to_string()),
        "bellhop_session=".to_owned(),
        "bellhop_session=x.y.z".to_owned(),
    ];
    for cookie in wrong {
        let answer = open(&stage, "/", &[("cookie", &cookie)]).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/login"), "{cookie}");
    }
    // The API is for tokens; a browser that is logged in cannot be made to use it.
    let answer = open(&stage, "/api/v1/locations", &[("cookie", &right)]).await;
    assert_eq!(answer.status, 401);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn while_a_token_is_changed_both_are_valid(pool: PgPool) {
    let both = "token = \"the-token-of-tomorrow\"\ntoken_previous = \"operator-token-for-tests\"";
    let stage = Stage::set_edited(pool, "", |_| {}, &[(WITH_READ_TOKEN.0, both)]).await;
    for token in ["the-token-of-tomorrow", OPERATOR_TOKEN] {
        let cookie = logged_in(&stage, token).await;
        assert_eq!(open(&stage, "/", &[("cookie", &cookie)]).await.status, 200);
        let bearer = format!("Bearer {token}");
        let path = format!("/api/v1/locations/{APP}/1/reconcile");
        assert_eq!(
            send(&stage, &path, &[], &[("authorization", &bearer)]).await.status,
            202
        );
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_reader_looks_at_everything_and_changes_nothing(pool: PgPool) {
    let stage = Stage::set_edited(pool, RULES, |_| {}, &[WITH_READ_TOKEN]).await;
    stage.connected(&[1]).await;
    let jobs = stage.jobs(1).await;
    let cookie = logged_in(&stage, READ_TOKEN).await;
    let cookie = [("cookie", cookie.as_str())];
    for path in ["/", "/locations", &place(1), &format!("{}/uninstall", place(1))] {
        let page = open(&stage, path, &cookie).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.body.contains("read only"), "{path}");
        let forms = page.body.matches("method=\"post\"").count();
        assert_eq!(forms, 1, "only the one to log out: {path}");
    }
    let key = open(&stage, "/", &cookie).await.form_key();
    for order in ["activate", "compare", "repair-hooks", "uninstall"] {
        let path = format!("{}/{order}", place(1));
        let refused = send(&stage, &path, &[("form_key", &key)], &cookie).await;
        assert_eq!(refused.status, 403, "{order}");
        assert!(refused.body.contains("look and not to change"), "{}", refused.body);
    }
    let bearer = [("authorization", "Bearer read-token-for-tests")];
    for path in ["locations", "events", "jobs", "ledger", "rules", "plans"] {
        assert_eq!(
            open(&stage, &format!("/api/v1/{path}"), &bearer).await.status,
            200,
            "{path}"
        );
    }
    for path in [
        &format!("locations/{APP}/1/uninstall"),
        "rules/reload",
        "jobs/1/retry",
        "nothing",
    ] {
        let refused = send(&stage, &format!("/api/v1/{path}"), &[], &bearer).await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (403, "application/problem+json"),
            "{path}"
        );
    }
    assert_eq!(stage.jobs(1).await, jobs);
    let left = send(&stage, "/logout", &[("form_key", &key)], &cookie).await;
    assert_eq!((left.status, left.header("location")), (303, "/login"));
    assert_eq!(left.cookies(), ["__Host-bellhop_session=", "bellhop_session="]);
    stage.end().await;
}

/// Announces a body, sends this much of it, and waits; the status of the answer and how long it took.
async fn stalled(stage: &Stage, head: &str, begun: &str) -> (u16, Duration) {
    let address = stage.service.listeners.operator;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = format!("POST {head}\r\nHost: {address}\r\nContent-Length: 100\r\n\r\n{begun}");
    let began = Instant::now();
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut line = [0; 12];
    let answer = tokio::time::timeout(Duration::from_secs(15), stream.read_exact(&mut line)).await;
    answer.expect("an answer in time").expect("an answer");
    let status = std::str::from_utf8(&line[9..])
        .ok()
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), began.elapsed())
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_body_that_does_not_come_holds_nothing(pool: PgPool) {
    let stage = Stage::set_edited(pool, "", |_| {}, &[WITH_READ_TOKEN]).await;
    let ends = Utc::now().timestamp() + 60;
    let reader = format!("/x HTTP/1.1\r\nCookie: {}", signed(READ_TOKEN, "reader", ends));
    let operator = format!("/x HTTP/1.1\r\nCookie: {}", signed(OPERATOR_TOKEN, "operator", ends));
    let api = "/api/v1/plans HTTP/1.1\r\nContent-Type: application/json";
    let with_token = format!("{api}\r\nAuthorization: Bearer {OPERATOR_TOKEN}");
    // Whoever may not come is not waited for.
    for (head, refusal) in [("/x HTTP/1.1", 303), (&reader, 403), (api, 401)] {
        let (status, time) = stalled(&stage, head, "").await;
        assert_eq!(status, refusal, "{head}");
        assert!(time < Duration::from_secs(5), "{head}: {time:?}");
    }
    // Whoever may is waited for, but not for ever; and half a form is none.
    let token = format!("token={OPERATOR_TOKEN}");
    let all = tokio::join!(
        stalled(&stage, "/login HTTP/1.1", &token),
        stalled(&stage, &operator, "form_key="),
        stalled(&stage, &with_token, "{"),
    );
    assert_eq!((all.0.0, all.1.0, all.2.0), (403, 403, 400));
    let large = "a".repeat(64 * 1024);
    let refused = send(&stage, "/login", &[("token", OPERATOR_TOKEN), ("more", &large)], &[]).await;
    assert_eq!(refused.status, 403);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_answer_says_what_a_browser_may_do_with_it(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let cookie = signed(OPERATOR_TOKEN, "operator", Utc::now().timestamp() + 60);
    let page = open(&stage, "/", &[("cookie", &cookie)]).await;
    let (_, style) = page.body.split_once("rel=\"stylesheet\" href=\"").expect("a style");
    let style = style.split('"').next().expect("an address");
    assert!(style.starts_with("/assets/console-"), "{style}");
    for (path, status) in [
        ("/", 200),
        ("/locations", 200),
        ("/locations?status=nonsense", 400),
        ("/locations?application=x", 400),
        ("/locations/x/y", 404),
        (&place(7), 404),
        ("/nowhere", 404),
        ("/assets/console-0000000000000000.css", 404),
        (style, 200),
    ] {
        let answer = open(&stage, path, &[("cookie", &cookie)]).await;
        assert_eq!(answer.status, status, "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self';"),
            "{policy}"
        );
        assert!(
            policy.ends_with("form-action 'self'; base-uri 'none'; frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
        let kept = if path == style {
            "public, max-age=31536000, immutable"
        } else {
            "no-store"
        };
        assert_eq!(answer.header("cache-control"), kept, "{path}");
        let is_page = path != style;
        assert_eq!(
            answer.body.starts_with("<!doctype html>"),
            is_page,
            "{path}: {}",
            answer.body
        );
    }
    for headers in [vec![("authorization", "Bearer operator-token-for-tests")], Vec::new()] {
        let answer = open(&stage, "/api/v1/locations", &headers).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(
            answer.header("content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'"
        );
    }
    stage.end().await;
}

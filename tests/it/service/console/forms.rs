//! Forms that are not ours do nothing.

use sqlx::PgPool;

use super::*;

/// No token: whoever is on this machine.
const OPEN: (&str, &str) = (WITH_READ_TOKEN.0, "");

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_form_without_the_key_of_its_session_or_from_another_site_does_nothing(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    let jobs = stage.jobs(1).await;
    let (mine, other) = (
        logged_in(&stage, OPERATOR_TOKEN).await,
        logged_in(&stage, OPERATOR_TOKEN).await,
    );
    let path = format!("{}/compare", place(1));
    let key = open(&stage, "/", &[("cookie", &mine)]).await.form_key();
    let foreign = open(&stage, "/", &[("cookie", &other)]).await.form_key();
    assert_ne!(key, foreign);
    let keys: [&[(&str, &str)]; 5] = [
        &[],
        &[("form_key", "")],
        &[("form_key", &foreign)],
        &[("form_key", &key[1..])],
        &[("form_key", &key), ("form_key", "")],
    ];
    for fields in keys {
        let refused = send(&stage, &path, fields, &[("cookie", &mine)]).await;
        assert_eq!(refused.status, 403, "{fields:?}");
        assert!(refused.body.contains("Nothing was done."), "{}", refused.body);
    }
    let origin = address(&stage, "");
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", &format!("{origin}0")),
    ] {
        let refused = send(
            &stage,
            &path,
            &[("form_key", &key)],
            &[("cookie", &mine), (name, value)],
        )
        .await;
        assert_eq!(refused.status, 403, "{name}: {value}");
    }
    // Also the way in and the way out.
    let refused = send(
        &stage,
        "/login",
        &[("token", OPERATOR_TOKEN)],
        &[("sec-fetch-site", "cross-site")],
    )
    .await;
    assert_eq!((refused.status, refused.cookies().len()), (403, 0));
    let refused = send(&stage, "/logout", &[], &[("cookie", &mine)]).await;
    assert_eq!((refused.status, refused.cookies().len()), (403, 0));
    let big = "x".repeat(300_000);
    let refused = send(&stage, &path, &[("form_key", &key), ("x", &big)], &[("cookie", &mine)]).await;
    assert_eq!(refused.status, 403);
    assert_eq!(stage.jobs(1).await, jobs, "nothing was done");

    let done = send(
        &stage,
        &path,
        &[("form_key", &key)],
        &[
            ("cookie", &mine),
            ("sec-fetch-site", "same-origin"),
            ("origin", &origin),
        ],
    )
    .await;
    assert_eq!(done.status, 303, "{}", done.body);
    stage.settled().await;
    assert_eq!(stage.jobs(1).await.len(), jobs.len() + 1);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn without_a_token_the_console_is_open_to_this_machine_and_to_no_other_site(pool: PgPool) {
    let stage = Stage::set_edited(pool, RULES, |_| {}, &[OPEN]).await;
    stage.connected(&[1]).await;
    let jobs = stage.jobs(1).await;
    let page = open(&stage, &place(1), &[]).await;
    assert_eq!(page.status, 200);
    assert!(!page.body.contains("Log out"), "{}", page.body);
    assert_eq!(open(&stage, "/login", &[]).await.header("location"), "/");
    let compare = format!("{}/compare", place(1));
    let api = format!("/api/v1/locations/{APP}/1/reconcile");
    assert_eq!(send(&stage, &compare, &[], &[]).await.status, 403, "no key");
    // A site whose name leads here would be one with us.
    let port = stage.service.listeners.operator.port();
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("10.0.0.1:{port}"),
    ] {
        let headers = [("host", host.as_str()), ("sec-fetch-site", "same-origin")];
        for path in ["/", &place(1), "/login", "/api/v1/locations", "/nowhere"] {
            let refused = open(&stage, path, &headers).await;
            assert_eq!(refused.status, 403, "{host} {path}");
            assert!(!refused.body.contains("form_key"), "{}", refused.body);
        }
        assert_eq!(send(&stage, &api, &[], &headers).await.status, 403, "{host}");
    }
    // Nor is whoever comes through a proxy on this machine.
    for path in ["/", "/api/v1/locations"] {
        let refused = open(&stage, path, &[("x-forwarded-for", "203.0.113.9")]).await;
        assert_eq!(refused.status, 403, "{path}");
    }
    for header in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
        let key = page.form_key();
        assert_eq!(
            send(&stage, &compare, &[("form_key", &key)], &[header]).await.status,
            403
        );
        let refused = send(&stage, &api, &[], &[header]).await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (403, "application/problem+json")
        );
    }
    assert_eq!(stage.jobs(1).await, jobs, "nothing was done");
    let local = format!("localhost:{port}");
    let done = send(&stage, &compare, &[("form_key", &page.form_key())], &[("host", &local)]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(send(&stage, &api, &[], &[]).await.status, 202);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_page_of_another_site_reads_neither_metrics_nor_probes_nor_pages(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let port = stage.service.listeners.operator.port();
    for path in ["/metrics", "/readyz", "/livez"] {
        for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
            assert_eq!(open(&stage, path, &[("host", &host)]).await.status, 200, "{host}{path}");
        }
        let rebound = [("host", "evil.example"), ("sec-fetch-site", "same-origin")];
        let refused = open(&stage, path, &rebound).await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (403, "application/problem+json"),
            "{path}"
        );
    }
    let cookie = logged_in(&stage, OPERATOR_TOKEN).await;
    for (mode, status) in [("no-cors", 403), ("cors", 403), ("navigate", 200)] {
        let headers = [
            ("cookie", cookie.as_str()),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", mode),
        ];
        assert_eq!(open(&stage, "/", &headers).await.status, status, "{mode}");
    }
    stage.end().await;
}

//! What the owner sees, and what the page never shows.

mod brand;
mod framed;
mod languages;

use bellhop::{
    domain::{
        ids::{ApplicationId, LocationId},
        signature::progress_token,
    },
    sandbox::{Connect, Location, Owner},
};
use chrono::Utc;
use reqwest::header::HeaderMap;
use sqlx::PgPool;

use super::stage::{APP, HOOK_SECRET, SIBLING, Stage};

const CONTINUE: &str = "continue_url = \"https://example.com/start?at={location_id}\"";

async fn fetch(stage: &Stage, url: &str) -> (u16, HeaderMap, String) {
    fetch_in(stage, url, "").await
}

/// The same for a reader of some languages.
async fn fetch_in(stage: &Stage, url: &str, languages: &str) -> (u16, HeaderMap, String) {
    let request = stage.http.get(url).header("Accept-Language", languages);
    let answer = request.send().await.expect("an answer");
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (
        status,
        headers,
        answer.text().await.expect("a body").replace("&#x2f;", "/"),
    )
}

/// The way to the page of some locations, as our own redirect gives it.
fn page_of(stage: &Stage, application: i64, expires_in: i64, locations: &[i64]) -> String {
    let locations: Vec<LocationId> = locations.iter().copied().map(LocationId).collect();
    let expires = Utc::now().timestamp() + expires_in;
    let token = progress_token(HOOK_SECRET, ApplicationId(application), &locations, expires);
    stage.url(&format!("apps/{application}/connect/progress/{token}"))
}

/// The page may be framed by the card, and does, keeps and tells nothing else.
fn assert_safe(headers: &HeaderMap, frame: &str) {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
    let policy = text("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.ends_with(&format!("frame-ancestors {frame}")), "{policy}");
    assert_eq!(text("x-frame-options"), None);
    assert_eq!(text("set-cookie"), None);
    assert_eq!(text("cache-control").as_deref(), Some("no-store"));
    assert_eq!(text("referrer-policy").as_deref(), Some("no-referrer"));
    assert_eq!(text("vary").as_deref(), Some("Accept-Language"));
    assert_eq!(text("content-type").as_deref(), Some("text/html; charset=utf-8"));
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn each_state_of_a_connection_has_its_words_its_way_on_and_its_refresh(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, CONTINUE).await;
    stage.connected(&[1]).await;
    let url = page_of(&stage, APP, 60, &[1]);
    let card = format!("href=\"https://app.alteg.io/appstore/1/applications/{APP}/info\"");
    let start = "href=\"https://example.com/start?at=1\"".to_owned();
    let states = [
        ("requested", "Looking.", None, true),
        ("activating", "Connecting.", None, true),
        ("failed", "Still trying.", None, true),
        ("external", "One step left.", Some(&start), true),
        ("active", "Connected.", Some(&start), false),
        ("frozen", "Paused.", Some(&card), false),
        ("not_connected", "Not connected.", Some(&card), false),
        ("expired", "Please connect again.", Some(&card), false),
    ];
    for (state, headline, way_on, refreshes) in states {
        sqlx::query("update activations set state = $1")
            .bind(state)
            .execute(&stage.pool)
            .await
            .expect("a state");
        let (status, headers, page) = fetch(&stage, &url).await;
        assert_eq!(status, 200, "{state}");
        assert_safe(&headers, "https://app.alteg.io");
        assert!(
            page.contains(&format!("<strong>{headline}</strong>")),
            "{state}: {page}"
        );
        assert_eq!(page.contains("http-equiv=\"refresh\""), refreshes, "{state}: {page}");
        assert_eq!(
            page.matches("href=").count(),
            usize::from(way_on.is_some()),
            "{state}: {page}"
        );
        assert!(way_on.is_none_or(|way| page.contains(way)), "{state}: {page}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn nothing_of_the_person_is_on_any_page_and_names_of_places_are_only_text(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let place = Location {
        title: "<script>alert('&')</script>".to_owned(),
        ..Location::new(1)
    };
    stage.sandbox.put_location(place).await.expect("a location");
    let owner = Owner {
        name: "Olga Private".to_owned(),
        email: "olga@private.example".to_owned(),
        phone: "10000009999".to_owned(),
        ..Owner::default()
    };
    let connect = Connect {
        user: owner,
        follow: true,
        ..Connect::new(APP, 1)
    };
    let connected = stage.sandbox.connect(connect).await.expect("connected");
    stage.settled().await;
    let url = connected.redirect_url.expect("a redirect");
    let (status, headers, first) = fetch(&stage, &url).await;
    assert_eq!((status, headers.get("set-cookie")), (303, None));
    stage.settled().await;
    let to = headers["location"].to_str().expect("text").to_owned();
    let (_, headers, page) = fetch(&stage, &stage.url(&format!("apps/{APP}/{to}"))).await;
    assert_safe(&headers, "https://app.alteg.io");
    assert!(page.contains("Connected.") && !page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");
    for private in ["Olga", "olga", "10000009999", "user_data"] {
        assert!(
            ![&first, &to, &page].iter().any(|text| text.contains(private)),
            "{private}: {page}"
        );
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn only_a_fresh_way_of_ours_for_this_application_shows_a_connection(pool: PgPool) {
    let more = format!(
        "[[application]]\nid = {SIBLING}\naccount = \"second\"\nname = \"Sibling\"\n[[account]]\nname = \"second\"\n\
         brand = \"yclients\"\npartner_token = \"another-partner-token\"\nrequest_timeout = \"2s\""
    );
    let stage = Stage::set_with(pool, "", |_| {}, &more).await;
    stage.connected(&[1, 2]).await;
    let right = page_of(&stage, APP, 60, &[1]);
    assert!(fetch(&stage, &right).await.2.contains("Connected."));
    let wrong = [
        right.replace("/progress/1~", "/progress/2~"),
        right.replace("/progress/1~", "/progress/1.2~"),
        right.replace(&format!("/apps/{APP}/"), &format!("/apps/{SIBLING}/")),
        page_of(&stage, APP, -1, &[1]),
        stage.url(&format!("apps/{APP}/connect/progress/x")),
        stage.url(&format!("apps/{APP}/connect/progress/~~")),
    ];
    for url in wrong {
        let (status, headers, page) = fetch(&stage, &url).await;
        assert_eq!(status, 200, "{url}");
        assert!(
            page.contains("Please open it again") && !page.contains("<h2"),
            "{url}: {page}"
        );
        let sibling = url.contains(&format!("/apps/{SIBLING}/"));
        let yclients = "https://yclients.com https://*.yclients.com";
        assert_safe(&headers, if sibling { yclients } else { "https://app.alteg.io" });
    }
    let (status, headers, page) = fetch(&stage, &stage.url("apps/999/connect?salon_id=1")).await;
    assert_eq!(status, 404);
    assert!(page.contains("Unknown application"), "{page}");
    assert_safe(&headers, "'none'");
    for query in ["", "?salon_id=", "?salon_id=none&x=1", "?salon_ids[]=-1"] {
        let (status, headers, page) = fetch(&stage, &stage.url(&format!("apps/{APP}/connect{query}"))).await;
        assert_eq!(status, 200);
        assert!(
            page.contains("This page opens by itself when you press Connect"),
            "{page}"
        );
        assert_safe(&headers, "https://app.alteg.io");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_flood_of_unsigned_openings_is_slowed_and_signed_ones_are_not(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "[intake]\nunsigned_connects_per_minute = 2").await;
    let unsigned = stage.url(&format!("apps/{APP}/connect?salon_id=1"));
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(fetch(&stage, &unsigned).await.0);
    }
    assert_eq!(answers, [303, 303, 503, 503]);
    let (_, headers, page) = fetch(&stage, &unsigned).await;
    assert_eq!(headers["retry-after"], "5");
    assert!(page.contains("http-equiv=\"refresh\""), "{page}");
    stage.connected(&[2]).await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_chain_that_opens_unsigned_counts_as_many_as_it_has_and_is_not_shut_out(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "[intake]\nunsigned_connects_per_minute = 2").await;
    let chain = stage.url(&format!("apps/{APP}/connect?salon_ids=1,2,3,4,5"));
    let one = stage.url(&format!("apps/{APP}/connect?salon_id=6"));
    let mut answers = Vec::new();
    for url in [&one, &chain, &one, &chain] {
        answers.push(fetch(&stage, url).await.0);
    }
    assert_eq!(answers, [303, 303, 503, 503]);
    stage.end().await;
}

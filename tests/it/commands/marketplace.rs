//! `bellhop marketplace` beside a running service and a sandbox.

use bellhop::sandbox::{Application, Location, Tariff, TariffOption};
use serde_json::Value;
use sqlx::PgPool;

use super::{
    database::url,
    desk::{Desk, Ran},
};
use crate::service::stage::{APP, HOOK_SECRET, Stage, TOKEN};

const PLACE: [&str; 2] = ["18289", "100001"];
const CRM_TOKEN: &str = "00000000-0000-4000-8000-000000000001";

/// A stage with an active location, and a desk whose configuration knows the same.
async fn set(pool: PgPool) -> (Stage, Desk) {
    let database = url(&pool);
    let user = "rules = [\"rules.toml\"]\nuser_token = \"system-user-token\"";
    let stage = Stage::set_edited(pool, "", |_| {}, &[("rules = [\"rules.toml\"]", user)]).await;
    let known = Application {
        id: APP,
        callback_url: stage.url(&format!("apps/{APP}/callback")),
        redirect_url: stage.url(&format!("apps/{APP}/connect")),
        system_user_token: "system-user-token".to_owned(),
        tariffs: vec![Tariff {
            id: 89,
            title: "Monthly".to_owned(),
            options: vec![TariffOption {
                id: 123,
                ..TariffOption::default()
            }],
        }],
        ..Application::default()
    };
    stage.sandbox.put_application(known).await.expect("an application");
    stage.connected(&[100_001]).await;
    let desk = Desk::with_database(&database);
    let sandbox = stage.sandbox.url();
    desk.change(
        "secret-partner-token-0001\"",
        &format!(
            "{TOKEN}\"\npartner_base = \"{sandbox}/marketplace\"\napi_base = \"{sandbox}/api/v1\"\n\
             requests_per_second = 100\nrequests_per_minute = 6000"
        ),
    );
    desk.change(
        "name = \"Example app\"",
        &format!(
            "name = \"Example app\"\nuser_token = \"system-user-token\"\n[[application.telephony]]\n\
             name = \"reception\"\nlocation = 100001\ncrm_token = \"{CRM_TOKEN}\""
        ),
    );
    desk.change(super::desk::HOOK_SECRET, HOOK_SECRET);
    desk.change("https://hooks.example.com", stage.url("").trim_end_matches('/'));
    stage.sandbox.reset_calls().await;
    (stage, desk)
}

async fn asked(desk: &Desk, verb: &[&str], more: &[&str]) -> Ran {
    let args = [&["marketplace"], verb, &PLACE[..], more].concat();
    desk.run(&args).await
}

async fn shown(desk: &Desk, args: &[&str]) -> String {
    let shown = desk.run(&[&["mp"], args].concat()).await;
    assert_eq!((shown.code, shown.err.as_str()), (0, ""), "{args:?}");
    shown.out
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_only_looks_is_shown_as_tables_and_as_json(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    let locations = shown(&desk, &["locations", "18289"]).await;
    assert!(
        locations.contains("100001    Salon 100001  United States  New York"),
        "{locations}"
    );
    let json = shown(&desk, &["salons", "18289", "--json"]).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["items"][0]["country_name"], "United States");
    let status = shown(&desk, &["status", "18289", "100001"]).await;
    assert!(status.contains("status          active"), "{status}");
    assert!(status.contains("pending      active   partner_api"), "{status}");
    let tariffs = shown(&desk, &["tariffs", "18289"]).await;
    assert!(tariffs.contains("Monthly  123     Standard  50 USD  1"), "{tariffs}");
    let link = shown(&desk, &["payment-link", "18289", "100001", "--discount", "15.5"]).await;
    assert!(link.contains("tariff_option_id=123&discount=15.5"), "{link}");
    let hooks = shown(&desk, &["hooks", "show", "18289", "100001"]).await;
    assert!(hooks.contains("ours   yes     all but loyalty_card"), "{hooks}");
    assert!(hooks.contains("Events of this location come to us."), "{hooks}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn dictionaries_are_asked_for_once_a_day_however_often_somebody_looks(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    for _ in 0..2 {
        let countries = shown(&desk, &["countries", "18289"]).await;
        assert!(
            countries.contains("56       FR    France    33     €         yes"),
            "{countries}"
        );
        let cities = shown(&desk, &["cities", "18289", "--country", "hu"]).await;
        assert_eq!(cities, "CITY  TITLE     COUNTRY\n1334  Budapest  31\n");
        let types = shown(&desk, &["business-types", "18289"]).await;
        assert!(types.contains("25    Spa            1      Beauty"), "{types}");
    }
    let refused = desk.refused(&["mp", "cities", "18289", "--country", "XX"]).await;
    assert!(refused.contains("the marketplace knows no country `XX`"), "{refused}");
    // The connection has read the countries already.
    for (call, times) in [("countries", 0), ("cities", 1), ("business_types", 1)] {
        assert_eq!(stage.called(call).await, times, "{call}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_changes_something_is_shown_first_and_done_with_yes(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    for (verb, more, would, call) in [
        (
            &["discount"][..],
            &["20"][..],
            "POST application/add_discount {\"salon_ids\":[100001],\"application_id\":18289,\"discount\":20",
            "add_discount",
        ),
        (
            &["message"],
            &["--phone", "10000000001", "--name", "Anna", "--text", "Hello"],
            "POST application/new_message",
            "new_message",
        ),
        (
            &["frame"],
            &["waiting-list", "--url", "https://app.example.com/"],
            "POST application/install_frame",
            "install_frame",
        ),
        (
            &["highlight"],
            &["chat", "on", "--user", "5"],
            "POST application/toggle_highlight",
            "toggle_highlight",
        ),
        (
            &["sender-names"],
            &["SALON", "S1"],
            "\"short_names\":[\"SALON\",\"S1\"]",
            "short_names",
        ),
        (
            &["channel"],
            &["sms", "off"],
            "\"is_available\":false",
            "update_channel",
        ),
    ] {
        let first = asked(&desk, verb, more).await;
        assert_eq!((first.code, first.err.as_str()), (2, ""), "{verb:?}");
        assert!(
            first.out.starts_with("Would send: ") && first.out.contains(would),
            "{}",
            first.out
        );
        assert!(
            first.out.ends_with("Nothing was sent; --yes does it.\n"),
            "{}",
            first.out
        );
        assert_eq!(stage.called(call).await, 0, "{call}");
        let done = asked(&desk, verb, &[more, &["--yes"]].concat()).await;
        assert_eq!(
            (done.code, done.out.as_str(), done.err.as_str()),
            (0, "Done.\n", ""),
            "{verb:?}"
        );
        assert_eq!(stage.called(call).await, 1, "{call}");
    }
    let link = stage.sandbox.link(APP, 100_001).await.expect("a link").link;
    assert_eq!((link.discount, link.channels.get("sms")), (Some(20.0), Some(&false)));
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_telephone_line_is_named_by_its_system_and_its_token_is_not_shown(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    let args = ["mp", "voip", "enable", "18289", "reception"];
    let first = desk.run(&args).await;
    assert_eq!(first.code, 2);
    assert!(
        first.out.contains("\"crm_token\":\"***\"") && !first.out.contains(CRM_TOKEN),
        "{}",
        first.out
    );
    shown(&desk, &["voip", "enable", "18289", "reception", "--yes"]).await;
    assert_eq!(stage.sandbox.truth().await.phone_lines, [true]);
    let days = ["--from", "2026-01-01", "--to", "2026-01-02"];
    let calls = shown(&desk, &[&["calls"], &PLACE[..], &days].concat()).await;
    assert_eq!(calls, "Nothing to show.\n");
    let refused = desk.refused(&["mp", "voip", "disable", "18289", "office"]).await;
    assert!(
        refused.contains("there is no telephony `office`. Remedy: one of reception"),
        "{refused}"
    );
    let urls = desk.run(&["urls"]).await.out;
    assert!(
        urls.contains("Telephony `reception`\n      http") && urls.contains("/apps/18289/calls/"),
        "{urls}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn an_owner_consents_with_a_token_of_the_owner(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    stage
        .sandbox
        .put_location(Location::new(100_002))
        .await
        .expect("a location");
    desk.write("owner", "owner-of-100002\n");
    let grant = ["mp", "grant", "18289", "100002", "--user-token-file", "owner"];
    assert_eq!(desk.run(&grant).await.code, 2);
    assert_eq!(stage.called("grant_access").await, 0);
    let done = desk.run(&[&grant[..], &["--yes"]].concat()).await;
    assert_eq!((done.code, done.err.as_str()), (0, ""));
    let truth = stage.sandbox.truth().await;
    assert_eq!(truth.status(APP, 100_002), Some(bellhop::sandbox::Status::Pending));
    // A token of somebody else is refused by the marketplace, and that is a failure.
    let other = ["mp", "grant", "18289", "100001", "--user-token-file", "owner", "--yes"];
    let ended = desk.run(&other).await;
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("access refused (403)"), "{}", ended.err);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_repair_of_webhooks_is_planned_and_then_done_by_the_service(pool: PgPool) {
    let (stage, desk) = set(pool).await;
    let fine = asked(&desk, &["hooks", "repair"], &[]).await;
    assert_eq!(fine.code, 2);
    assert!(fine.out.contains("Our address is there already"), "{}", fine.out);
    // Somebody else replaces everything.
    let answer = stage
        .http
        .post(format!("{}/api/v1/hooks_settings/100001", stage.sandbox.url()))
        .header("Accept", "application/vnd.api.v2+json")
        .header("Content-Type", "application/json")
        .header("Authorization", format!("Bearer {TOKEN}, User system-user-token"))
        .body(r#"{"active": 1, "urls": ["https://other.example.com/hook"], "record": 1, "self_sending": 1}"#)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 201);
    let planned = asked(&desk, &["hooks", "repair"], &[]).await;
    assert_eq!(planned.code, 2);
    assert!(
        planned
            .out
            .contains("Would write 2 URLs in all: ours, and 1 of others."),
        "{}",
        planned.out
    );
    assert!(
        planned
            .out
            .contains("https://other.example.com/…: it would also get client"),
        "{}",
        planned.out
    );
    let refused = asked(&desk, &["hooks", "repair"], &["--yes"]).await;
    assert_eq!(refused.code, 1);
    assert!(
        refused.out.starts_with("Not repaired: addresses of other applications"),
        "{}",
        refused.out
    );
    let done = asked(&desk, &["hooks", "repair"], &["--yes", "--force"]).await;
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "Repaired: events of this location come to us again.\n")
    );
    let truth = stage.sandbox.truth().await;
    let location = truth.locations.iter().find(|one| one.id == 100_001).expect("there");
    assert_eq!((location.hooks.len(), location.lost_hooks.len()), (2, 0));
    let story = desk.run(&["locations", "show", "18289", "100001"]).await.out;
    assert!(
        story.contains("webhooks        registered") && story.contains("repair_hooks"),
        "{story}"
    );
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_mistake_is_told_before_anything_is_asked(pool: PgPool) {
    let desk = Desk::with_database(&url(&pool));
    for (args, said) in [
        (
            &["discount", "18289", "1", "101"][..],
            "a discount must be between 0 and 100 percent, not 101",
        ),
        (
            &["locations", "18289", "--limit", "0"],
            "a page has 1 to 1000 locations, not 0",
        ),
        (
            &["sender-names", "18289", "1", "AG", "--yes"],
            "is the marketplace's own",
        ),
        (
            &["message", "18289", "1", "--phone", "+1", "--name", "A", "--text", "B"],
            "a phone number is digits alone here",
        ),
        (
            &["frame", "18289", "1", "chat", "--url", "http://app.example.com/"],
            "not HTTPS",
        ),
        (&["frame", "18289", "1", "chat"], "<--url <ADDRESS>|--remove>"),
        (
            &["status", "7", "1"],
            "no application 7 is configured. Remedy: one of 18289",
        ),
        (
            &["calls", "18289", "1", "--from", "2026-01-02", "--to", "2026-01-01"],
            "--from is later than --to",
        ),
        (
            &["grant", "18289", "1", "--user-token-file", "nowhere"],
            "nowhere: cannot be read",
        ),
        (&["refund", "18289", "1"], "unrecognized subcommand 'refund'"),
    ] {
        let refused = desk.refused(&[&["marketplace"], args].concat()).await;
        assert!(refused.contains(said), "{args:?}: {refused}");
    }
}

//! Rules in the console.

use sqlx::PgPool;

use super::{
    desk::{Desk, has_orders, words},
    *,
};

const CAPPED: &str = r#"
[[rule]]
name = "welcome"
on = "installation.activated"
cap_per_day = 1
[[rule.then]]
action = "set_discount"
percent = 20
[[rule]]
name = "watched"
on = "installation.activated"
mode = "shadow"
[[rule.then]]
action = "set_tag"
tag = "seen"
[[rule]]
name = "never"
on = "installation.activated"
when = 'location.id == 0'
[[rule.then]]
action = "set_tag"
tag = "zero"
"#;

async fn set(pool: PgPool) -> Stage {
    let stage = Stage::set_edited(pool, CAPPED, |_| {}, &[WITH_READ_TOKEN]).await;
    for location in 1..=4 {
        stage.connected(&[location]).await;
    }
    stage
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn rules_are_shown_with_what_they_said_and_what_waits(pool: PgPool) {
    let stage = set(pool).await;
    let desk = Desk::operator(&stage).await;
    for over in ["", "?over=hour", "?over=week"] {
        let said = words(&desk.page(&format!("/rules{over}")).await);
        for row in [
            "welcome set_discount installation.activated live 1 0 0 0 3",
            "watched set_tag installation.activated shadow 0 4 0 0 0",
            "never set_tag installation.activated live 0 0 4 0 0",
        ] {
            assert!(said.contains(row), "{row}: {said}");
        }
    }
    assert_eq!(desk.open("/rules?over=year").await.0, 400);
    let said = words(&desk.page(&format!("/rules/{APP}/never")).await);
    assert!(said.contains("condition is false: location.id == 0 4"), "{said}");
    assert!(
        said.contains("location.id == 0") && said.contains("rules.toml , line 16"),
        "{said}"
    );
    let said = words(&desk.page(&format!("/rules/{APP}/watched")).await);
    assert!(said.contains("It is only watched"), "{said}");
    let page = desk
        .page(&format!("/firings?rule=watched&result=shadow&application={APP}"))
        .await;
    assert_eq!(page.matches("href=\"/firings/").count(), 4, "{page}");
    let firing = stage.api("firings?rule=watched&limit=1").await["items"][0]["id"].clone();
    let said = words(&desk.page(&format!("/firings/{firing}")).await);
    assert!(said.contains("What it would have done"), "{said}");
    assert_eq!(desk.open(&format!("/rules/{APP}/nobody")).await.0, 404);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_held_is_released_or_given_up(pool: PgPool) {
    let stage = set(pool).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    let rule = format!("/rules/{APP}/welcome");
    let (release, drop) = (format!("{rule}/release"), format!("{rule}/drop"));
    desk.refuses_others(&reader, &[&release, &drop]).await;
    let page = reader.page(&rule).await;
    assert!(page.contains("Held: 3") && !has_orders(&page), "{page}");
    for wrong in ["", "0", "501", "x"] {
        assert_eq!(desk.send(&release, &[("number", wrong)]).await.status, 400, "{wrong}");
    }
    let said = words(&desk.follow(&release, &[("number", "1")]).await);
    assert!(said.contains("Released: 1.") && said.contains("Held: 2"), "{said}");
    stage.settled().await;
    assert_eq!(stage.called("add_discount").await, 2);
    // A rule that is not loaded any more cannot be released, and what it holds is still named.
    stage.write_rules("");
    assert!(words(&desk.follow("/rules/reload", &[]).await).contains("0 rules are in use"));
    let said = words(&desk.page("/rules").await);
    assert!(
        said.contains("Held by rules that are not loaded any more welcome"),
        "{said}"
    );
    assert_eq!(desk.send(&release, &[("number", "1")]).await.status, 409);
    let said = words(&desk.follow(&drop, &[("number", "500")]).await);
    assert!(said.contains("Given up: 2.") && !said.contains("Held:"), "{said}");
    assert_eq!(desk.send(&drop, &[("number", "500")]).await.status, 409);
    assert_eq!(stage.called("add_discount").await, 2);
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn files_with_mistakes_are_refused_and_the_page_says_why(pool: PgPool) {
    let stage = Stage::set_edited(pool, CAPPED, |_| {}, &[WITH_READ_TOKEN]).await;
    let (desk, reader) = (Desk::operator(&stage).await, Desk::reader(&stage).await);
    desk.refuses_others(&reader, &["/rules/reload"]).await;
    let page = reader.page("/rules").await;
    assert!(
        !has_orders(&page) && page.contains("never since this process began"),
        "{page}"
    );
    stage.write_rules("[[rule]]\nname = \"<b>\"\n");
    let page = desk.follow("/rules/reload", &[]).await;
    let said = words(&page);
    assert!(said.contains("refused. The rules before are still in use."), "{said}");
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    assert!(said.contains("welcome"), "{said}");
    stage.write_rules(CAPPED);
    let said = words(&desk.follow("/rules/reload", &[]).await);
    assert!(
        said.contains("The files were read again; 3 rules are in use."),
        "{said}"
    );
    assert!(!said.contains("Why they were refused"), "{said}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_bulk_action_is_no_rule_that_has_gone(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    let file = "[bulk]\nname = \"spring\"\n[[bulk.then]]\naction = \"set_tag\"\ntag = \"spring\"\n";
    let new = serde_json::json!({"application": APP, "file": file});
    let (_, plan) = stage.order_with("plans", &new).await;
    let confirm = serde_json::json!({"confirm": plan["confirmation"]});
    let apply = format!("plans/{}/apply", plan["plan_id"]);
    assert_eq!(stage.order_with(&apply, &confirm).await.0, 202);
    stage.settled().await;
    let desk = Desk::operator(&stage).await;
    let job = stage.api("jobs?action=set_tag").await["items"][0]["id"].clone();
    let page = desk.page(&format!("/jobs/{job}")).await.replace("&#x2f;", "/");
    let rule = format!("/rules/{APP}/bulk.spring");
    assert!(page.contains(&format!("href=\"{rule}\"")), "{page}");
    let said = words(&desk.page(&rule).await);
    for words in [
        "spring bulk action",
        &format!("bellhop plans --application {APP}"),
        "bellhop plan show NUMBER",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(
        !said.contains("has no such rule") && !said.contains("has not fired yet"),
        "{said}"
    );
    stage.end().await;
}

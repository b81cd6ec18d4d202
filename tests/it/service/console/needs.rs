//! What the start page says that it needs somebody for, and what it does not.

use bellhop::sandbox::{Fault, FaultKind};
use sqlx::PgPool;

use super::{
    desk::{Desk, words},
    *,
};

async fn changed(stage: &Stage, sql: &'static str) {
    sqlx::query(sql).execute(&stage.pool).await.expect("changed");
}

/// What the start page says, and where its needs lead.
async fn start(desk: &Desk<'_>) -> (String, String) {
    let page = desk.page("/").await;
    (words(&page), page.replace("&#x2f;", "/"))
}

/// What was seen of the webhook settings at these locations, from the first to the last.
async fn saw(stage: &Stage, what: &str, [first, last]: [i64; 2]) {
    sqlx::query(
        "insert into looks (application_id, location_id, hooks) select $1, n, $2 from generate_series($3, $4) n
         on conflict (application_id, location_id) do update set hooks = excluded.hooks",
    )
    .bind(APP)
    .bind(what)
    .bind(first)
    .bind(last)
    .execute(&stage.pool)
    .await
    .expect("looks");
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn each_trouble_with_webhooks_leads_to_the_locations_that_have_it(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1, 2, 3]).await;
    let desk = Desk::operator(&stage).await;
    saw(&stage, "refused", [1, 2]).await;
    let (said, page) = start(&desk).await;
    assert!(said.contains("Webhook settings cannot be read"), "{said}");
    assert!(
        said.contains("does not show us: 2.") && !said.contains("do not come"),
        "{said}"
    );
    assert!(!page.contains("hooks=missing"), "{page}");
    assert!(page.contains("href=\"/locations?hooks=refused\""), "{page}");
    let list = desk.page("/locations?hooks=refused").await;
    assert_eq!(list.matches("href=\"/locations/18289/").count(), 2, "{list}");

    saw(&stage, "missing", [3, 3]).await;
    let (said, page) = start(&desk).await;
    assert!(said.contains("do not have our address: 1."), "{said}");
    for state in ["missing", "refused"] {
        assert!(page.contains(&format!("href=\"/locations?hooks={state}\"")), "{page}");
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn rules_that_were_kept_because_of_the_database_are_not_said_to_have_mistakes(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    let desk = Desk::operator(&stage).await;
    changed(&stage, "alter table timers rename to timers_elsewhere").await;
    let page = desk.follow("/rules/reload", &[]).await;
    let (said, _) = start(&desk).await;
    changed(&stage, "alter table timers_elsewhere rename to timers").await;
    let kept = words(&page);
    assert!(kept.contains("The rules could not be replaced."), "{kept}");
    assert!(
        kept.contains("Why they were not replaced the database does not answer"),
        "{kept}"
    );
    assert!(!kept.contains("refused"), "{kept}");
    // While the database is away, that is all the start page knows of it.
    let wrong = ["Rules were refused", "have mistakes"];
    assert!(wrong.iter().all(|wrong| !said.contains(wrong)), "{said}");
    let (said, _) = start(&desk).await;
    assert!(
        said.contains("Rules were not replaced") && said.contains("the database does not answer"),
        "{said}"
    );
    assert!(wrong.iter().all(|wrong| !said.contains(wrong)), "{said}");

    stage.write_rules("[[rule]]\nname = 1");
    desk.follow("/rules/reload", &[]).await;
    let (said, _) = start(&desk).await;
    assert!(
        said.contains("Rules were refused") && said.contains("have mistakes"),
        "{said}"
    );
    stage.write_rules(RULES);
    desk.follow("/rules/reload", &[]).await;
    let (said, _) = start(&desk).await;
    assert!(!said.contains("Rules were"), "{said}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_payment_that_is_being_made_needs_nobody_until_it_takes_too_long(pool: PgPool) {
    let contract = "[[rule]]\nname = \"contract\"\non = \"installation.activated\"\n[[rule.then]]\n\
                    action = \"report_payment\"\namount = 29.90\ncurrency = \"EUR\"\nmonths = 1\n";
    let patient = [
        ("request_timeout = \"2s\"", "request_timeout = \"30s\""),
        ("lease = \"3s\"", "lease = \"60s\""),
    ];
    let stage = Stage::set_edited(pool, contract, |_| {}, &patient).await;
    let slow = Fault {
        hang_seconds: Some(4),
        ..Fault::new("report_payment", FaultKind::TimeoutAfterEffect)
    };
    stage.sandbox.fail(slow).await.expect("a fault");
    stage.connect(&[1]).await;
    let desk = Desk::operator(&stage).await;
    stage
        .until("the call is under way", async || {
            words(&desk.page("/ledger?state=unknown").await).contains("29.90")
        })
        .await;
    let (said, _) = start(&desk).await;
    assert!(
        !said.contains("Money is in doubt") && !said.contains("Act now."),
        "{said}"
    );
    changed(&stage, "update ledger set called_at = now() - interval '14 minutes'").await;
    assert!(!start(&desk).await.0.contains("Money is in doubt"));
    changed(&stage, "update ledger set called_at = now() - interval '16 minutes'").await;
    let (said, _) = start(&desk).await;
    assert!(
        said.contains("Act now.") && said.contains("Calls that move money: 1."),
        "{said}"
    );
    stage
        .until("its answer is here", async || {
            words(&desk.page("/ledger").await).contains("done 29.90")
        })
        .await;
    let (said, _) = start(&desk).await;
    assert!(said.contains("All is well."), "{said}");
    // Nobody looks at it any more: that does not become known by waiting.
    changed(&stage, "update ledger set state = 'unknown', called_at = now()").await;
    let (said, _) = start(&desk).await;
    assert!(
        said.contains("Act now.") && said.contains("Money is in doubt"),
        "{said}"
    );
    stage.settled().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn comparing_is_behind_when_it_takes_longer_than_it_was_planned_to(pool: PgPool) {
    let stage = Stage::set_edited(pool, "", |_| {}, &[("enabled = false", "interval = \"12h\"")]).await;
    stage.connected(&[1]).await;
    let desk = Desk::operator(&stage).await;
    stage
        .until("the first round is over", async || {
            words(&desk.page("/reconciliation").await).contains("complete")
        })
        .await;
    let behind = async |hours: i32, stage: &Stage| {
        sqlx::query("update reconciliations set succeeded_at = now() - make_interval(hours => $1)")
            .bind(hours)
            .execute(&stage.pool)
            .await
            .expect("a round");
        let (said, _) = start(&Desk::operator(stage).await).await;
        said.contains("Comparing with the marketplace is behind")
    };
    // It is compared twice a day: between two rounds nothing is amiss.
    assert!(!behind(13, &stage).await);
    assert!(behind(19, &stage).await);
    let stage = stage
        .reconfigured(&[("interval = \"12h\"", "interval = \"10m\"")])
        .await;
    assert!(!behind(5, &stage).await);
    // A start begins a round, and the end of it says that all is well again.
    stage
        .until("comparing is behind", async || behind(7, &stage).await)
        .await;
    stage.end().await;
}

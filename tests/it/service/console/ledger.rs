//! Money in the console.

use sqlx::PgPool;

use super::{
    desk::{Desk, has_orders, words},
    *,
};

const CONTRACT: &str = r#"
[[rule]]
name = "contract"
on = "installation.activated"
[[rule.then]]
action = "report_payment"
amount = 29.90
currency = "EUR"
months = 1
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_in_doubt_stands_first_and_says_what_to_do(pool: PgPool) {
    let stage = Stage::set(pool, CONTRACT).await;
    let desk = Desk::operator(&stage).await;
    let said = words(&desk.page("/ledger").await);
    assert!(said.contains("No rule has moved money yet."), "{said}");
    stage.connected(&[1, 2]).await;
    stage
        .until("both are done", async || {
            words(&desk.page("/ledger").await).matches("payment").count() >= 2
        })
        .await;
    let said = words(&desk.page("/ledger").await);
    assert!(
        said.contains("29.90 EUR") && !said.contains("Money is in doubt"),
        "{said}"
    );
    sqlx::query("update ledger set state = 'unknown', note = '<i>no answer</i>' where location_id = 1")
        .execute(&stage.pool)
        .await
        .expect("in doubt");
    let page = desk.page("/ledger").await;
    let said = words(&page);
    for sentence in ["Money is in doubt", "BellhopPaymentUnknown", "--not-made"] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    assert!(page.contains("&lt;i&gt;no answer") && !page.contains("<i>"), "{page}");
    let (open, settled) = said.split_once("Settled").expect("two parts");
    assert!(open.contains("unknown") && !open.contains("done 29.90"), "{open}");
    assert!(
        settled.contains("done 29.90") && !settled.contains("unknown"),
        "{settled}"
    );
    let job = stage.api("jobs?action=report_payment&location=1").await["items"][0]["id"].clone();
    assert!(page.contains(&format!("href=\"/jobs/{job}\"")), "{page}");
    assert!(!has_orders(&page), "{page}");
    let said = words(&desk.page("/ledger?location=2").await);
    assert!(said.contains("done 29.90") && !said.contains("in doubt"), "{said}");
    let said = words(&desk.page("/ledger?state=failed").await);
    assert!(said.contains("No entry is so."), "{said}");
    assert_eq!(desk.open("/ledger?state=lost").await.0, 400);
    let said = words(&desk.page(&format!("/jobs/{job}")).await);
    assert!(said.contains("unknown payment 29.90 EUR ledger entry"), "{said}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn what_is_not_settled_is_told_once_and_there_is_a_way_to_all_of_it(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    let desk = Desk::operator(&stage).await;
    // Every fourth is in doubt, and the rest are done.
    sqlx::query(
        "insert into ledger (job_id, application_id, location_id, kind, state)
         select n, $1, 1, 'payment', case when n % 4 = 0 then 'unknown' else 'done' end from generate_series(1, 240) n",
    )
    .bind(APP)
    .execute(&stage.pool)
    .await
    .expect("money");
    let jobs = |page: &str| -> Vec<i64> {
        let page = page.replace("&#x2f;", "/");
        let after = page.split("href=\"/jobs/").skip(1);
        let number = |rest: &str| rest.split('"').next().and_then(|number| number.parse().ok());
        after.filter_map(number).collect()
    };
    let page = desk.page("/ledger?location=1").await;
    assert!(words(&page).contains("More than 50 are unknown."), "{page}");
    let more = page.replace("&#x2f;", "/").replace("&amp;", "&");
    assert!(more.contains("href=\"/ledger?location=1&state=unknown\""), "{more}");
    let (mut told, mut path) = (Vec::new(), "/ledger?location=1".to_owned());
    loop {
        let page = desk.page(&path).await.replace("&#x2f;", "/").replace("&amp;", "&");
        told.extend(jobs(&page));
        let Some((before, _)) = page.split_once("\" rel=\"next\"") else {
            break;
        };
        path = before.rsplit_once("href=\"").expect("an address").1.to_owned();
    }
    let newest: Vec<i64> = (41..=240).rev().filter(|number| number % 4 == 0).collect();
    let done = (1..=240).rev().filter(|number| number % 4 != 0);
    assert_eq!(told, newest.into_iter().chain(done).collect::<Vec<i64>>());
    let all = desk.page("/ledger?location=1&state=unknown").await;
    assert_eq!(jobs(&all).len(), 50);
    assert!(all.contains("rel=\"next\""), "{all}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_refund_names_the_payment_and_is_found_behind_any_number_of_others(pool: PgPool) {
    let sorry = "[[rule]]\nname = \"sorry\"\non = \"payment.received\"\nwhen = 'event.payment.amount > 0.0'\n\
                 [[rule.then]]\naction = \"refund_payment\"\npayment = \"{{ event.payment.id }}\"\n";
    let stage = Stage::set(pool, &format!("{CONTRACT}{sorry}")).await;
    stage.connected(&[1]).await;
    let desk = Desk::operator(&stage).await;
    let refund = async || stage.api("ledger").await["items"][0].clone();
    stage
        .until("it is given back", async || {
            let refund = refund().await;
            refund["kind"] == "refund" && refund["state"] == "done"
        })
        .await;
    stage.settled().await;
    let refund = refund().await;
    sqlx::query(
        "insert into ledger (job_id, application_id, location_id, kind, state)
         select 100000 + n, $1, 1, 'payment', 'done' from generate_series(1, 250) n",
    )
    .bind(APP)
    .execute(&stage.pool)
    .await
    .expect("money");
    let said = words(&desk.page(&format!("/jobs/{}", refund["job_id"])).await);
    let wanted = format!(
        "Money done refund of payment {} ledger entry {}",
        refund["payment_id"], refund["id"]
    );
    assert!(said.contains(&wanted), "{wanted}: {said}");
    let said = words(&desk.page(&format!("{}?only=money", place(1))).await);
    assert!(
        !said.contains("of ?") && !said.to_lowercase().contains("none none"),
        "{said}"
    );
    stage.end().await;
}

//! Each state and each message, in the language that the browser asks for.

use sqlx::PgPool;

use super::{APP, Stage, assert_safe, fetch_in, page_of};

const ENGLISH: &str = "en-GB,en;q=0.9";
const RUSSIAN: &str = "ru-RU,ru;q=0.9,en;q=0.8";
const CARD: &str = "https://app.alteg.io";

/// What a page says in both languages.
async fn says(stage: &Stage, url: &str, status: u16, said: &[[&str; 2]]) {
    for (at, (language, tag)) in [(ENGLISH, "en"), (RUSSIAN, "ru")].into_iter().enumerate() {
        let (answered, headers, page) = fetch_in(stage, url, language).await;
        assert_eq!(answered, status, "{page}");
        assert_eq!(headers["content-language"], tag);
        let framed = if status == 404 { "'none'" } else { CARD };
        assert_safe(&headers, framed);
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{page}");
        for both in said {
            assert!(page.contains(both[at]), "{}: {page}", both[at]);
        }
        assert_eq!(headers.contains_key("retry-after"), status == 503);
    }
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn each_state_names_itself_and_the_next_step_in_both_languages(pool: PgPool) {
    let stage = Stage::set_with(pool, "", |_| {}, "continue_url = \"https://example.com/start\"").await;
    stage.connected(&[1]).await;
    let url = page_of(&stage, APP, 60, &[1]);
    let nothing = ["There is nothing for you to do", "Вам ничего не нужно делать"];
    let open = [">Open in the marketplace</a>", ">Открыть в маркетплейсе</a>"];
    let finish = [">Finish registration</a>", ">Завершить регистрацию</a>"];
    let states = [
        ("requested", ["Looking.", "Проверяем."], nothing),
        ("activating", ["Connecting.", "Подключаем."], nothing),
        ("failed", ["Still trying.", "Пробуем снова."], nothing),
        ("external", ["One step left.", "Остался один шаг."], finish),
        (
            "active",
            ["Connected.", "Подключено."],
            [">Continue</a>", ">Продолжить</a>"],
        ),
        (
            "frozen",
            ["Paused.", "Приостановлено."],
            [">Pay in the marketplace</a>", ">Оплатить в маркетплейсе</a>"],
        ),
        ("not_connected", ["Not connected.", "Не подключено."], open),
        ("expired", ["Please connect again.", "Подключите ещё раз."], open),
    ];
    for (state, headline, next) in states {
        sqlx::query("update activations set state = $1, pending_since = now()")
            .bind(state)
            .execute(&stage.pool)
            .await
            .expect("a state");
        let title = headline.map(|headline| format!("<title>{} · Example app</title>", headline.trim_end_matches('.')));
        let title = [title[0].as_str(), title[1].as_str()];
        says(&stage, &url, 200, &[headline, title, next]).await;
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_deadline_is_told_by_the_clocks_of_the_location(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    let url = page_of(&stage, APP, 60, &[1]);
    sqlx::query("update activations set state = 'external', pending_since = now() - interval '5 minutes'")
        .execute(&stage.pool)
        .await
        .expect("a state");
    for (zone, shown) in [("Asia/Tbilisi", "UTC+4"), ("Mars/Olympus", "UTC")] {
        sqlx::query("update locations set data = jsonb_set(data, '{timezone_name}', to_jsonb($1::text))")
            .bind(zone)
            .execute(&stage.pool)
            .await
            .expect("a zone");
        let at: chrono::NaiveDateTime =
            sqlx::query_scalar("select (pending_since + interval '1 hour') at time zone 'utc' from activations")
                .fetch_one(&stage.pool)
                .await
                .expect("a date");
        let (at, mark) = match shown {
            "UTC" => (at, " UTC"),
            _ => (at + chrono::TimeDelta::hours(4), ""),
        };
        let english = format!("{}{mark} on {}", at.format("%H:%M"), at.format("%-d %B"));
        let russian = format!("до {}{mark} {} ", at.format("%H:%M"), at.format("%-d"));
        says(
            &stage,
            &url,
            200,
            &[
                [&english, &russian],
                ["(54\u{a0}minutes left)", "(ещё\u{a0}54\u{a0}минуты)"],
            ],
        )
        .await;
    }
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn each_message_says_in_both_languages_what_to_do(pool: PgPool) {
    let more = "[intake]\nunsigned_connects_per_minute = 2\n[spool]\nenabled = false";
    let last = "rules = [\"rules.toml\"]";
    let edits = [
        (last, &*format!("{last}\n{more}")),
        (
            "public_url = \"http://127.0.0.1:1\"",
            "public_url = \"http://127.0.0.1:1\"\nack_deadline = \"300ms\"",
        ),
    ];
    let stage = Stage::set_edited(pool, "", |_| {}, &edits).await;
    stage.connected(&[1]).await;
    let nothing = ["There is nothing for you to do", "Вам ничего не нужно делать"];
    let url = |path: &str| stage.url(path);
    let unknown = ["Unknown application.", "Неизвестное приложение."];
    for path in ["apps/999/connect?salon_id=1", "apps/999/connect/progress/x"] {
        says(&stage, &url(path), 404, &[unknown, ["once more", "ещё раз"]]).await;
    }
    let by_itself = ["opens by itself", "открывается сама"];
    says(
        &stage,
        &url(&format!("apps/{APP}/connect")),
        200,
        &[by_itself, ["press Connect", "нажмите «Подключить»"]],
    )
    .await;
    let forged = url(&format!(
        "apps/{APP}/connect?salon_id=1&user_data=e30%3D&user_data_sign=00"
    ));
    let open = ["/appstore/1/applications/18289/info\"", ">Открыть в маркетплейсе</a>"];
    says(
        &stage,
        &forged,
        200,
        &[["could not be verified", "не удалось проверить"], open],
    )
    .await;
    let old = page_of(&stage, APP, -1, &[1]);
    says(&stage, &old, 200, &[["too old", "устарела"], ["again", "ещё раз"]]).await;

    let (progress, visit) = (
        page_of(&stage, APP, 60, &[1]),
        url(&format!("apps/{APP}/connect?salon_id=1")),
    );
    for (table, page, said) in [
        ("activations", &progress, ["cannot look", "не удаётся узнать"]),
        ("events", &visit, ["could not note", "Не удалось принять"]),
    ] {
        let away = format!("alter table {table} rename to {table}_away");
        sqlx::query(sqlx::AssertSqlSafe(away))
            .execute(&stage.pool)
            .await
            .expect("taken away");
        says(&stage, page, 503, &[said, nothing]).await;
        let back = format!("alter table {table}_away rename to {table}");
        sqlx::query(sqlx::AssertSqlSafe(back))
            .execute(&stage.pool)
            .await
            .expect("put back");
    }
    // The two visits above were all that this minute admits.
    says(
        &stage,
        &visit,
        503,
        &[["Many connections", "много подключений"], nothing],
    )
    .await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn several_locations_are_counted_and_one_without_a_name_has_its_number(pool: PgPool) {
    let stage = Stage::set(pool, "").await;
    stage.connected(&[1]).await;
    let url = page_of(&stage, APP, 60, &[1, 77]);
    says(
        &stage,
        &url,
        200,
        &[
            ["1 of 2 locations connected", "Подключено филиалов: 1\u{a0}из\u{a0}2"],
            ["<bdi>Location 77</bdi>", "<bdi>Филиал 77</bdi>"],
        ],
    )
    .await;
    stage.end().await;
}

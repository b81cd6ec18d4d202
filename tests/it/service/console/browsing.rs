//! The console in a real browser: by keyboard, on a phone, in light and dark.

use serde_json::{Value, json};
use sqlx::PgPool;
use thirtyfour::{Key, prelude::*};

use super::*;
use crate::browser::Browser;

/// Pretends to be a screen of this size in one of the two themes.
pub(super) async fn look(browser: &Browser, (width, height): (u32, u32), theme: &str) {
    let tools = browser.page.cdp();
    let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
    let media = json!({"features": [{"name": "prefers-color-scheme", "value": theme}]});
    for (command, how) in [
        ("Emulation.setDeviceMetricsOverride", screen),
        ("Emulation.setEmulatedMedia", media),
    ] {
        tools.send_raw(command, how).await.expect("it pretends");
    }
}

pub(super) async fn ask(browser: &Browser, script: &str) -> Value {
    let answer = browser.page.execute(script, Vec::new()).await.expect("an answer");
    answer.json().clone()
}

/// Presses keys where the focus is.
pub(super) async fn press(browser: &Browser, keys: impl AsRef<str>) {
    let chain = browser.page.action_chain().send_keys(keys.as_ref());
    chain.perform().await.expect("pressed");
}

/// Waits for a page that says this: what a key begins takes its time.
pub(super) async fn sees(stage: &Stage, browser: &Browser, words: &str) {
    let says = async || browser.page.source().await.is_ok_and(|page| page.contains(words));
    stage.until(words, says).await;
}

/// What has the focus: its text or its name.
pub(super) async fn focus(browser: &Browser) -> String {
    let script = "const one = document.activeElement; return one.name || one.textContent.trim() || one.tagName";
    ask(browser, script).await.as_str().expect("text").to_owned()
}

/// What a page lacks for those who do not see it, or see it on a small screen.
pub(super) const FAULTS: &str = r#"
const faults = [];
const all = (selector) => [...document.querySelectorAll(selector)];
if (all('main').length !== 1 || all('header').length !== 1) faults.push('landmarks');
if (all('h1').length !== 1) faults.push('one h1');
if (!document.documentElement.lang || !document.title) faults.push('language or title');
const levels = all('h1,h2,h3,h4').map((one) => +one.tagName[1]);
levels.forEach((level, at) => { if (at && level > levels[at - 1] + 1) faults.push('a level is left out'); });
all('input:not([type=hidden]):not([hidden]),select,textarea').forEach((one) => { if (!one.labels.length) faults.push('no label: ' + one.name); });
all('th').forEach((one) => { if (!one.scope) faults.push('no scope: ' + one.textContent); });
all('img').forEach((one) => { if (one.getAttribute('alt') === null || !one.complete || !one.naturalWidth) faults.push('image'); });
all('a,button,summary').forEach((one) => { if (!one.textContent.trim()) faults.push('no name'); });
all('nav').forEach((one) => { if (!one.getAttribute('aria-label')) faults.push('a nav without a name'); });
const ids = all('[id]').map((one) => one.id);
if (new Set(ids).size !== ids.length) faults.push('an id twice');
all('[aria-labelledby],[aria-describedby]').forEach((one) => {
  for (const id of (one.getAttribute('aria-labelledby') || one.getAttribute('aria-describedby')).split(' '))
    if (!document.getElementById(id)) faults.push('nothing is called ' + id);
});
if (document.documentElement.scrollWidth > innerWidth) faults.push('it scrolls sideways: ' + document.documentElement.scrollWidth);
const light = (colour) => {
  const [r, g, b] = colour.match(/[\d.]+/g).map(Number).map((c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (one) => {
  for (; one; one = one.parentElement) {
    const colour = getComputedStyle(one).backgroundColor;
    if (!colour.endsWith(', 0)')) return colour;
  }
  return 'rgb(255, 255, 255)';
};
all('body *').forEach((one) => {
  const says = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
  if (!says || !one.getClientRects().length || one.closest('svg')) return;
  const [a, b] = [light(getComputedStyle(one).color), light(behind(one))].sort((x, y) => y - x);
  const contrast = (a + 0.05) / (b + 0.05);
  if (contrast < 4.5) faults.push(contrast.toFixed(1) + ' is too little: ' + one.textContent.trim().slice(0, 30));
});
return faults;
"#;

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_keyboard_is_enough_to_log_in_and_to_get_about(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    let browser = Browser::open(1280, 900).await;
    browser.page.goto(address(&stage, "/locations")).await.expect("a page");
    assert_eq!(focus(&browser).await, "token");
    press(&browser, format!("wrong{}", char::from(Key::Enter))).await;
    sees(&stage, &browser, "This token is not right.").await;
    stage
        .until("the field is ready again", async || focus(&browser).await == "token")
        .await;
    // Chromium notes the status of the answer.
    assert_eq!(browser.complaints().await.len(), 1);
    press(&browser, format!("{OPERATOR_TOKEN}{}", char::from(Key::Enter))).await;
    let here = async || browser.page.current_url().await.expect("an address").path().to_owned();
    stage
        .until("the page that was asked for", async || here().await == "/locations")
        .await;
    sees(&stage, &browser, "Skip to content").await;
    let tab = String::from(char::from(Key::Tab));
    let enter = String::from(char::from(Key::Enter));
    press(&browser, &tab).await;
    assert_eq!(focus(&browser).await, "Skip to content");
    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
    assert_eq!(ask(&browser, outline).await, "solid", "the focus can be seen");
    press(&browser, &enter).await;
    press(&browser, &tab).await;
    assert_eq!(focus(&browser).await, "q", "the first field of the content");
    // Through the filter and its button to the list, which can be scrolled, and its first name.
    let mut way = Vec::new();
    for _ in 0..6 {
        press(&browser, &tab).await;
        way.push(focus(&browser).await);
    }
    assert_eq!(way[..4], ["application", "status", "hooks", "Show"]);
    assert_eq!(way[5], stage.location(1).await["title"].as_str().expect("a title"));
    press(&browser, &enter).await;
    stage.until("the location", async || here().await == place(1)).await;
    sees(&stage, &browser, "Compare now").await;
    // On to the first button, which asks to compare.
    for _ in 0..20 {
        press(&browser, &tab).await;
        if focus(&browser).await == "Compare now" {
            break;
        }
    }
    press(&browser, &enter).await;
    sees(&stage, &browser, "is queued. It stands in the story below").await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
    stage.settled().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_page_can_be_read_on_a_phone_and_in_the_dark(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    let body = r#"{"company_id": 1, "resource": "record", "resource_id": 5, "status": "delete", "data": {}}"#;
    stage.post(&stage.hook(1), body).await;
    stage.settled().await;
    sqlx::query("update locations set title = 'Donaudampfschifffahrtsgesellschaftskapitänsmützenschneiderei'")
        .execute(&stage.pool)
        .await
        .expect("a long name");
    sqlx::query(
        "update finished_jobs set state = 'discarded', last_error = repeat('x', 200) where action = 'set_discount'",
    )
    .execute(&stage.pool)
    .await
    .expect("a long word");
    let browser = Browser::open(1280, 900).await;
    browser.page.goto(address(&stage, "/login")).await.expect("a page");
    let mut backgrounds = Vec::new();
    let check = async |path: &str| {
        let mut found = Vec::new();
        for (screen, theme) in [
            ((390, 844), "light"),
            ((390, 844), "dark"),
            ((1280, 900), "light"),
            ((1280, 900), "dark"),
        ] {
            look(&browser, screen, theme).await;
            browser.page.goto(address(&stage, path)).await.expect("a page");
            let faults = ask(&browser, FAULTS).await;
            assert_eq!(faults, json!([]), "{path} {screen:?} {theme}");
            found.push(ask(&browser, "return getComputedStyle(document.body).backgroundColor").await);
        }
        found
    };
    backgrounds.push(check("/login").await);
    let token = browser.page.find(By::Id("token")).await.expect("a field");
    token.send_keys(OPERATOR_TOKEN + Key::Enter).await.expect("logged in");
    let pages = [
        "/",
        "/locations",
        "/locations?q=nobody",
        &place(1),
        &format!("{}/uninstall", place(1)),
    ];
    for path in pages {
        backgrounds.push(check(path).await);
    }
    assert_eq!(browser.complaints().await, [""; 0]);
    for background in backgrounds {
        let light = json!("rgb(246, 247, 249)");
        let dark = json!("rgb(20, 24, 29)");
        assert_eq!(background, [light.clone(), dark.clone(), light, dark]);
    }
    check("/nowhere").await;
    browser.close().await;
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_link_on_a_page_of_another_site_leads_here_while_one_is_logged_in(pool: PgPool) {
    let stage = Stage::set(pool, RULES).await;
    stage.connected(&[1]).await;
    let browser = Browser::open(1280, 900).await;
    browser.page.goto(address(&stage, "/login")).await.expect("a page");
    press(&browser, format!("{OPERATOR_TOKEN}{}", char::from(Key::Enter))).await;
    sees(&stage, &browser, "All is well.").await;
    let here = async || browser.page.current_url().await.expect("an address").path().to_owned();
    // Such a page has no site at all, and so is none of ours.
    for (path, ends) in [(place(1), place(1)), (format!("/login?to={}", place(1)), place(1))] {
        let elsewhere = format!("data:text/html,<a id=way href={}>Look</a>", address(&stage, &path));
        browser.page.goto(&elsewhere).await.expect("another site");
        let way = browser.page.find(By::Id("way")).await.expect("a link");
        way.click().await.expect("followed");
        stage.until("the page", async || here().await == ends).await;
        sees(&stage, &browser, "Compare now").await;
    }
    browser.close().await;
    stage.end().await;
}

//! The page wears the partner's name, picture and colour, and lets nothing else in.

use sqlx::PgPool;

use super::{APP, Stage, fetch, page_of};

/// A stage whose page is configured like this.
async fn branded(pool: PgPool, page: &str) -> (Stage, String, String) {
    let stage = Stage::set_with(pool, "", |_| {}, &format!("[application.page]\n{page}")).await;
    stage.connected(&[1]).await;
    let (_, headers, shown) = fetch(&stage, &page_of(&stage, APP, 60, &[1])).await;
    let policy = headers["content-security-policy"].to_str().expect("text").to_owned();
    (stage, policy, shown)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn name_picture_colour_and_help_are_the_partners(pool: PgPool) {
    let logo = std::env::temp_dir().join(format!("bellhop-logo-{}.svg", std::process::id()));
    std::fs::write(
        &logo,
        "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>",
    )
    .expect("written");
    let page = format!(
        "name = \"Salon & <b>Friends</b>\"\nlogo = \"{}\"\naccent = \"#FFEE00\"\nsupport = \"help@example.com\"",
        logo.display()
    );
    let (stage, policy, shown) = branded(pool, &page).await;
    std::fs::remove_file(&logo).expect("removed");
    assert!(shown.contains("<h1>Salon &amp; &lt;b&gt;Friends&lt;"), "{shown}");
    assert!(shown.contains("<img src=\"data:image/svg+xml;base64,"), "{shown}");
    assert!(policy.contains("; img-src data:; base-uri"), "{policy}");
    // A yellow is no text on white: it is darkened there, and left alone at night.
    assert!(shown.contains("--accent: #ffee00; --on-accent: #000000"), "{shown}");
    assert_eq!(shown.matches("--accent: #").count(), 2, "{shown}");
    assert_eq!(shown.matches("#ffee00").count(), 1, "{shown}");
    assert!(shown.contains("<a href=\"mailto:help@example.com\""), "{shown}");
    stage.end().await;
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn a_picture_of_a_web_server_is_the_only_thing_that_may_be_loaded(pool: PgPool) {
    let page = "logo = \"https://cdn.example.com/a\\\"><script>b.png\"\nsupport = \"https://help.example.com/ask?a=1\"";
    let (stage, policy, shown) = branded(pool, page).await;
    assert!(
        policy.contains("; img-src https://cdn.example.com; base-uri"),
        "{policy}"
    );
    assert!(!shown.contains("<script"), "{shown}");
    assert!(shown.contains(">help.example.com</a>"), "{shown}");
    stage.end().await;
}

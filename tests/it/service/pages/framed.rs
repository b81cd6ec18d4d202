//! The page in a real browser, inside the pages of others.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
};

use rustls::{
    ServerConfig, ServerConnection, Stream,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use sqlx::PgPool;
use thirtyfour::{By, WebDriver};

use super::{APP, Stage, page_of};
use crate::browser::Browser;

/// Serves one page over TLS, under any name, for as long as the test runs. Its certificate is trusted by nobody.
fn serve(page: String) -> u16 {
    let certificate = CertificateDer::from_pem_slice(include_bytes!("../../../fixtures/tls/certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../fixtures/tls/key.pem")).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    );
    // It ends with the process.
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let (config, answer) = (Arc::clone(&config), answer.clone());
            std::thread::spawn(move || {
                let (mut connection, mut tls) = (connection, ServerConnection::new(config).unwrap());
                let mut stream = Stream::new(&mut tls, &mut connection);
                // A browser may connect and say nothing.
                if stream.read(&mut [0; 4096]).is_ok() && stream.write_all(answer.as_bytes()).is_ok() {
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            });
        }
    });
    port
}

/// The page of a host shows ours in a frame of this width; what the frame says, and whether it fits.
async fn framed(browser: &WebDriver, host: &str) -> (String, bool) {
    browser.goto(&format!("https://{host}/")).await.unwrap();
    browser
        .find(By::Css("iframe"))
        .await
        .unwrap()
        .enter_frame()
        .await
        .unwrap();
    let text = browser.find(By::Css("body")).await.unwrap().text().await.unwrap();
    let script = "return document.documentElement.scrollWidth <= document.documentElement.clientWidth";
    let fits = browser.execute(script, vec![]).await.unwrap().json().as_bool().unwrap();
    (text, fits)
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn the_marketplaces_card_may_frame_it_and_nobody_else(pool: PgPool) {
    let more = "continue_url = \"https://example.com/start\"\n[application.page]\naccent = \"#aa2277\"";
    let stage = Stage::set_with(pool, "", |_| {}, more).await;
    stage.connected(&[1]).await;
    let page = page_of(&stage, APP, 60, &[1, 77]);
    let port = serve(format!(
        "<!doctype html><link rel=icon href=data:,><iframe src={page} width=280 height=500></iframe>"
    ));
    let everywhere =
        format!("--host-resolver-rules=MAP app.alteg.io 127.0.0.1:{port}, MAP elsewhere.example 127.0.0.1:{port}");
    let browser = Browser::open_with(360, 640, &[&everywhere, "--ignore-certificate-errors", "--lang=en"]).await;

    let (text, fits) = framed(&browser.page, "app.alteg.io").await;
    assert!(text.contains("Connected.") && text.contains("Location 77"), "{text}");
    assert!(fits, "it scrolls sideways in a narrow frame");
    let style = "const on = getComputedStyle(document.querySelector('.on')); return on.backgroundColor + on.color";
    let style = browser.page.execute(style, vec![]).await.unwrap();
    assert_eq!(
        style.json().as_str(),
        Some("rgb(170, 34, 119)rgb(255, 255, 255)"),
        "its style is applied"
    );
    let focus = "document.querySelector('.on').focus({ focusVisible: true }); \
                 return getComputedStyle(document.activeElement).outlineStyle";
    let focus = browser.page.execute(focus, vec![]).await.unwrap();
    assert_eq!(focus.json().as_str(), Some("solid"), "who tabs to the button sees it");
    assert_eq!(browser.complaints().await, [] as [String; 0]);

    browser.page.enter_default_frame().await.unwrap();
    let (text, _) = framed(&browser.page, "elsewhere.example").await;
    assert!(!text.contains("Connected."), "{text}");
    let complaints = browser.complaints().await;
    assert!(
        complaints.iter().any(|complaint| complaint.contains("frame-ancestors")),
        "{complaints:?}"
    );
    browser.close().await;
    stage.end().await;
}

//! A real browser: headless Chromium, driven through ChromeDriver. `make test` sees to it that both are here.

use std::{process::Stdio, sync::LazyLock, time::Duration};

use tempfile::TempDir;
use thirtyfour::{ChromiumLikeCapabilities, DesiredCapabilities, LoggingPrefsLogLevel, WebDriver};
use tokio::{
    process::{Child, Command},
    sync::{Semaphore, SemaphorePermit},
    time::sleep,
};

use crate::ports::free_port;

/// A browser takes a core for a moment and a few hundred megabytes.
static AT_ONCE: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(2));

/// A browser with a profile of its own, which nothing survives.
pub(crate) struct Browser {
    /// What drives it.
    pub(crate) page: WebDriver,
    driver: Child,
    _profile: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Browser {
    /// Opens one with a window of this size in pixels.
    pub(crate) async fn open(width: u32, height: u32) -> Self {
        Self::open_with(width, height, &[]).await
    }

    /// The same with more arguments of Chromium.
    pub(crate) async fn open_with(width: u32, height: u32, more: &[&str]) -> Self {
        let turn = AT_ONCE.acquire().await.unwrap();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed: scripts/setup.sh tests");
        let profile = tempfile::tempdir().unwrap();
        let mut wanted = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            // Chromium refuses to run as root with its sandbox, and containers have no other user.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &format!("--window-size={width},{height}"),
            &format!("--user-data-dir={}", profile.path().display()),
        ] {
            wanted.add_arg(argument).unwrap();
        }
        for argument in more {
            wanted.add_arg(argument).unwrap();
        }
        wanted.set_browser_log_level(LoggingPrefsLogLevel::All).unwrap();
        let address = format!("http://127.0.0.1:{port}");
        let mut tries = 0;
        let page = loop {
            match WebDriver::new(&address, wanted.clone()).await {
                Ok(page) => break page,
                Err(error) if tries == 100 => panic!("the browser does not start: {error}"),
                Err(_) => tries += 1,
            }
            sleep(Duration::from_millis(100)).await;
        };
        Self {
            page,
            driver,
            _profile: profile,
            _turn: turn,
        }
    }

    /// What the console complained about since the last time.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let said = self.page.browser_log().await.unwrap();
        said.into_iter().map(|entry| entry.message).collect()
    }

    /// Closes it. Without this the driver is killed, and Chromium with it.
    pub(crate) async fn close(mut self) {
        self.page.quit().await.unwrap();
        let _ = self.driver.kill().await;
    }
}

#[tokio::test]
async fn a_page_is_drawn() {
    let browser = Browser::open(400, 300).await;
    browser.page.goto("data:text/html,<title>a</title>").await.unwrap();
    assert_eq!(browser.page.title().await.unwrap(), "a");
    browser.page.screenshot_as_png().await.unwrap();
    browser.close().await;
}

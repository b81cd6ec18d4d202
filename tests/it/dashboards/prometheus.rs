//! A real Prometheus that scrapes what a test runs, every second or two, and knows the alert rules.

use std::{
    collections::BTreeMap,
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::sleep,
};

use super::rules;
use crate::ports::free_port;

/// Long enough for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a folder of its own, which nothing survives.
pub(super) struct Prometheus {
    port: u16,
    http: reqwest::Client,
    _program: Child,
    _folder: TempDir,
}

/// What fires, and how urgent it is.
pub(super) type Firing = BTreeMap<String, String>;

impl Prometheus {
    /// Starts one that scrapes this port as the job `bellhop`, and itself as these jobs, every so many seconds. Alerts
    /// wait so many seconds where the rules say minutes: a machine that is busy misses a scrape now and then.
    pub(super) async fn watching(port: u16, itself_as: &[&str], (every, wait): (u32, u32)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let own = free_port();
        fs::write(path("rules.yml"), impatient(&rules(), wait)).unwrap();
        let job = |(name, port): (&str, u16)| {
            format!("- job_name: {name}\n  static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n")
        };
        let itself = itself_as.iter().map(|name| job((name, own)));
        let config = format!(
            "global: {{scrape_interval: {every}s, scrape_timeout: {every}s, evaluation_interval: 500ms}}\n\
             rule_files: [{}]\n\
             scrape_configs:\n{}{}",
            path("rules.yml"),
            job(("bellhop", port)),
            itself.collect::<String>()
        );
        fs::write(path("prometheus.yml"), config).unwrap();
        let program = Command::new("prometheus")
            .arg(format!("--config.file={}", path("prometheus.yml")))
            .arg(format!("--storage.tsdb.path={}", path("data")))
            .arg(format!("--web.listen-address=127.0.0.1:{own}"))
            .arg("--log.level=error")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("prometheus is installed: scripts/setup.sh tests");
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let prometheus = Self {
            port: own,
            http,
            _program: program,
            _folder: folder,
        };
        prometheus
            .until("it has scraped", async |this| this.has_scraped().await)
            .await;
        prometheus
    }

    /// Asks again and again until it is so.
    pub(super) async fn until(&self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let began = Instant::now();
        while !so(self).await {
            assert!(
                began.elapsed() < PATIENCE,
                "never came: {what}; {:?}",
                self.firing().await
            );
            sleep(Duration::from_millis(250)).await;
        }
    }

    async fn has_scraped(&self) -> bool {
        match self.get("query", &[("query", "up{job=\"bellhop\"} == 1")]).await {
            Some(answer) => !answer["result"].as_array().unwrap().is_empty(),
            None => false,
        }
    }

    /// Series by their labels, with their values of now. Panics when the expression is none.
    pub(super) async fn ask(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = self.get("query", &[("query", expression)]).await;
        let answer = answer.unwrap_or_else(|| panic!("Prometheus does not understand {expression}"));
        let series = answer["result"].as_array().unwrap().iter();
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse::<f64>().unwrap();
        series.map(|one| (one["metric"].clone(), value(one))).collect()
    }

    /// The alerts that fire.
    pub(super) async fn firing(&self) -> Firing {
        let Some(answer) = self.get("alerts", &[]).await else {
            return Firing::new();
        };
        let alerts = answer["alerts"].as_array().unwrap().iter();
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap().to_owned();
        let firing = alerts.filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| (label(alert, "alertname"), label(alert, "severity")))
            .collect()
    }

    async fn get(&self, what: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{what}", self.port);
        let url = url::Url::parse_with_params(&url, parameters).unwrap();
        let answer = self.http.get(url).send().await.ok()?;
        let mut answer: Value = serde_json::from_str(&answer.text().await.ok()?).ok()?;
        (answer["status"] == "success").then(|| answer["data"].take())
    }
}

/// The same rules; what has to last for minutes lasts for seconds.
fn impatient(rules: &str, wait: u32) -> String {
    let shorter = |line: &str| match line.trim_start().strip_prefix("for: ") {
        Some(_) => format!("{}for: {wait}s\n", line.split("for: ").next().unwrap()),
        None => format!("{line}\n"),
    };
    rules.lines().map(shorter).collect()
}

//! `compose.yaml` and the small files it mounts.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{Mounted, is_here, list, root, span, string, strings, takes, text, variables_exist, yaml};

const CONFIGURATION: &str = "packaging/compose/bellhop";
/// Who runs Bellhop.
const BELLHOPS: [&str; 2] = ["bellhop-1", "bellhop-2"];

fn compose() -> Value {
    yaml("compose.yaml").remove(0)
}

fn services(compose: &Value) -> &Map<String, Value> {
    compose["services"].as_object().expect("services")
}

/// The secrets that a new installation makes.
pub(super) fn made_secrets(folder: &Path) -> PathBuf {
    let output = Command::new(root().join("packaging/compose/secrets.sh"))
        .arg(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    folder.to_owned()
}

fn mounted() -> Mounted {
    let compose = compose();
    let url = string(&compose, "/services/bellhop-1/environment/BELLHOP_SERVER__PUBLIC_URL");
    let (scheme, _) = url.split_once("${BELLHOP_HOST:?").expect("the name of the host");
    let url = format!("{scheme}hooks.example.com");
    Mounted::new(CONFIGURATION, &[("BELLHOP_SERVER__PUBLIC_URL", &url)])
}

/// What the proxy and Prometheus ask Bellhop, by listener.
pub(super) fn asked() -> Vec<(String, String)> {
    let health = proxy("health_uri");
    // Prometheus asks for this unless it is told otherwise.
    let scraped = yaml("packaging/compose/prometheus/prometheus.yml").remove(0);
    assert!(scraped["scrape_configs"][0].get("metrics_path").is_none());
    vec![
        ("public".to_owned(), health),
        ("operator".to_owned(), "/metrics".to_owned()),
    ]
}

/// What follows a word of the proxy's configuration.
fn proxy(word: &str) -> String {
    let file = text("packaging/compose/caddy/Caddyfile");
    let line = file
        .lines()
        .find_map(|line| line.trim().strip_prefix(&format!("{word} ")));
    let line = line.unwrap_or_else(|| panic!("no {word} in {file}"));
    line.trim_end_matches('{').trim().to_owned()
}

#[test]
fn nothing_but_the_proxy_is_reached_from_elsewhere_and_nobody_may_more_than_needed() {
    let compose = compose();
    for (name, service) in services(&compose) {
        for port in service.get("ports").map_or(&[][..], |ports| ports.as_array().unwrap()) {
            let port = port.as_str().expect("a text");
            assert!(name == "proxy" || port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
        assert_eq!(service["read_only"], true, "{name}");
        assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
        assert_eq!(
            service["security_opt"],
            serde_json::json!(["no-new-privileges:true"]),
            "{name}"
        );
        let given = service.get("cap_add").cloned().unwrap_or_default();
        assert!(given.is_null() || name == "proxy", "{name}: {given}");
    }
    assert_eq!(compose["networks"]["database"]["internal"], true);
    assert_eq!(
        services(&compose)["postgres"]["networks"],
        serde_json::json!(["database"])
    );
    // The proxy sees neither the database nor the operator's side of things.
    assert_eq!(services(&compose)["proxy"]["networks"], serde_json::json!(["edge"]));
    for line in proxy("reverse_proxy").split_whitespace() {
        assert!(!line.ends_with(":9090"), "{line}");
    }
}

#[test]
fn every_mounted_file_exists_and_every_volume_and_secret_is_declared() {
    let compose = compose();
    let keys = |name: &str| -> BTreeSet<String> { compose[name].as_object().unwrap().keys().cloned().collect() };
    let (mut volumes, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for service in services(&compose).values() {
        for mount in service
            .get("volumes")
            .map_or(&[][..], |mounts| mounts.as_array().unwrap())
        {
            let mount = mount.as_str().expect("a text");
            // `${NAME:-./file}` is a file unless it is told otherwise.
            let mount = mount
                .split_once(":-")
                .map_or(mount.to_owned(), |(_, rest)| rest.replacen('}', "", 1));
            let (source, target) = mount.split_once(':').expect("source and target");
            if source.starts_with("./") {
                is_here(source);
                assert!(target.ends_with(":ro"), "{mount}");
            } else {
                volumes.insert(source.to_owned());
            }
        }
        if service.get("secrets").is_some() {
            secrets.extend(strings(service, "/secrets").into_iter().map(str::to_owned));
        }
    }
    assert_eq!(volumes, keys("volumes"));
    assert_eq!(secrets, keys("secrets"));
    for (name, secret) in compose["secrets"].as_object().unwrap() {
        assert_eq!(string(secret, "/file"), format!("./secrets/{name}"));
    }
}

#[test]
fn secrets_are_made_once_and_never_again() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = made_secrets(&folder.path().join("secrets"));
    let read = || -> Vec<(String, String)> {
        let entries = fs::read_dir(&secrets).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut all: Vec<_> = entries
            .map(|path| (name(&path), fs::read_to_string(&path).unwrap()))
            .collect();
        all.sort();
        all
    };
    let made = read();
    let names: BTreeSet<String> = made.iter().map(|(name, _)| name.clone()).collect();
    let declared: BTreeSet<String> = compose()["secrets"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, declared);
    let texts: BTreeSet<&str> = made.iter().map(|(_, text)| text.trim()).collect();
    assert_eq!(texts.len(), made.len(), "no two are alike");
    made_secrets(&secrets);
    assert_eq!(read(), made);
    // Closed for others on this machine, open for whom it is mounted.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&secrets), mode(&secrets.join("hook"))), (0o700, 0o644));
    assert!(
        text(".gitignore").lines().any(|line| line == "/secrets"),
        "and never committed"
    );
}

#[test]
fn times_ports_and_secrets_agree_with_the_configuration_which_has_no_mistakes() {
    variables_exist("compose.yaml");
    let (compose, mounted) = (compose(), mounted());
    let server = &mounted.config.server;
    for name in BELLHOPS {
        let service = &compose["services"][name];
        assert!(span(string(service, "/stop_grace_period")) > mounted.grace(), "{name}");
        let given = strings(service, "/secrets");
        for secret in &mounted.secrets {
            assert!(given.contains(&secret.as_str()), "{name}: {secret}");
        }
        let check = strings(service, "/healthcheck/test");
        takes(&check[2..]);
        assert!(check.contains(&"--ready"), "who waits for it waits for all of it");
        let folder = super::image::variable("BELLHOP_CONFIG").replace("/bellhop.toml", "");
        let mounts = strings(service, "/volumes");
        assert!(mounts.contains(&format!("${{BELLHOP_FOLDER:-./{CONFIGURATION}}}:{folder}:ro").as_str()));
        let spool = super::image::variable("BELLHOP_SPOOL__DIR");
        let own = mounts
            .iter()
            .find_map(|mount| mount.strip_prefix("spool:"))
            .expect("a volume");
        assert!(spool.starts_with(&format!("{own}/")), "{spool} is on the volume");
    }
    let operator = mounted.config.operator.listen;
    assert!(operator.ip().is_unspecified(), "reached by Prometheus");
    let port = operator.port();
    let opened = strings(&compose, "/services/bellhop-1/ports");
    assert_eq!(opened, [format!("127.0.0.1:{port}:{port}")]);
    let public = BELLHOPS.map(|name| format!("{name}:{}", server.listen.port()));
    assert_eq!(proxy("reverse_proxy"), public.join(" "));
    // The proxy has noticed before the last delivery is taken, and is the one that closes idle connections.
    let noticed = span(&proxy("health_interval")) + span(&proxy("health_timeout"));
    assert!(server.drain_delay > noticed + Duration::from_secs(1));
    assert!(span(&proxy("keepalive")) < server.keep_alive);
    // What it may have to tell again it has kept.
    let kept: usize = proxy("request_buffers")
        .strip_suffix("MiB")
        .expect("MiB")
        .parse()
        .unwrap();
    assert_eq!(kept << 20, server.body_limit);
    let watched = yaml("packaging/compose/prometheus/prometheus.yml").remove(0);
    let job = &watched["scrape_configs"][0];
    assert_eq!(job["job_name"], "bellhop", "the alert rules know it by that");
    let targets = BELLHOPS.map(|name| format!("{name}:{port}"));
    assert_eq!(strings(job, "/static_configs/0/targets"), targets);
}

#[test]
fn prometheus_takes_its_configuration_with_the_rules_that_are_mounted() {
    let file = text("packaging/compose/prometheus/prometheus.yml");
    let rules = is_here("grafana/alerts");
    let folder = tempfile::tempdir().unwrap();
    let moved = file.replace("/etc/prometheus/alerts", rules.to_str().unwrap());
    assert_ne!(moved, file);
    fs::write(folder.path().join("prometheus.yml"), moved).unwrap();
    let output = Command::new("promtool")
        .args(["check", "config"])
        .arg(folder.path().join("prometheus.yml"))
        .output()
        .expect("promtool, of scripts/setup.sh tests");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("1 rule files found"), "{said}");
    let mounts = compose();
    let mounts = strings(&mounts, "/services/prometheus/volumes");
    assert!(mounts.contains(&"./grafana/alerts:/etc/prometheus/alerts:ro"));
}

#[test]
fn grafana_finds_its_dashboards_and_prometheus_where_they_are_mounted() {
    let compose = compose();
    let grafana = &compose["services"]["grafana"];
    let inside = "/etc/bellhop-grafana";
    assert!(strings(grafana, "/volumes").contains(&format!("./grafana:{inside}:ro").as_str()));
    assert_eq!(
        string(grafana, "/environment/GF_PATHS_PROVISIONING"),
        format!("{inside}/provisioning")
    );
    assert_eq!(string(grafana, "/environment/PROMETHEUS_URL"), "http://prometheus:9090");
    let source = yaml("grafana/provisioning/datasources/bellhop.yml").remove(0);
    assert_eq!(source["datasources"][0]["url"], "$PROMETHEUS_URL");
    let provider = yaml("grafana/provisioning/dashboards/bellhop.yml").remove(0);
    let path = string(&provider["providers"][0], "/options/path");
    let folder = is_here(&path.replace(inside, "grafana"));
    let boards = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    assert!(
        boards
            .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
            .count()
            > 0
    );
    assert_eq!(list(&compose, "/services/grafana/secrets").len(), 1);
}

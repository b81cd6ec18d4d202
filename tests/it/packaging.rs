//! What it is installed with, held against the program: ports, paths, times, configuration, secrets and files that
//! `Dockerfile`, `compose.yaml` and `packaging/` name. `make packaging` tries the same with the tools they are made for.

mod compose;
mod image;
mod kubernetes;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use bellhop::{config::Config, domain::span};
use serde_json::Value;
use sqlx::PgPool;

use crate::service::program::{Program, ask};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn string<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} in {value:#}"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {pointer} in {value:#}"))
}

fn strings<'v>(value: &'v Value, pointer: &str) -> Vec<&'v str> {
    let texts = list(value, pointer).iter().map(|item| item.as_str().expect("a text"));
    texts.collect()
}

fn span(text: &str) -> Duration {
    span::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Names of the form `BELLHOP_SECTION__KEY` set something.
fn variables_exist(name: &str) {
    let wrong = crate::docs::claims::wrong_names(&text(name), &[]);
    let wrong: Vec<String> = wrong.into_iter().filter(|what| what.contains("BELLHOP_")).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:?}");
}

/// The program takes these arguments, behind its own name.
fn takes(args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_bellhop"))
        .args(args)
        .arg("--help")
        .output()
        .unwrap();
    assert!(output.status.success(), "bellhop {args:?}: {output:?}");
}

/// What is mounted: configuration and rules of a folder here, and secrets.
struct Mounted {
    config: Config,
    /// The secrets that the configuration names.
    secrets: Vec<String>,
}

impl Mounted {
    /// Lets the program itself check it, with this environment and the secrets of `packaging/compose/secrets.sh`.
    fn new(configuration: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let secrets = compose::made_secrets(&folder.path().join("secrets"));
        fs::write(secrets.join("partner"), "a partner token of the cabinet\n").unwrap();
        let source = root().join(configuration);
        let shipped = fs::read_to_string(source.join("bellhop.toml")).unwrap();
        let inside = format!("{}/", secrets.display());
        let file = folder.path().join("bellhop.toml");
        fs::write(&file, shipped.replace("/run/secrets/", &inside)).unwrap();
        let rules = folder.path().join("rules");
        fs::create_dir(&rules).unwrap();
        for entry in fs::read_dir(source.join("rules")).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), rules.join(entry.file_name())).unwrap();
        }
        let output = Command::new(env!("CARGO_BIN_EXE_bellhop"))
            .args(["check", "--config"])
            .arg(&file)
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{configuration}: {said}");
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(shown.contains("(Example app): 1 rule\n"), "{shown}");
        for (name, value) in environment {
            assert!(shown.contains(value), "{name} is in effect: {shown}");
        }
        // What the environment adds is no time and no port.
        let public = "[server]\npublic_url = \"https://hooks.example.com\"";
        let whole = match shipped.contains("\npublic_url") {
            true => fs::read_to_string(&file).unwrap(),
            false => fs::read_to_string(&file).unwrap().replace("[server]", public),
        };
        let config = Config::from_text(&whole, folder.path()).unwrap();
        let names = shipped.split("\"/run/secrets/").skip(1);
        let secrets = names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
        Self { config, secrets }
    }

    fn grace(&self) -> Duration {
        self.config.server.shutdown_grace
    }
}

/// What a file is mounted from.
fn is_here(path: &str) -> PathBuf {
    let path = root().join(path);
    assert!(path.exists(), "there is no {}", path.display());
    path
}

#[sqlx::test(migrator = "bellhop::store::MIGRATOR")]
async fn every_path_that_is_asked_by_probes_balancers_and_prometheus_answers(pool: PgPool) {
    let program = Program::new(pool, "", "");
    let _running = program.start(Vec::new()).await;
    let asked = [kubernetes::asked(), compose::asked()].concat();
    assert!(asked.len() > 5, "{asked:?}");
    for (listener, path) in asked {
        let status = match listener.as_str() {
            "operator" => program.operator_status(path.trim_start_matches('/')).await,
            "public" => {
                let mut stream = program.connect().await.expect("connected");
                let request = program.request("GET", &path, "", b"");
                ask(&mut stream, &request).await.expect("an answer").0
            }
            other => panic!("there is no listener {other}"),
        };
        assert_eq!(status, 200, "{listener}: {path}");
    }
}

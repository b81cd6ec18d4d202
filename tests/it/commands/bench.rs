//! The measurement of speed works and says what it should; how fast this machine is says no test.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::process::Command;

use super::{desk::Desk, long_running::Cleaner};

/// Short rounds on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A desk at which a server may run that is somebody else's process when we are root.
fn open_desk() -> Desk {
    let desk = Desk::new();
    fs::set_permissions(desk.folder.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    desk
}

#[tokio::test]
async fn a_quick_measurement_tells_well_formed_ratios_and_leaves_nothing_behind() {
    let desk = open_desk();
    let mut command = desk.command(&["bench", "footprint", "--quick", "--json", "--dir", "."]);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.expect("it ends").expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON and nothing else");
    let figures = report["figures"].as_array().expect("figures");
    assert!(!figures.is_empty());
    for figure in figures {
        let number = |key: &str| figure[key].as_f64().unwrap_or_else(|| panic!("{key} of {figure}"));
        assert!(number("median") > 0.0 && number("low") <= number("median") && number("median") <= number("high"));
        assert_eq!(figure["rounds"].as_array().map(Vec::len), Some(1), "{figure}");
        assert!(
            figure["target"].is_string() && figure["reached"].is_boolean(),
            "{figure}"
        );
    }
    let left: Vec<_> = fs::read_dir(desk.folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "only the configuration was there: {left:?}");
}

#[tokio::test]
async fn a_measurement_that_is_stopped_takes_its_server_with_it() {
    let desk = open_desk();
    let mut command = desk.command(&["bench", "jobs", "--seconds", "60", "--dir", "."]);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let folder = desk.path(&format!("bellhop-bench-{}", child.id().expect("it runs")));
    let _cleaner = Cleaner(format!("{folder}/plain/cluster/postmaster.pid"));
    let socket = format!("{folder}/plain/socket/.s.PGSQL.5432");
    let began = Instant::now();
    while !Path::new(&socket).exists() {
        assert!(began.elapsed() < PATIENCE, "the server does not start");
        assert_eq!(child.try_wait().expect("asked"), None, "it ended early");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = child.id().expect("it runs").to_string();
    let sent = Command::new("kill").args(["-TERM", &pid]).status().await.expect("kill");
    assert!(sent.success());
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output())
        .await
        .expect("it ends")
        .expect("it ran");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "nothing was measured: {said}");
    assert!(!Path::new(&folder).exists(), "{said}");
}

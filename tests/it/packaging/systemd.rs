//! The units of `packaging/systemd`.

use bellhop::config::{Operator, Server};

use super::{span, takes, text, variables_exist};

/// The values of a key of a unit, in their order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let unit = text(&format!("packaging/systemd/{unit}"));
    let found = unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}=")));
    found.map(str::to_owned).collect()
}

fn value(unit: &str, key: &str) -> String {
    let mut values = values(unit, key);
    assert_eq!(values.len(), 1, "{unit}: {key}");
    values.remove(0)
}

#[test]
fn the_sockets_are_those_that_the_program_asks_for() {
    for (unit, name, port) in [
        (
            "bellhop.socket",
            bellhop::web::SOCKET_NAMES[0],
            Server::default().listen.port(),
        ),
        (
            "bellhop-operator.socket",
            bellhop::web::SOCKET_NAMES[1],
            Operator::default().listen.port(),
        ),
    ] {
        assert_eq!(value(unit, "FileDescriptorName"), name);
        assert_eq!(value(unit, "Service"), "bellhop.service");
        // A proxy on this machine terminates TLS.
        assert_eq!(value(unit, "ListenStream"), format!("127.0.0.1:{port}"));
        assert!(value("bellhop.service", "Requires").contains(unit));
    }
}

#[test]
fn the_service_gives_the_program_what_it_needs() {
    let start = value("bellhop.service", "ExecStart");
    let words: Vec<&str> = start.split_whitespace().collect();
    takes(&words[1..]);
    variables_exist("packaging/systemd/bellhop.service");
    let server = Server::default();
    let stop = value("bellhop.service", "TimeoutStopSec");
    assert!(span(&format!("{stop}s")) > server.shutdown_grace);
    let files: usize = value("bellhop.service", "LimitNOFILE").parse().unwrap();
    assert!(files > 4 * server.connections, "two for each, for twice as many");
    // The successor's number is told by the process before.
    assert_eq!(value("bellhop.service", "Type"), "notify");
    assert_eq!(value("bellhop.service", "ExecReload"), "/bin/kill -USR2 $MAINPID");
    // The spool lies in the folder that systemd makes.
    let state = format!("/var/lib/{}", value("bellhop.service", "StateDirectory"));
    let spool = value("bellhop.service", "Environment");
    assert!(spool.starts_with(&format!("BELLHOP_SPOOL__DIR={state}/")));
    let written = values("bellhop.service", "SystemCallFilter");
    assert_eq!(written, ["@system-service", "~@privileged"]);
}

#[test]
fn the_user_and_its_folders_are_those_of_the_service() {
    let user = value("bellhop.service", "User");
    let made = text("packaging/systemd/bellhop.sysusers.conf");
    assert!(made.contains(&format!("\nu {user} - ")), "{made}");
    let start = value("bellhop.service", "ExecStart");
    let file = start.split_whitespace().last().expect("the configuration");
    let folder = file.rsplit_once('/').expect("a path").0;
    let folders = text("packaging/systemd/bellhop.tmpfiles.conf");
    for folder in [
        folder.to_owned(),
        format!("{folder}/rules"),
        format!("{folder}/secrets"),
    ] {
        // Nobody else looks in, and the service changes nothing there.
        assert!(
            folders.contains(&format!("\nd {folder} 0750 root {user}\n")),
            "{folder}: {folders}"
        );
    }
}

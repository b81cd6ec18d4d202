//! The set-up scripts on machines that lack something, made of a `PATH` that holds only what the test puts there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// What the scripts take for granted on every machine.
const BASICS: [&str; 14] = [
    "bash", "dirname", "readlink", "id", "sed", "sort", "uname", "mktemp", "rm", "mv", "mkdir", "chmod", "cat", "head",
];

/// A machine with nothing but the basics, and no PostgreSQL.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let real: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect();
        for name in BASICS {
            let program = real.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
            symlink(
                program.unwrap_or_else(|| panic!("{name} is on this machine")),
                folder.path().join(name),
            )
            .unwrap();
        }
        Self { folder }
    }

    /// Adds a program that does what the lines of shell say.
    fn with(self, name: &str, body: &str) -> Self {
        self.place(&self.folder.path().join(name), body);
        self
    }

    fn with_postgres(self, folder: &str, version: &str) -> Self {
        let folder = self.folder.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for tool in ["postgres", "initdb", "pg_ctl"] {
            self.place(&folder.join(tool), &format!("echo '{tool} (PostgreSQL) {version}'"));
        }
        self
    }

    fn place(&self, file: &Path, body: &str) {
        fs::write(file, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, script: &str) -> Command {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
        let mut command = Command::new(self.folder.path().join("bash"));
        command.arg(scripts.join(script)).env_remove("PG_BIN");
        command
            .env("PATH", self.folder.path())
            .env("PG_DISTRIBUTION_FOLDER", self.folder.path().join("distribution"));
        command
    }

    fn run(&self, script: &str) -> (Option<i32>, String) {
        told(&self.command(script).output().unwrap())
    }
}

fn told(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8([output.stdout.as_slice(), &output.stderr].concat()).unwrap(),
    )
}

#[test]
fn set_up_is_silent_when_nothing_is_missing() {
    let machine = Machine::new()
        .with("cargo", "")
        .with_postgres("distribution/17/bin", "17.2");
    assert_eq!(machine.run("setup.sh"), (Some(0), String::new()));
}

#[test]
fn a_missing_cargo_is_told_first() {
    let (code, text) = Machine::new().run("setup.sh");
    assert_eq!(code, Some(2));
    assert!(
        text.contains("cargo is missing") && text.contains("rustup.rs"),
        "{text}"
    );
}

#[test]
fn systems_without_apt_are_told_their_own_command() {
    for (manager, command) in [
        ("dnf", "sudo dnf install postgresql-server"),
        ("apk", "apk add postgresql"),
        ("pacman", "sudo pacman -S postgresql"),
        ("brew", "brew install postgresql@17"),
    ] {
        let (code, text) = Machine::new().with("cargo", "").with(manager, "exit 9").run("setup.sh");
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains(command), "{manager}: {text}");
    }
    let (code, text) = Machine::new().with("cargo", "").run("setup.sh");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("PG_BIN"), "{text}");
}

#[test]
fn what_only_tests_use_is_asked_for_by_tests_only() {
    let machine = || {
        Machine::new()
            .with("cargo", "")
            .with_postgres("distribution/17/bin", "17.2")
    };
    assert_eq!(machine().run("setup.sh"), (Some(0), String::new()));
    let (code, text) = told(&machine().command("setup.sh").arg("tests").output().unwrap());
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("prometheus chromium chromium-driver"), "{text}");
    let whole = machine()
        .with("prometheus", "")
        .with("promtool", "")
        .with("chromedriver", "");
    let output = whole
        .command("setup.sh")
        .arg("tests")
        .env("FAULTS_FAKETIME", "/somewhere")
        .output();
    assert_eq!(told(&output.unwrap()), (Some(0), String::new()));
}

#[test]
fn on_apt_without_root_and_sudo_the_exact_commands_are_told() {
    let machine = Machine::new().with("cargo", "").with("apt-get", "exit 9");
    fs::remove_file(machine.folder.path().join("id")).unwrap();
    let (code, text) = machine.with("id", "echo 1000").run("setup.sh");
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("as root run  apt-get update && apt-get install"),
        "{text}"
    );
}

#[test]
fn on_apt_with_sudo_it_says_what_it_installs_and_why_and_what_to_do_when_that_fails() {
    let machine = Machine::new()
        .with("cargo", "")
        .with("apt-get", "exit 9")
        .with("sudo", "echo refused >&2; exit 1");
    fs::remove_file(machine.folder.path().join("id")).unwrap();
    let (code, text) = machine.with("id", "echo 1000").run("setup.sh");
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("installing from the distribution: postgresql (sudo may ask")
            && text.contains("Bellhop starts a private"),
        "{text}"
    );
    assert!(text.contains("refused") && text.contains("run it by hand"), "{text}");
}

#[test]
fn the_newest_binaries_of_the_distribution_are_found_before_those_in_path() {
    let machine = Machine::new().with_postgres(".", "18.1");
    let path = machine.folder.path().to_str().unwrap().to_owned();
    assert_eq!(machine.run("postgres-bin.sh"), (Some(0), format!("{path}\n")));
    let machine = machine
        .with_postgres("distribution/9.6/bin", "9.6.24")
        .with_postgres("distribution/15/bin", "15.18")
        .with_postgres("distribution/16/bin", "16.4 (Debian 16.4-1)");
    assert_eq!(
        machine.run("postgres-bin.sh"),
        (Some(0), format!("{path}/distribution/16/bin\n"))
    );
}

#[test]
fn old_binaries_do_not_count_and_a_wrong_pg_bin_is_named() {
    let machine = Machine::new().with_postgres("distribution/14/bin", "14.9");
    assert_eq!(machine.run("postgres-bin.sh"), (Some(1), String::new()));
    let (code, text) = told(
        &machine
            .command("postgres-bin.sh")
            .env("PG_BIN", "/nonexistent")
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(1));
    assert!(
        text.contains("PG_BIN=/nonexistent") && text.contains("15 or newer"),
        "{text}"
    );
    let (code, text) = told(&machine.command("test-database.sh").arg("true").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(text.contains("scripts/setup.sh"), "{text}");
}

/// `test-database.sh` with the real PostgreSQL, in a temporary folder of its own.
fn beside_a_database(folder: &TempDir, command: &[&str]) -> Command {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut run = Command::new(scripts.join("test-database.sh"));
    run.args(command).env("TMPDIR", folder.path());
    run
}

fn open_folder() -> TempDir {
    let open = fs::Permissions::from_mode(0o755);
    tempfile::Builder::new()
        .prefix("bellhop-it")
        .permissions(open)
        .tempdir()
        .unwrap()
}

#[test]
fn a_test_database_passes_the_result_on_and_leaves_nothing_behind() {
    let folder = open_folder();
    let (code, text) = told(
        &beside_a_database(&folder, &["sh", "-c", "echo $DATABASE_URL; exit 7"])
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(7), "{text}");
    assert!(text.starts_with("postgres:///bellhop?host=/"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_test_database_that_is_told_to_stop_takes_command_and_server_with_it() {
    let folder = open_folder();
    let mark = folder.path().join("runs");
    let command = format!("echo $$ >{}; exec sleep 60", mark.display());
    let mut run = beside_a_database(&folder, &["sh", "-c", &command]).spawn().unwrap();
    while fs::read_to_string(&mark).unwrap_or_default().is_empty() {
        assert_eq!(run.try_wait().unwrap(), None, "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let sleeper = fs::read_to_string(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    assert!(
        Command::new("kill")
            .args(["-TERM", &run.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(run.wait().unwrap().code(), Some(143));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let alive = Command::new("kill").args(["-0", sleeper.trim()]).output().unwrap();
    assert!(!alive.status.success(), "the command outlived its script");
}

//! A real Bellhop that somebody looks after: it is started again whenever it ends.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    process::{Child, Command},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::cluster::signal;
use crate::ports::free_port;

/// The library that moves a clock, from `FAULTS_FAKETIME` or from Debian's place for it; without it no clock is moved.
pub(crate) fn fake_time() -> Option<PathBuf> {
    let debian = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
    let library = PathBuf::from(std::env::var("FAULTS_FAKETIME").unwrap_or_else(|_| debian.to_owned()));
    library.exists().then_some(library)
}

/// A process under supervision.
pub(crate) struct Process {
    pub(crate) public: u16,
    pub(crate) operator: u16,
    shared: Arc<Shared>,
    supervisor: JoinHandle<Option<ExitStatus>>,
}

struct Shared {
    folder: PathBuf,
    /// How far its clock is off.
    clock: i64,
    pid: AtomicU32,
    over: AtomicBool,
}

impl Process {
    /// Writes its configuration into a folder of its own and starts it. `clock`: by so many seconds its clock is off.
    pub(crate) fn start(folder: &Path, configuration: &str, clock: i64) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let (public, operator) = (free_port(), free_port());
        let configuration = configuration
            .replace("{public}", &public.to_string())
            .replace("{operator}", &operator.to_string());
        fs::write(folder.join("bellhop.toml"), configuration).expect("written");
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            clock,
            pid: AtomicU32::new(0),
            over: AtomicBool::new(false),
        });
        Self {
            public,
            operator,
            supervisor: tokio::spawn(supervise(Arc::clone(&shared))),
            shared,
        }
    }

    /// Sends a signal to it. Returns whether it ran.
    pub(crate) async fn signal(&self, name: &str) -> bool {
        let pid = self.shared.pid.load(Ordering::SeqCst);
        if pid != 0 {
            signal(pid, name).await;
        }
        pid != 0
    }

    /// SIGKILL, and a second one while it is starting again. Returns whether both met it.
    pub(crate) async fn kill_twice(&self, pause: Duration) -> bool {
        let first = self.signal("-KILL").await;
        sleep(pause).await;
        self.signal("-KILL").await && first
    }

    /// Stopped for a while, as by a machine that swaps or sleeps. Returns whether it ran.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        let pid = self.shared.pid.load(Ordering::SeqCst);
        if pid != 0 {
            signal(pid, "-STOP").await;
            sleep(time).await;
            signal(pid, "-CONT").await;
        }
        pid != 0
    }

    /// Its files get no longer than this, as on a disk that is full; without a number they do again.
    pub(crate) async fn bound_files(&self, bytes: Option<u64>) {
        let pid = self.shared.pid.load(Ordering::SeqCst);
        let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
        let mut prlimit = Command::new("prlimit");
        prlimit
            .args([format!("--pid={pid}"), format!("--fsize={bytes}:")])
            .stderr(Stdio::null());
        let _ = prlimit.status().await;
    }

    /// Whether it says that it is ready.
    pub(crate) async fn is_ready(&self, http: &reqwest::Client) -> bool {
        let url = format!("http://127.0.0.1:{}/readyz", self.operator);
        let answer = http.get(url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks it to stop; how it ended, when it did in time.
    pub(crate) async fn stop(self) -> Option<i32> {
        self.shared.over.store(true, Ordering::SeqCst);
        self.signal("-TERM").await;
        let ended = timeout(Duration::from_secs(15), self.supervisor).await;
        let status = ended.ok()?.ok()??;
        status.code().or_else(|| status.signal().map(|signal| 128 + signal))
    }
}

async fn supervise(shared: Arc<Shared>) -> Option<ExitStatus> {
    let mut last = None;
    while !shared.over.load(Ordering::SeqCst) {
        let began = Instant::now();
        let mut child = spawn(&shared);
        shared.pid.store(child.id().unwrap_or(0), Ordering::SeqCst);
        last = child.wait().await.ok();
        shared.pid.store(0, Ordering::SeqCst);
        // As a supervisor does who is told to restart always: not in a hurry.
        if began.elapsed() < Duration::from_millis(500) {
            sleep(Duration::from_millis(200)).await;
        }
    }
    last
}

fn spawn(shared: &Shared) -> Child {
    let log = File::options()
        .create(true)
        .append(true)
        .open(shared.folder.join("log"))
        .expect("a log");
    // A file that may not get larger is an error for it, not its end.
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .args([env!("CARGO_BIN_EXE_bellhop"), "serve", "--config"])
        .arg(shared.folder.join("bellhop.toml"));
    if let Some(library) = fake_time().filter(|_| shared.clock != 0) {
        command
            .env("LD_PRELOAD", library)
            .env("FAKETIME", format!("{:+}s", shared.clock))
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    }
    command
        .current_dir(&shared.folder)
        .stdout(Stdio::null())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("started")
}

//! What our outputs lead to. A terminal gets tables that fit, colours and progress; a pipe or a file gets everything,
//! whole and plain.

use std::{
    io::{IsTerminal, Write, stderr, stdout},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use terminal_size::{Width, terminal_size_of};
use tokio::task::JoinHandle;

use super::output::harmless;
use crate::config;

/// Work that is done sooner says nothing.
const SOON: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(250);
/// What takes a line of a terminal away again.
const CLEAR: &str = "\r\x1b[2K";

/// Where something is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Surface {
    /// Columns; `None` where there is no end.
    pub(super) width: Option<usize>,
    /// Whether colours are wanted.
    pub(super) colours: bool,
}

impl Surface {
    /// The standard output.
    pub(super) fn of_output() -> Self {
        let width = stdout().is_terminal().then(|| terminal_size_of(stdout())).flatten();
        Self {
            width: width.map(|(Width(columns), _)| usize::from(columns)),
            colours: stdout().is_terminal() && config::colours_are_wanted(),
        }
    }

    /// The same without so many columns at the left.
    pub(super) fn inset(self, columns: usize) -> Self {
        Self {
            width: self.width.map(|width| width.saturating_sub(columns)),
            ..self
        }
    }
}

/// Long work that says on a terminal how far it is. It says so on the standard error stream, and its line is gone when
/// the work is over.
pub(super) struct Progress {
    line: Arc<Mutex<Line>>,
    ticking: Option<JoinHandle<()>>,
}

struct Line {
    what: String,
    so_far: String,
    drawn: bool,
    over: bool,
}

impl Progress {
    /// Begins, with what is being done, such as `Comparing`.
    pub(super) fn begin(what: &str) -> Self {
        let line = Arc::new(Mutex::new(Line {
            what: what.to_owned(),
            so_far: String::new(),
            drawn: false,
            over: false,
        }));
        let ticking = stderr().is_terminal().then(|| tokio::spawn(tick(Arc::clone(&line))));
        Self { line, ticking }
    }

    /// How far it is.
    pub(super) fn say(&self, so_far: impl FnOnce() -> String) {
        if self.ticking.is_some() {
            lock(&self.line).so_far = so_far();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let Some(ticking) = &self.ticking else { return };
        ticking.abort();
        // A tick may be under way in another thread: it draws before this or not at all.
        let mut line = lock(&self.line);
        line.over = true;
        if line.drawn {
            let _ = write!(stderr(), "{CLEAR}");
        }
    }
}

fn lock(line: &Mutex<Line>) -> MutexGuard<'_, Line> {
    line.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn tick(line: Arc<Mutex<Line>>) {
    let began = Instant::now();
    tokio::time::sleep(SOON).await;
    loop {
        {
            let mut line = lock(&line);
            if line.over {
                return;
            }
            let width = terminal_size_of(stderr()).map_or(80, |(Width(columns), _)| usize::from(columns));
            let so_far = if line.so_far.is_empty() {
                String::new()
            } else {
                format!(", {}", line.so_far)
            };
            let text = harmless(
                &format!("{}… {} s{so_far}", line.what, began.elapsed().as_secs()),
                false,
            );
            let text: String = text.chars().take(width.saturating_sub(1)).collect();
            line.drawn = write!(stderr(), "{CLEAR}{text}").is_ok();
        }
        tokio::time::sleep(TICK).await;
    }
}

//! What the system says about processes: `/proc`, and so Linux only. Elsewhere there is no figure.

use std::{fs, path::Path};

/// The unit of `/proc/…/stat`, the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// What is read of `/proc/<pid>/stat`.
struct Stat {
    parent: u32,
    /// Time on a processor, in ticks.
    own: u64,
    /// The same of children that have ended and were waited for.
    ended: u64,
}

/// Seconds on a processor of these processes and everything below them, children that have ended included. `None` when
/// the first is not there.
pub(super) fn processor_seconds(roots: &[u32]) -> Option<f64> {
    let all: Vec<(u32, Stat)> = everything()?;
    let mut ticks = 0;
    for root in roots {
        all.iter().find(|(pid, _)| pid == root)?;
        for (pid, stat) in &all {
            if pid == root || is_below(&all, *pid, *root) {
                ticks += stat.own + stat.ended;
            }
        }
    }
    Some(ticks as f64 / TICKS_PER_SECOND)
}

fn everything() -> Option<Vec<(u32, Stat)>> {
    let entries = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that ended meanwhile is counted with its parent.
    Some(numbers.filter_map(|pid| Some((pid, stat(pid)?))).collect())
}

fn is_below(all: &[(u32, Stat)], pid: u32, root: u32) -> bool {
    let parent = |pid: u32| all.iter().find(|(one, _)| *one == pid).map(|(_, stat)| stat.parent);
    let mut above = parent(pid);
    while let Some(one) = above {
        if one == root {
            return true;
        }
        above = parent(one).filter(|next| *next != one);
    }
    false
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `17 (any (name)) S 1 …`: the fields are counted from behind the name.
fn parse(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: number(11)? + number(12)?,
        ended: number(13)? + number(14)?,
    })
}

/// The parent of a process.
pub(super) fn parent(pid: u32) -> Option<u32> {
    stat(pid).map(|stat| stat.parent)
}

/// A line of `/proc/<pid>/status` in MiB, such as `VmRSS` (resident now) or `VmHWM` (resident at most so far).
pub(super) fn memory_mib(pid: u32, line: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'))?;
    let kib: f64 = found.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The type of the file system of a folder, such as `ext4`.
pub(super) fn file_system(folder: &Path) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((fields.next()?, fields.next()?))
    });
    let above = fields.filter(|(place, _)| folder.starts_with(place));
    above
        .max_by_key(|(place, _)| place.len())
        .map(|(_, kind)| kind.to_owned())
}

/// What the processor is called, and how many there are.
pub(super) fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, name)| name);
    format!("{processors} × {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let stat = parse("17 (a) (b) S 4 17 17 0 -1 4194560 1 2 3 4 50 6 7 8 20 0 1 0 99 1 1").unwrap();
        assert_eq!((stat.parent, stat.own, stat.ended), (4, 56, 15));
        assert!(parse("17 (a").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_a_parent_memory_and_time() {
        let me = std::process::id();
        assert!(parent(me).is_some() && processor_seconds(&[me]).is_some());
        assert!(memory_mib(me, "VmHWM").unwrap() >= 1.0);
        assert!(file_system(Path::new("/proc")).is_some_and(|kind| kind == "proc"));
        assert_eq!(processor_seconds(&[u32::MAX]), None);
    }
}

//! The folder of the spool: who has which part of it, and what the disk has left.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{DAMAGED, REFUSED, WAITING, segment::sync_folder_of};

/// Where the spool is, and how large it may become.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its folder. Made when missing.
    pub folder: PathBuf,
    /// Bytes on the disk.
    pub limit: u64,
}

impl Place {
    /// Looks whether a spool could be opened here, and changes nothing.
    ///
    /// # Errors
    /// When the folder cannot be written, or the disk is too small for the limit.
    pub fn inspect(&self) -> Result<(), Error> {
        let there = self.folder.ancestors().find(|folder| folder.exists());
        let there = there.unwrap_or(Path::new("/"));
        nix::unistd::access(there, nix::unistd::AccessFlags::W_OK)
            .map_err(|error| self.failed("write to it", error.into()))?;
        let used = used(&self.folder).map_err(|error| self.failed("read it", error))?;
        self.fits(there, used)
    }

    /// Whether the disk has room for the whole, beside what is there already.
    pub(super) fn fits(&self, there: &Path, used: u64) -> Result<(), Error> {
        let free = free(there).map_err(|error| self.failed("ask for free space in it", error))? + used;
        if free >= self.limit {
            return Ok(());
        }
        Err(Error::Disk {
            folder: self.folder.clone(),
            limit: self.limit,
            free,
        })
    }

    pub(super) fn failed(&self, what: &'static str, source: io::Error) -> Error {
        Error::Folder {
            folder: self.folder.clone(),
            what,
            source,
        }
    }
}

/// Why there can be no spool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder cannot be used.
    #[error(
        "spool.dir = \"{}\": cannot {what}: {source}. Remedy: a folder this process may write to, on a disk that \
         outlives it, or spool.enabled = false",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The disk, or the quota of the folder, is smaller than the limit.
    #[error(
        "spool.limit is {}, and the disk of spool.dir = \"{}\" has {} left for it. Remedy: a smaller limit, or a larger disk or quota",
        size(*limit), folder.display(), size(*free)
    )]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// What it may become.
        limit: u64,
        /// What it can become.
        free: u64,
    },
}

fn size(bytes: u64) -> String {
    match bytes / (1024 * 1024) {
        0 => format!("{} KiB", bytes / 1024),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

/// The first part of the folder that nobody holds.
pub(super) fn claim(root: &Path) -> io::Result<(PathBuf, File)> {
    for n in 1_u32.. {
        let part = root.join(n.to_string());
        make(&part)?;
        if let Some(lock) = lock(&part)? {
            sync_folder_of(&part)?;
            return Ok((part, lock));
        }
    }
    Err(io::Error::other("too many processes"))
}

/// The lock of a part, unless a living process holds it.
pub(super) fn lock(part: &Path) -> io::Result<Option<File>> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(part.join("lock"))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// The parts of the folder.
pub(super) fn parts(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        if path.is_dir() && path.join("lock").exists() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

pub(super) fn files(folder: &Path, ending: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The time in a file's name.
pub(super) fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.split('-').next()?.parse().ok()
}

/// Bytes that waiting deliveries take in the whole folder.
pub(super) fn used(root: &Path) -> io::Result<u64> {
    if !root.exists() {
        return Ok(0);
    }
    let mut used = 0;
    for part in parts(root)? {
        for file in files(&part, WAITING)? {
            // It may be gone by now.
            used += fs::metadata(file).map_or(0, |found| found.len());
        }
    }
    Ok(used)
}

/// What the disk, or the quota of the folder, has left for us.
pub(super) fn free(folder: &Path) -> io::Result<u64> {
    let disk = nix::sys::statvfs::statvfs(folder)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}

/// Nobody else need read what salons' clients are called.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Files that people have to look at.
pub(super) fn set_aside(root: &Path) -> io::Result<u64> {
    let mut found = 0;
    for part in parts(root)? {
        for ending in [REFUSED, DAMAGED] {
            found += files(&part, ending)?.len() as u64;
        }
    }
    Ok(found)
}

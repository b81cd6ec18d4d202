//! Deliveries that wait on this machine's disk for a database that is away: files of checked records,
//! made durable by one flush for each batch, read from the oldest on.
//!
//! Each process has a folder of its own in the spool's folder, held by a lock. What a process left
//! that ended is moved into the folder of whoever finds it first, so several may share the whole.

mod folder;
mod record;
mod segment;

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
};

use chrono::{DateTime, Utc};
use tracing::{error, warn};

pub use self::folder::{Error, Place};
use self::segment::{Segment, sync_folder_of};
use crate::store::events::Delivery;

/// Files are as long as this part of the limit, so that space comes back while it is emptied.
const FILES: u64 = 16;

/// A file is not made longer than this.
const LONGEST_FILE: u64 = 8 * 1024 * 1024;

/// Read at once, at most.
const CHUNK_EVENTS: usize = 1024;
/// Read at once, about.
const CHUNK_BYTES: usize = 8 * 1024 * 1024;

/// The endings of files: waiting; what no database takes; what cannot be read.
const WAITING: &str = "spool";
const REFUSED: &str = "refused";
const DAMAGED: &str = "damaged";

/// Why a delivery was not put aside.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("it is full")]
    Full,
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// What comes next, oldest first.
pub(super) struct Chunk {
    pub(super) deliveries: Vec<Delivery>,
    /// Contents that this version cannot read.
    pub(super) unreadable: Vec<Vec<u8>>,
    end: u64,
    events: u64,
    newest: Option<DateTime<Utc>>,
}

/// What is in the spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    /// Deliveries that wait.
    pub events: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// The oldest arrived then, or later.
    pub oldest: Option<DateTime<Utc>>,
    /// Files that people have to look at.
    pub set_aside: u64,
}

/// The spool of this process.
pub struct Spool {
    root: PathBuf,
    own: PathBuf,
    _lock: File,
    limit: u64,
    segments: VecDeque<Segment>,
    /// Whether the last segment is still being written.
    tail: Option<File>,
    /// The number in the name of the last file.
    named: u64,
    /// Files of the whole folder that people have to look at.
    set_aside: u64,
}

impl Spool {
    /// Opens it: takes a folder of its own, and what ended processes left.
    ///
    /// # Errors
    /// When the folder cannot be written, or the disk is too small for the limit.
    pub fn open(place: &Place) -> Result<Self, Error> {
        let root = place.folder.clone();
        folder::make(&root).map_err(|error| place.failed("make it", error))?;
        let (own, lock) = folder::claim(&root).map_err(|error| place.failed("take a part of it", error))?;
        let mut spool = Self {
            root,
            own,
            _lock: lock,
            limit: place.limit,
            segments: VecDeque::new(),
            tail: None,
            named: 0,
            set_aside: 0,
        };
        spool
            .add_files()
            .and_then(|()| spool.adopt())
            .map_err(|error| place.failed("read it", error))?;
        place.fits(&spool.own, spool.content().bytes)?;
        Ok(spool)
    }

    /// Takes over what processes left that have ended. Only while nothing is being read.
    pub(super) fn adopt(&mut self) -> io::Result<()> {
        for part in folder::parts(&self.root)? {
            if part == self.own {
                continue;
            }
            let Some(_lock) = folder::lock(&part)? else { continue };
            let left = folder::files(&part, WAITING)?;
            for file in &left {
                fs::rename(file, self.own.join(file.file_name().unwrap_or_default()))?;
            }
            if !left.is_empty() {
                // First where they are now: in between they may be in both, but never in none.
                sync_folder_of(&self.own.join(WAITING))?;
                sync_folder_of(&part.join(WAITING))?;
                self.add_files()?;
            }
        }
        self.set_aside = folder::set_aside(&self.root)?;
        Ok(())
    }

    /// Files of the own folder that are not known yet, in the order in which they were written.
    fn add_files(&mut self) -> io::Result<()> {
        self.tail = None;
        for file in folder::files(&self.own, WAITING)? {
            if self.segments.iter().all(|segment| segment.path != file) {
                self.segments.push_back(Segment::scan(file)?);
            }
        }
        self.segments.make_contiguous().sort_by(|a, b| a.path.cmp(&b.path));
        self.drop_empty();
        Ok(())
    }

    /// What is in it.
    pub(super) fn content(&self) -> Content {
        Content {
            events: self.segments.iter().map(|segment| segment.events).sum(),
            bytes: self.segments.iter().map(|segment| segment.end).sum(),
            oldest: self.segments.iter().find_map(|segment| segment.oldest),
            set_aside: self.set_aside,
        }
    }

    /// Puts deliveries behind all others. Those it returns the number of, from the first, are durable;
    /// why the others are not is told beside it.
    pub(super) fn append(&mut self, deliveries: &[Delivery]) -> (usize, Option<Trouble>) {
        let mut durable = 0;
        while durable < deliveries.len() {
            match self.append_to_one(&deliveries[durable..]) {
                Ok(written) => durable += written,
                Err(trouble) => return (durable, Some(trouble)),
            }
        }
        (durable, None)
    }

    /// As many as go into one file.
    fn append_to_one(&mut self, deliveries: &[Delivery]) -> Result<usize, Trouble> {
        let used = self.content().bytes;
        let longest = (self.limit / FILES).min(LONGEST_FILE);
        let room_in_file = match (&self.tail, self.segments.back()) {
            (Some(_), Some(segment)) => longest.saturating_sub(segment.end),
            _ => 0,
        };
        let mut bytes = Vec::new();
        let mut count = 0;
        let room = if room_in_file > 0 { room_in_file } else { longest };
        for delivery in deliveries {
            let frame = record::frame(delivery);
            if used + (bytes.len() + frame.len()) as u64 > self.limit {
                break;
            }
            bytes.extend(frame);
            count += 1;
            if bytes.len() as u64 >= room {
                break;
            }
        }
        if count == 0 {
            return Err(Trouble::Full);
        }
        if room_in_file == 0 {
            self.begin_file()?;
        }
        self.write(&bytes)?;
        if let Some(segment) = self.segments.back_mut() {
            segment.end += bytes.len() as u64;
            segment.events += count as u64;
            segment.oldest = segment.oldest.or(deliveries[0].arrived_at);
        }
        Ok(count)
    }

    /// After a failure nobody knows what of the file reached the disk: it gets nothing more, and what
    /// is in it behind the last success was acknowledged to nobody.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tail) = &mut self.tail else {
            return Err(io::Error::other("no file is open"));
        };
        let written = tail.write_all(bytes).and_then(|()| tail.sync_data());
        if written.is_err() {
            if let Some(segment) = self.segments.back() {
                // Only for the space.
                let _ = tail.set_len(segment.end);
            }
            self.tail = None;
            self.drop_empty();
        }
        written
    }

    fn begin_file(&mut self) -> io::Result<()> {
        self.tail = None;
        let now = u64::try_from(Utc::now().timestamp_micros()).unwrap_or(0);
        // Also when the clock goes back, a later file has a later name.
        let last = self
            .segments
            .back()
            .and_then(|segment| folder::number(&segment.path))
            .unwrap_or(0);
        self.named = now.max(self.named + 1).max(last + 1);
        let unique = fastrand::u32(..);
        let name = format!("{:020}-{unique:08x}.{WAITING}", self.named);
        let path = self.own.join(name);
        match Segment::create(path.clone()) {
            Ok((segment, file)) => {
                self.segments.push_back(segment);
                self.tail = Some(file);
                Ok(())
            }
            Err(error) => {
                // A file without a record is no loss.
                let _ = fs::remove_file(path);
                Err(error)
            }
        }
    }

    /// The next deliveries, oldest first; the same ones until [`Spool::done`]. `None` when it is empty.
    pub(super) fn next(&mut self) -> io::Result<Option<Chunk>> {
        self.drop_empty();
        let Some(segment) = self.segments.front_mut() else {
            return Ok(None);
        };
        let (contents, end) = segment.read(CHUNK_EVENTS, CHUNK_BYTES)?;
        if contents.is_empty() {
            // It was whole when it was looked through.
            segment.damaged = true;
            segment.events = 0;
            self.tail = None;
            return self.next();
        }
        let mut chunk = Chunk {
            events: contents.len() as u64,
            newest: contents.last().and_then(|content| record::arrived_at(content)),
            deliveries: Vec::with_capacity(contents.len()),
            unreadable: Vec::new(),
            end,
        };
        for content in contents {
            match record::read(&content) {
                Ok(delivery) => chunk.deliveries.push(delivery),
                Err(_) => chunk.unreadable.push(content),
            }
        }
        Ok(Some(chunk))
    }

    /// What [`Spool::next`] gave is elsewhere now.
    pub(super) fn done(&mut self, chunk: &Chunk) {
        if let Some(segment) = self.segments.front_mut() {
            segment.at = chunk.end;
            segment.events = segment.events.saturating_sub(chunk.events);
            segment.oldest = chunk.newest;
        }
        self.drop_empty();
    }

    /// Takes away files that are read to their end. One that cannot be taken away is read again after
    /// the next start, and what is in it is recognised.
    fn drop_empty(&mut self) {
        while self.segments.front().is_some_and(|segment| segment.events == 0) {
            if self.segments.len() == 1 {
                self.tail = None;
            }
            let Some(segment) = self.segments.pop_front() else {
                return;
            };
            if segment.damaged {
                self.set_aside += 1;
                error!(file = %segment.path.display(), "A file of the spool is damaged; what could not be read in it stays in the spool's folder");
            }
            if let Err(error) = segment.remove() {
                warn!(%error, file = %segment.path.display(), "A file of the spool that is read to its end could not be removed");
            }
        }
    }

    /// Keeps what can be stored nowhere, for people.
    pub(super) fn keep_refused(&mut self, deliveries: &[Delivery], unreadable: &[Vec<u8>]) -> io::Result<()> {
        let path = self
            .own
            .join(format!("{:020}.{REFUSED}", Utc::now().timestamp_micros()));
        let (_, mut file) = Segment::create(path)?;
        for delivery in deliveries {
            file.write_all(&record::frame(delivery))?;
        }
        for content in unreadable {
            file.write_all(&record::framed(&[content]))?;
        }
        file.sync_all()?;
        self.set_aside += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! One file of the spool. It is written once, from its beginning to its end, and read once.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};

use super::{
    DAMAGED,
    record::{self, FRAME},
};

/// How a file of the spool begins.
const MARK: &[u8; 16] = b"bellhop spool 1\n";

/// A file, and what of it is still to be read.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    /// Where the sound part ends.
    pub(super) end: u64,
    /// How far it has been read.
    pub(super) at: u64,
    /// Records behind that place.
    pub(super) events: u64,
    /// The first of them arrived then, or later.
    pub(super) oldest: Option<DateTime<Utc>>,
    /// What is behind the sound part is not just a write that a crash cut short.
    pub(super) damaged: bool,
}

/// What comes next in a file.
enum Next {
    Record(Vec<u8>),
    End,
    /// The file ends within a record, or in zeros: nobody was told that this is durable.
    CutShort,
    Damaged,
}

impl Segment {
    /// Begins a file.
    pub(super) fn create(path: PathBuf) -> io::Result<(Self, File)> {
        let mut file = File::options().write(true).create_new(true).open(&path)?;
        file.write_all(MARK)?;
        sync_folder_of(&path)?;
        let end = MARK.len() as u64;
        let segment = Self {
            path,
            end,
            at: end,
            events: 0,
            oldest: None,
            damaged: false,
        };
        Ok((segment, file))
    }

    /// Looks through a file that another process left.
    pub(super) fn scan(path: PathBuf) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(128 * 1024, File::open(&path)?);
        let mut mark = [0; MARK.len()];
        let begun = read_full(&mut reader, &mut mark)? == mark.len();
        let end = MARK.len() as u64;
        let mut segment = Self {
            path,
            end,
            at: end,
            events: 0,
            oldest: None,
            damaged: begun && mark != *MARK && mark != [0; MARK.len()],
        };
        if !begun || mark != *MARK {
            return Ok(segment);
        }
        loop {
            match next(&mut reader)? {
                Next::Record(content) => {
                    segment.end += (FRAME + content.len()) as u64;
                    segment.events += 1;
                    segment.oldest = segment.oldest.or_else(|| record::arrived_at(&content));
                }
                Next::End | Next::CutShort => return Ok(segment),
                Next::Damaged => {
                    segment.damaged = true;
                    return Ok(segment);
                }
            }
        }
    }

    /// The next contents, so many at most and about so many bytes, and where they end.
    pub(super) fn read(&self, events: usize, bytes: usize) -> io::Result<(Vec<Vec<u8>>, u64)> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let mut reader = BufReader::with_capacity(128 * 1024, file).take(self.end - self.at);
        let (mut contents, mut size, mut end) = (Vec::new(), 0, self.at);
        while contents.len() < events && size < bytes {
            let Next::Record(content) = next(&mut reader)? else {
                break;
            };
            size += content.len();
            end += (FRAME + content.len()) as u64;
            contents.push(content);
        }
        Ok((contents, end))
    }

    /// Takes the file away. What could not be read in it stays, under another name.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.damaged {
            fs::rename(&self.path, self.path.with_extension(DAMAGED))?;
        } else {
            fs::remove_file(&self.path)?;
        }
        sync_folder_of(&self.path)
    }
}

fn next(reader: &mut impl Read) -> io::Result<Next> {
    let mut frame = [0; FRAME];
    match read_full(reader, &mut frame)? {
        0 => return Ok(Next::End),
        FRAME => {}
        _ => return Ok(Next::CutShort),
    }
    let Some(length) = record::announced(frame) else {
        return Ok(if frame == [0; FRAME] && only_zeros(reader)? {
            Next::CutShort
        } else {
            Next::Damaged
        });
    };
    let mut content = Vec::new();
    reader.take(length as u64).read_to_end(&mut content)?;
    Ok(if content.len() < length {
        Next::CutShort
    } else if record::intact(frame, &content) {
        Next::Record(content)
    } else {
        Next::Damaged
    })
}

/// After a power cut a file may have its length already and its content not yet.
fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut some = [0; 4096];
    loop {
        match reader.read(&mut some)? {
            0 => return Ok(true),
            n if some[..n].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// A file is only there for good when its folder says so too.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

//! One open stream: its segments, the file it appends to, and where to find a sequence number.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::segment::{self, Index, Plan};
use crate::streams::Append;

/// A segment is closed at this size. Only the last one is scanned when a stream is opened, which
/// takes a few milliseconds at this size.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// A buffer for appends larger than this is not kept.
const BUFFER_BYTES_KEPT: usize = 4 * 1024;

pub(super) struct OpenStream {
    dir: PathBuf,
    closed: Vec<Closed>,
    /// `None` where the stream does not exist (yet).
    tail: Option<Tail>,
    buffer: Vec<u8>,
}

struct Closed {
    first: u64,
    bytes: u64,
    /// Made when the segment is first read.
    index: Option<Index>,
}

struct Tail {
    first: u64,
    file: File,
    path: PathBuf,
    index: Index,
}

impl OpenStream {
    /// Finds the segments, and cuts what a crash left incomplete at the end of the last.
    pub fn open(dir: PathBuf) -> io::Result<Self> {
        let mut firsts = segments_in(&dir)?;
        let tail = match firsts.pop() {
            Some(first) => Some(Tail::open(&dir, first)?),
            None => None,
        };
        let closed = firsts.into_iter().map(|first| {
            let bytes = fs::metadata(segment_path(&dir, first))?.len();
            Ok(Closed { first, bytes, index: None })
        });
        let closed = closed.collect::<io::Result<_>>()?;
        Ok(Self { dir, closed, tail, buffer: Vec::new() })
    }

    pub fn end(&self) -> u64 {
        self.tail.as_ref().map_or(0, Tail::end)
    }

    pub fn bytes(&self) -> u64 {
        let closed: u64 = self.closed.iter().map(|segment| segment.bytes).sum();
        closed + self.tail.as_ref().map_or(0, |tail| tail.index.bytes())
    }

    pub fn tail_path(&self) -> Option<PathBuf> {
        self.tail.as_ref().map(|tail| tail.path.clone())
    }

    /// Writes all entries in one call and returns whether a file was made for them. On failure
    /// nothing of them stays.
    pub fn append(&mut self, entries: &[Append]) -> io::Result<bool> {
        let renewed = self.make_room()?;
        let Some(tail) = &mut self.tail else { return Err(io::ErrorKind::NotFound.into()) };
        self.buffer.clear();
        let frames = entries.iter().map(|entry| segment::encode(entry, &mut self.buffer));
        let lengths = frames.collect::<io::Result<Vec<_>>>()?;
        if let Err(error) = tail.file.write_all(&self.buffer) {
            tail.file.set_len(tail.index.bytes())?;
            return Err(error);
        }
        lengths.into_iter().for_each(|length| tail.index.push(length));
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(renewed)
    }

    /// Where the entry with this number lies; `None` at or after the end.
    pub fn plan(&mut self, sequence: u64) -> io::Result<Option<Plan>> {
        let Some(tail) = self.tail.as_ref().filter(|tail| sequence < tail.end()) else {
            return Ok(None);
        };
        if sequence >= tail.first {
            return tail.index.plan(tail.path.clone(), tail.first, sequence).map(Some);
        }
        let after = self.closed.partition_point(|segment| segment.first <= sequence);
        let next_first = self.closed.get(after).map_or(tail.first, |segment| segment.first);
        let Some(segment) = after.checked_sub(1).and_then(|at| self.closed.get_mut(at)) else {
            return Err(damaged(&self.dir, "its first segment is missing"));
        };
        let path = segment_path(&self.dir, segment.first);
        let index = match segment.index.take() {
            Some(index) => index,
            None => segment::scan(&File::open(&path)?)?,
        };
        if segment.first + index.entries() != next_first || index.bytes() != segment.bytes {
            return Err(damaged(&path, "a closed segment is incomplete"));
        }
        let plan = index.plan(path, segment.first, sequence);
        segment.index = Some(index);
        plan.map(Some)
    }

    /// Makes the stream's first segment, or the next one when the last is full. Returns whether
    /// it did.
    fn make_room(&mut self) -> io::Result<bool> {
        match &self.tail {
            Some(tail) if tail.index.bytes() < SEGMENT_BYTES => return Ok(false),
            // Whatever follows a segment on the disk follows a complete one.
            Some(tail) => tail.file.sync_data()?,
            None => fs::create_dir_all(&self.dir)?,
        }
        let next = Tail::create(&self.dir, self.end())?;
        if let Some(full) = self.tail.replace(next) {
            let bytes = full.index.bytes();
            self.closed.push(Closed { first: full.first, bytes, index: Some(full.index) });
        }
        Ok(true)
    }
}

impl Tail {
    fn create(dir: &Path, first: u64) -> io::Result<Self> {
        let path = segment_path(dir, first);
        let file = File::options().append(true).create_new(true).open(&path)?;
        Ok(Self { first, file, path, index: Index::default() })
    }

    fn open(dir: &Path, first: u64) -> io::Result<Self> {
        let path = segment_path(dir, first);
        let file = File::options().read(true).append(true).open(&path)?;
        let index = segment::scan(&file)?;
        let torn = file.metadata()?.len().saturating_sub(index.bytes());
        if torn > 0 {
            tracing::warn!(path = %path.display(), bytes = torn, "cut an incomplete entry");
            file.set_len(index.bytes())?;
            // What is appended next must not end up in front of the rest of the old tail.
            file.sync_data()?;
        }
        Ok(Self { first, file, path, index })
    }

    fn end(&self) -> u64 {
        self.first + self.index.entries()
    }
}

/// Twenty digits hold every number, and then the order of names is the order of numbers.
fn segment_path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

fn segments_in(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut firsts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        firsts.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn damaged(path: &Path, how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{}`: {how}", path.display()))
}

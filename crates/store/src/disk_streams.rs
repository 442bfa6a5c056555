//! [`Streams`] as files: one directory a stream, in it segments named by their first sequence
//! number (`disk_streams/segment.rs` has the format).
//!
//! A stream is opened at its first use and a torn tail is cut then, so a start costs nothing
//! however many streams there are. Appends reach the operating system before they return; a
//! thread of its own brings them to the disk (`disk_streams/syncer.rs`).

mod open_stream;
mod segment;
mod syncer;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::blobs::BlobId;
use crate::disk::{Workers, ensure_dirs};
use crate::streams::{Append, Entry, Error, READ_BYTES_MAX, Streams, check_id, check_sizes};
use open_stream::OpenStream;
use syncer::Syncer;

/// Streams kept open, each with one file and an index of a few kilobytes.
const OPEN_STREAMS_MAX: usize = 64;

/// Blocking calls at a time; appends are short, and an index is rarely built.
const WORKERS_MAX: usize = 16;

/// Deleted streams wait here for their removal. No stream id begins with a dot.
const DELETED: &str = ".deleted";

pub struct DiskStreams {
    shared: Arc<Shared>,
    workers: Workers,
}

struct Shared {
    dir: PathBuf,
    open: Mutex<OpenStreams>,
    syncer: Syncer,
}

impl DiskStreams {
    /// Opens the store in `dir`, making it where there is none, and finishes deletions that an
    /// earlier process had begun.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        ensure_dirs(dir, &[DELETED])?;
        for leftover in fs::read_dir(dir.join(DELETED))? {
            fs::remove_dir_all(leftover?.path())?;
        }
        let shared = Shared {
            dir: dir.to_owned(),
            open: Mutex::default(),
            syncer: Syncer::start(dir.to_owned())?,
        };
        Ok(Self { shared: Arc::new(shared), workers: Workers::new(WORKERS_MAX) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        id: &str,
        work: impl FnOnce(&Shared, &str) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        check_id(id)?;
        let (shared, id) = (self.shared.clone(), id.to_owned());
        Ok(self.workers.run(move || work(&shared, &id)).await??)
    }
}

#[async_trait]
impl Streams for DiskStreams {
    async fn append(&self, id: &str, entries: Vec<Append>) -> Result<u64, Error> {
        check_sizes(&entries)?;
        self.blocking(id, move |shared, id| {
            shared.with_stream(id, |stream| {
                if !entries.is_empty() {
                    let renewed = stream.append(&entries)?;
                    shared.syncer.appended(id, stream.tail_path(), renewed);
                }
                Ok(stream.end())
            })
        })
        .await
    }

    async fn read(&self, id: &str, sequence: u64, limit: usize) -> Result<Vec<Entry>, Error> {
        self.blocking(id, move |shared, id| {
            let mut found = Vec::new();
            let mut next = sequence;
            let mut bytes_left = READ_BYTES_MAX;
            while found.len() < limit {
                let plan = shared.with_stream(id, |stream| stream.plan(next))?;
                let Some(plan) = plan else { break };
                let wanted = limit - found.len();
                let before = found.len();
                // The file is read outside the stream's lock: a long read stops no append.
                let within_bytes = plan.read(wanted, &mut bytes_left, &mut found)?;
                let read = found.len() - before;
                if !within_bytes || read == 0 {
                    break;
                }
                next += read as u64;
            }
            Ok(found)
        })
        .await
    }

    async fn end(&self, id: &str) -> Result<u64, Error> {
        self.blocking(id, |shared, id| shared.with_stream(id, |stream| Ok(stream.end()))).await
    }

    async fn size_bytes(&self, id: &str) -> Result<u64, Error> {
        self.blocking(id, |shared, id| shared.with_stream(id, |stream| Ok(stream.bytes()))).await
    }

    async fn sync(&self, id: &str) -> Result<(), Error> {
        self.blocking(id, |shared, id| {
            match shared.with_stream(id, |stream| Ok(stream.tail_path()))? {
                Some(tail) => syncer::sync_to_disk(&shared.dir, &tail, true),
                None => Ok(()),
            }
        })
        .await
    }

    async fn delete(&self, id: &str) -> Result<(), Error> {
        let aside = BlobId::random().map_err(|error| Error::Io(io::Error::other(error)))?;
        self.blocking(id, move |shared, id| shared.delete(id, aside.as_str())).await
    }
}

impl Shared {
    /// Runs `work` on the stream alone, opening it first where it is not open. After a failure
    /// the stream is closed, so that the next use finds out anew what the disk holds.
    fn with_stream<T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut OpenStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let slot = self.open.lock().unwrap_or_else(PoisonError::into_inner).slot(id);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stream = match slot.take() {
            Some(stream) => stream,
            None => OpenStream::open(self.dir.join(id))?,
        };
        let outcome = work(&mut stream)?;
        *slot = Some(stream);
        Ok(outcome)
    }

    /// Moves the stream out of sight in one step, so that a crash leaves all of it or nothing.
    fn delete(&self, id: &str, aside: &str) -> io::Result<()> {
        let aside = self.dir.join(DELETED).join(aside);
        let slot = self.open.lock().unwrap_or_else(PoisonError::into_inner).slot(id);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        match fs::rename(self.dir.join(id), &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        drop(slot);
        fs::remove_dir_all(&aside)
    }
}

/// `None`: not open, or closed after a failure.
type Slot = Arc<Mutex<Option<OpenStream>>>;

/// The streams in use, the least recently used leaving first.
#[derive(Default)]
struct OpenStreams {
    slots: HashMap<String, (Slot, u64)>,
    uses: u64,
}

impl OpenStreams {
    fn slot(&mut self, id: &str) -> Slot {
        self.uses += 1;
        if let Some((slot, used)) = self.slots.get_mut(id) {
            *used = self.uses;
            return slot.clone();
        }
        if self.slots.len() >= OPEN_STREAMS_MAX {
            self.close_oldest();
        }
        let slot = Slot::default();
        self.slots.insert(id.to_owned(), (slot.clone(), self.uses));
        slot
    }

    /// A slot that somebody holds stays: two slots of one stream would write over each other.
    fn close_oldest(&mut self) {
        let idle = self.slots.iter().filter(|(_, (slot, _))| Arc::strong_count(slot) == 1);
        let oldest = idle.min_by_key(|(_, (_, used))| *used).map(|(id, _)| id.clone());
        if let Some(id) = oldest {
            self.slots.remove(&id);
        }
    }
}

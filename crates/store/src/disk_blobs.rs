//! [`Blobs`] as files: `staging/ID` while being written, `blobs/ID` once whole.
//!
//! A file is synced before its rename, so whatever lies in `blobs` is complete at any moment of
//! a crash; what lies in `staging` at open is the rest of a crash and is removed.
//! All blobs share one directory, because then one sync of it makes many renames durable.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::blobs::{BlobId, Blobs, Error, Reader, Staged};
use crate::disk::{Workers, ensure_dirs};

/// What a reader is handed at a time, and what a writer gathers before it touches the disk: a
/// photo passes in one piece, and a hundred transfers at once take tens of megabytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Blocking calls at a time; enough that syncs of many small files share the disk's flushes.
const WORKERS_MAX: usize = 32;

pub struct DiskBlobs {
    shared: Arc<Shared>,
}

struct Shared {
    staging: PathBuf,
    committed: PathBuf,
    names: NameSync,
    workers: Workers,
}

impl DiskBlobs {
    /// Opens the store in `dir`, making it where there is none, and removes what was staged when
    /// an earlier process ended.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        ensure_dirs(dir, &["staging", "blobs"])?;
        let (staging, committed) = (dir.join("staging"), dir.join("blobs"));
        for leftover in fs::read_dir(&staging)? {
            fs::remove_file(leftover?.path())?;
        }
        let names = NameSync::new(File::open(&committed)?);
        let workers = Workers::new(WORKERS_MAX);
        Ok(Self { shared: Arc::new(Shared { staging, committed, names, workers }) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let shared = self.shared.clone();
        self.shared.workers.run(move || work(&shared)).await?
    }
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn stage(&self) -> Result<Box<dyn Staged>, Error> {
        Ok(Box::new(DiskStaged {
            shared: self.shared.clone(),
            id: BlobId::random()?,
            gathered: Vec::new(),
            file: None,
        }))
    }

    async fn length(&self, id: &BlobId) -> Result<u64, Error> {
        let id = id.clone();
        self.blocking(move |shared| Ok(shared.open(&id)?.metadata()?.len())).await
    }

    async fn read(&self, id: &BlobId, range: Range<u64>) -> Result<Reader, Error> {
        let id = id.clone();
        let (first, rest) = self
            .blocking(move |shared| {
                let mut rest = Rest::open(shared.open(&id)?, range)?;
                Ok((rest.next()?, rest))
            })
            .await?;
        let shared = self.shared.clone();
        let rest = stream::try_unfold(rest, move |mut rest| {
            let shared = shared.clone();
            async move {
                if rest.remaining == 0 {
                    return Ok(None);
                }
                let step = move || rest.next().map(|chunk| chunk.map(|chunk| (chunk, rest)));
                Ok(shared.workers.run(step).await??)
            }
        });
        Ok(Box::pin(stream::iter(first).map(Ok).chain(rest.into_stream())))
    }

    async fn delete(&self, id: &BlobId) -> Result<(), Error> {
        let id = id.clone();
        self.blocking(move |shared| match fs::remove_file(shared.path(&id)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        })
        .await
    }

    async fn list(&self) -> Result<Vec<BlobId>, Error> {
        self.blocking(|shared| {
            let mut found = Vec::new();
            for entry in fs::read_dir(&shared.committed)? {
                found.extend(entry?.file_name().to_str().and_then(BlobId::parse));
            }
            Ok(found)
        })
        .await
    }
}

impl Shared {
    fn path(&self, id: &BlobId) -> PathBuf {
        self.committed.join(id.as_str())
    }

    fn open(&self, id: &BlobId) -> Result<File, Error> {
        File::open(self.path(id)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::Absent(id.clone()),
            _ => error.into(),
        })
    }

    /// Verify, sync, rename, sync the name: after this the blob outlives a power failure.
    fn commit(&self, staged: StagingFile, id: BlobId, length: u64) -> Result<BlobId, Error> {
        let written = staged.file.metadata()?.len();
        if written != length {
            return Err(Error::Length { written, expected: length });
        }
        staged.file.sync_data()?;
        let path = self.path(&id);
        staged.rename(&path)?;
        if let Err(error) = self.names.sync() {
            fs::remove_file(&path)?;
            return Err(error.into());
        }
        Ok(id)
    }
}

/// A blob being written. Up to [`CHUNK_BYTES`] it is only in memory, so that a small one costs
/// one blocking call in all.
struct DiskStaged {
    shared: Arc<Shared>,
    id: BlobId,
    gathered: Vec<u8>,
    /// Lost with a write that failed or was abandoned; the length then gives that away.
    file: Option<StagingFile>,
}

#[async_trait]
impl Staged for DiskStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.gathered.len() + chunk.len() < CHUNK_BYTES {
            self.gathered.extend_from_slice(&chunk);
            return Ok(());
        }
        let path = self.shared.staging.join(self.id.as_str());
        let mut gathered = std::mem::take(&mut self.gathered);
        let file = self.file.take();
        let append = move || -> io::Result<_> {
            let mut staged = StagingFile::or_create(file, path)?;
            staged.file.write_all(&gathered)?;
            staged.file.write_all(&chunk)?;
            gathered.clear();
            Ok((staged, gathered))
        };
        let (staged, gathered) = self.shared.workers.run(append).await??;
        self.file = Some(staged);
        self.gathered = gathered;
        Ok(())
    }

    async fn commit(mut self: Box<Self>, length: u64) -> Result<BlobId, Error> {
        let shared = self.shared.clone();
        let (id, file) = (self.id.clone(), self.file.take());
        let gathered = std::mem::take(&mut self.gathered);
        let finish = move || {
            let path = shared.staging.join(id.as_str());
            let mut staged = StagingFile::or_create(file, path)?;
            staged.file.write_all(&gathered)?;
            shared.commit(staged, id, length)
        };
        self.shared.workers.run(finish).await?
    }
}

impl Drop for DiskStaged {
    /// Removing a large file takes a while, so it is not done on a thread that serves others.
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(file));
        }
    }
}

/// A file in `staging`, removed when dropped before its rename.
struct StagingFile {
    file: File,
    path: PathBuf,
    renamed: bool,
}

impl StagingFile {
    fn create(path: PathBuf) -> io::Result<Self> {
        let file = File::create_new(&path)?;
        Ok(Self { file, path, renamed: false })
    }

    fn or_create(existing: Option<Self>, path: PathBuf) -> io::Result<Self> {
        existing.map_or_else(|| Self::create(path), Ok)
    }

    fn rename(mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for StagingFile {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "a staged file stays until the next start");
        }
    }
}

/// The part of a blob not yet handed out. The open file keeps its bytes when the name is deleted.
struct Rest {
    file: File,
    remaining: u64,
}

impl Rest {
    fn open(mut file: File, range: Range<u64>) -> io::Result<Self> {
        let end = range.end.min(file.metadata()?.len());
        let remaining = end.saturating_sub(range.start);
        if remaining > 0 && range.start > 0 {
            file.seek(SeekFrom::Start(range.start))?;
        }
        Ok(Self { file, remaining })
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let wanted = self.remaining.min(CHUNK_BYTES as u64);
        let mut chunk = Vec::with_capacity(usize::try_from(wanted).unwrap_or(CHUNK_BYTES));
        let read = (&self.file).take(wanted).read_to_end(&mut chunk)? as u64;
        if read != wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= wanted;
        Ok(Some(chunk.into()))
    }
}

/// Syncs a directory for many callers at once: those that arrive while a sync is under way share
/// the next one.
struct NameSync {
    dir: File,
    state: Mutex<Turn>,
    finished: Condvar,
}

#[derive(Default)]
struct Turn {
    syncing: bool,
    waiting: Arc<Batch>,
}

#[derive(Default)]
struct Batch {
    outcome: OnceLock<Result<(), io::ErrorKind>>,
}

impl NameSync {
    fn new(dir: File) -> Self {
        Self { dir, state: Mutex::default(), finished: Condvar::new() }
    }

    /// Returns once a sync that began after this call has ended.
    fn sync(&self) -> io::Result<()> {
        let mut turn = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = turn.waiting.clone();
        loop {
            if let Some(outcome) = batch.outcome.get() {
                return outcome.map_err(io::Error::from);
            }
            if !turn.syncing {
                break;
            }
            turn = self.finished.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        turn.syncing = true;
        turn.waiting = Arc::default();
        drop(turn);

        let outcome = self.dir.sync_all();
        let shared = outcome.as_ref().copied().map_err(io::Error::kind);
        batch.outcome.get_or_init(|| shared);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).syncing = false;
        self.finished.notify_all();
        outcome
    }
}

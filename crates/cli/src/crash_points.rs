//! Dies on purpose, for the crash tests: in a debug build with `KENNEL_CRASH_POINTS=FILE` the
//! server kills itself, as `kill -9` would, before and after outside effects.
//!
//! Each effect has a label (what is written or started, and how often it was so far). The first
//! time a label is met it is appended to the file and the process dies; a label in the file is
//! passed. A client that goes on through all restarts has then met each point once.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use kennel_exec::{
    Capability, Executor, Launch, LaunchError, Needs, Presence, Reaped, Refusal, Supervisor,
};
use kennel_platform::Backends;
use kennel_store::blobs::Error as BlobsError;
use kennel_store::records::Error as RecordsError;
use kennel_store::streams::Error as StreamsError;
use kennel_store::{
    Append, BlobId, Blobs, Entry, Reader, Record, Records, Revision, Staged, Streams,
    Write as Change,
};
use tokio::sync::watch;

/// How often the same effect is met anew: enough to be in each state of a job or an endpoint.
const OCCURRENCES_MAX: u32 = 6;

/// Wraps the seams where the environment asks for it.
pub fn wrap(backends: Backends, executor: Arc<dyn Executor>) -> (Backends, Arc<dyn Executor>) {
    let Some(file) = std::env::var_os("KENNEL_CRASH_POINTS").filter(|_| cfg!(debug_assertions))
    else {
        return (backends, executor);
    };
    let points = Arc::new(Points::open(Path::new(&file)));
    let wrapped = Backends {
        records: Arc::new(CrashingRecords { inner: backends.records, points: points.clone() }),
        blobs: Arc::new(CrashingBlobs { inner: backends.blobs, points: points.clone() }),
        streams: Arc::new(CrashingStreams { inner: backends.streams, points: points.clone() }),
        clock: backends.clock,
    };
    (wrapped, Arc::new(CrashingExecutor { inner: executor, points }))
}

struct Points {
    file: PathBuf,
    /// How often each effect was met, in this process and those before it.
    met: Mutex<HashMap<String, u32>>,
}

impl Points {
    fn open(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let mut met = HashMap::new();
        for line in text.lines() {
            *met.entry(line.to_owned()).or_insert(0) += 1;
        }
        Self { file: file.to_path_buf(), met: Mutex::new(met) }
    }

    /// Dies here unless this effect was met often enough.
    fn meet(&self, when: &str, effect: &str) {
        let label = format!("{when} {effect}");
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let times = met.entry(label.clone()).or_insert(0);
        if *times >= OCCURRENCES_MAX {
            return;
        }
        *times += 1;
        let noted = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.file)
            .and_then(|mut file| writeln!(file, "{label}"));
        if noted.is_ok() {
            kennel_exec::die();
        }
    }
}

struct CrashingRecords {
    inner: Arc<dyn Records>,
    points: Arc<Points>,
}

#[async_trait]
impl Records for CrashingRecords {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, RecordsError> {
        self.inner.get(table, key).await
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, RecordsError> {
        self.inner.list(table, prefix, start_after, limit).await
    }

    async fn commit(&self, writes: Vec<Change>) -> Result<Revision, RecordsError> {
        let mut tables: Vec<&str> = writes.iter().map(table).collect();
        tables.dedup();
        let effect = format!("commit {}", tables.join("+"));
        self.points.meet("before", &effect);
        let done = self.inner.commit(writes).await;
        self.points.meet("after", &effect);
        done
    }

    fn watch(&self, table: &'static str) -> watch::Receiver<Revision> {
        self.inner.watch(table)
    }
}

fn table(change: &Change) -> &'static str {
    match change {
        Change::Put { table, .. } | Change::Delete { table, .. } | Change::Check { table, .. } => {
            table
        }
    }
}

struct CrashingBlobs {
    inner: Arc<dyn Blobs>,
    points: Arc<Points>,
}

#[async_trait]
impl Blobs for CrashingBlobs {
    async fn stage(&self) -> Result<Box<dyn Staged>, BlobsError> {
        let inner = self.inner.stage().await?;
        Ok(Box::new(CrashingStaged { inner, points: self.points.clone() }))
    }

    async fn length(&self, id: &BlobId) -> Result<u64, BlobsError> {
        self.inner.length(id).await
    }

    async fn read(&self, id: &BlobId, range: std::ops::Range<u64>) -> Result<Reader, BlobsError> {
        self.inner.read(id, range).await
    }

    async fn delete(&self, id: &BlobId) -> Result<(), BlobsError> {
        self.points.meet("before", "delete blob");
        let done = self.inner.delete(id).await;
        self.points.meet("after", "delete blob");
        done
    }

    async fn list(&self) -> Result<Vec<BlobId>, BlobsError> {
        self.inner.list().await
    }
}

struct CrashingStaged {
    inner: Box<dyn Staged>,
    points: Arc<Points>,
}

#[async_trait]
impl Staged for CrashingStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), BlobsError> {
        self.inner.write(chunk).await
    }

    async fn commit(self: Box<Self>, length: u64) -> Result<BlobId, BlobsError> {
        self.points.meet("before", "commit blob");
        let done = self.inner.commit(length).await;
        self.points.meet("after", "commit blob");
        done
    }
}

struct CrashingStreams {
    inner: Arc<dyn Streams>,
    points: Arc<Points>,
}

#[async_trait]
impl Streams for CrashingStreams {
    async fn append(&self, id: &str, entries: Vec<Append>) -> Result<u64, StreamsError> {
        self.points.meet("before", "append");
        let done = self.inner.append(id, entries).await;
        self.points.meet("after", "append");
        done
    }

    async fn read(
        &self,
        id: &str,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, StreamsError> {
        self.inner.read(id, sequence, limit).await
    }

    async fn end(&self, id: &str) -> Result<u64, StreamsError> {
        self.inner.end(id).await
    }

    async fn size_bytes(&self, id: &str) -> Result<u64, StreamsError> {
        self.inner.size_bytes(id).await
    }

    async fn sync(&self, id: &str) -> Result<(), StreamsError> {
        self.inner.sync(id).await
    }

    async fn delete(&self, id: &str) -> Result<(), StreamsError> {
        self.inner.delete(id).await
    }
}

struct CrashingExecutor {
    inner: Arc<dyn Executor>,
    points: Arc<Points>,
}

#[async_trait]
impl Executor for CrashingExecutor {
    fn capability(&self) -> Capability {
        self.inner.capability()
    }

    fn admit(&self, needs: &Needs) -> Result<(), Refusal> {
        self.inner.admit(needs)
    }

    async fn start(&self, launch: Launch) -> Result<Supervisor, LaunchError> {
        self.points.meet("before", "start supervisor");
        let done = self.inner.start(launch).await;
        self.points.meet("after", "start supervisor");
        done
    }

    async fn find(&self, run_dir: &Path) -> Result<Presence, LaunchError> {
        self.inner.find(run_dir).await
    }

    async fn gone(&self, run_dir: &Path) {
        self.inner.gone(run_dir).await;
    }

    async fn reap(&self, run_dir: &Path) -> Result<Reaped, LaunchError> {
        self.points.meet("before", "reap");
        let done = self.inner.reap(run_dir).await;
        self.points.meet("after", "reap");
        done
    }
}

//! All three stores in memory, for tests: same contracts, nothing survives the process.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Bound, Range};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::watch;

use crate::blobs::{self, BlobId, Blobs, Reader, Staged};
use crate::records::{self, Record, Records, Revision, Write};
use crate::streams::{self, Append, Entry, READ_BYTES_MAX, Streams};
use crate::watches::Watches;

pub struct MemoryRecords {
    state: Mutex<Documents>,
    watches: Watches,
}

#[derive(Default)]
struct Documents {
    latest: Revision,
    tables: HashMap<&'static str, BTreeMap<String, (Vec<u8>, Revision)>>,
}

impl MemoryRecords {
    pub fn new() -> Self {
        Self { state: Mutex::default(), watches: Watches::new(0) }
    }
}

impl Default for MemoryRecords {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, records::Error> {
        let state = locked(&self.state);
        let found = state.tables.get(table).and_then(|table| table.get_key_value(key));
        Ok(found.map(|(key, (value, revision))| record(key, value, *revision)))
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, records::Error> {
        let from = match start_after.filter(|after| *after >= prefix) {
            Some(after) => Bound::Excluded(after),
            None => Bound::Included(prefix),
        };
        let state = locked(&self.state);
        let Some(table) = state.tables.get(table) else { return Ok(Vec::new()) };
        Ok(table
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, (value, revision))| record(key, value, *revision))
            .collect())
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, records::Error> {
        let mut state = locked(&self.state);
        for write in &writes {
            let (Write::Put { table, key, expect, .. }
            | Write::Delete { table, key, expect }
            | Write::Check { table, key, expect }) = write;
            let found = state.tables.get(table).and_then(|table| table.get(key));
            if !expect.holds(found.map(|(_, revision)| *revision)) {
                return Err(records::Error::Conflict { table, key: key.clone() });
            }
        }
        state.latest += 1;
        let revision = state.latest;
        for write in &writes {
            match write {
                Write::Put { table, key, value, .. } => {
                    let table = state.tables.entry(table).or_default();
                    table.insert(key.clone(), (value.clone(), revision));
                }
                Write::Delete { table, key, .. } => {
                    state.tables.entry(table).or_default().remove(key);
                }
                Write::Check { .. } => {}
            }
        }
        self.watches.committed(revision, &writes);
        Ok(revision)
    }

    fn watch(&self, table: &'static str) -> watch::Receiver<Revision> {
        self.watches.subscribe(table)
    }
}

#[derive(Default)]
pub struct MemoryBlobs {
    blobs: Arc<Mutex<HashMap<BlobId, Bytes>>>,
}

impl MemoryBlobs {
    pub fn new() -> Self {
        Self::default()
    }

    fn whole(&self, id: &BlobId) -> Result<Bytes, blobs::Error> {
        locked(&self.blobs).get(id).cloned().ok_or_else(|| blobs::Error::Absent(id.clone()))
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn stage(&self) -> Result<Box<dyn Staged>, blobs::Error> {
        Ok(Box::new(MemoryStaged { blobs: self.blobs.clone(), body: BytesMut::new() }))
    }

    async fn length(&self, id: &BlobId) -> Result<u64, blobs::Error> {
        Ok(self.whole(id)?.len() as u64)
    }

    async fn read(&self, id: &BlobId, range: Range<u64>) -> Result<Reader, blobs::Error> {
        let whole = self.whole(id)?;
        let clip = |at: u64| usize::try_from(at).map_or(whole.len(), |at| at.min(whole.len()));
        let (start, end) = (clip(range.start), clip(range.end));
        let part = if start < end { whole.slice(start..end) } else { Bytes::new() };
        let chunk = (!part.is_empty()).then_some(Ok(part));
        Ok(Box::pin(futures::stream::iter(chunk)))
    }

    async fn delete(&self, id: &BlobId) -> Result<(), blobs::Error> {
        locked(&self.blobs).remove(id);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<BlobId>, blobs::Error> {
        Ok(locked(&self.blobs).keys().cloned().collect())
    }
}

struct MemoryStaged {
    blobs: Arc<Mutex<HashMap<BlobId, Bytes>>>,
    body: BytesMut,
}

#[async_trait]
impl Staged for MemoryStaged {
    async fn write(&mut self, chunk: Bytes) -> Result<(), blobs::Error> {
        self.body.extend_from_slice(&chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, length: u64) -> Result<BlobId, blobs::Error> {
        let written = self.body.len() as u64;
        if written != length {
            return Err(blobs::Error::Length { written, expected: length });
        }
        let id = BlobId::random()?;
        locked(&self.blobs).insert(id.clone(), self.body.freeze());
        Ok(id)
    }
}

#[derive(Default)]
pub struct MemoryStreams {
    streams: Mutex<HashMap<String, Vec<Append>>>,
}

impl MemoryStreams {
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Streams for MemoryStreams {
    async fn append(&self, id: &str, entries: Vec<Append>) -> Result<u64, streams::Error> {
        streams::check_id(id)?;
        streams::check_sizes(&entries)?;
        let mut streams = locked(&self.streams);
        if entries.is_empty() {
            return Ok(streams.get(id).map_or(0, |stream| stream.len() as u64));
        }
        let stream = streams.entry(id.to_owned()).or_default();
        stream.extend(entries);
        Ok(stream.len() as u64)
    }

    async fn read(
        &self,
        id: &str,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, streams::Error> {
        streams::check_id(id)?;
        let streams = locked(&self.streams);
        let Some(stream) = streams.get(id) else { return Ok(Vec::new()) };
        let skip = usize::try_from(sequence).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let within = |entry: &&Append| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(entry.body.len());
            first || bytes <= READ_BYTES_MAX
        };
        let found = stream.iter().skip(skip).take(limit).take_while(within);
        Ok(found
            .zip(sequence..)
            .map(|(Append { timestamp_ms, body }, sequence)| Entry {
                sequence,
                timestamp_ms: *timestamp_ms,
                body: body.clone(),
            })
            .collect())
    }

    async fn end(&self, id: &str) -> Result<u64, streams::Error> {
        streams::check_id(id)?;
        Ok(locked(&self.streams).get(id).map_or(0, |stream| stream.len() as u64))
    }

    async fn size_bytes(&self, id: &str) -> Result<u64, streams::Error> {
        streams::check_id(id)?;
        let bytes = |stream: &Vec<Append>| stream.iter().map(|entry| entry.body.len() as u64).sum();
        Ok(locked(&self.streams).get(id).map_or(0, bytes))
    }

    async fn sync(&self, id: &str) -> Result<(), streams::Error> {
        streams::check_id(id)
    }

    async fn delete(&self, id: &str) -> Result<(), streams::Error> {
        streams::check_id(id)?;
        locked(&self.streams).remove(id);
        Ok(())
    }
}

/// A panic elsewhere cannot leave these maps half changed, so a poisoned lock is used on.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn record(key: &str, value: &[u8], revision: Revision) -> Record {
    Record { key: key.to_owned(), value: value.to_owned(), revision }
}

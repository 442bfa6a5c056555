//! A process that writes is killed at random moments, again and again on the same directory.
//! Whatever it acknowledged must be there and whole each time.
//!
//! `KENNEL_SEED=n` repeats a run's choice of moments.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use kennel_store::{
    Append, BlobId, Blobs, DiskBlobs, DiskStreams, Expect, Records, SqliteRecords, Streams, Write,
};

use crate::child;
use crate::random::Random;

const ROUNDS: u32 = 12;
const ACKNOWLEDGED_MAX: u32 = 400;
const WRITERS: u64 = 4;
const TABLE: &str = "crash";

#[test]
fn what_was_acknowledged_survives_a_kill_at_any_moment() {
    let mut random = Random::from_environment();
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let moment = random.below(ACKNOWLEDGED_MAX) + 1;
        write_until_killed(dir.path(), moment, random.below(20_000), &mut acknowledged);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(verify(dir.path(), &acknowledged));
        println!("round {round}: killed after {moment} acknowledgements, everything is there");
    }
}

/// The process that is killed: not a test of its own.
#[test]
fn writes_without_end_as_a_child() {
    let Some(dir) = child::dir() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(write_without_end(&dir));
}

#[derive(Default)]
struct Acknowledged {
    records: HashMap<u64, u64>,
    revision: u64,
    blobs: HashMap<BlobId, u64>,
    stream_ends: HashMap<u64, u64>,
}

impl Acknowledged {
    /// Whether the line is an acknowledgement; the test harness writes others.
    fn add(&mut self, line: &str) -> bool {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["record", writer, n, revision] => {
                self.records.insert(writer.parse().unwrap(), n.parse().unwrap());
                self.revision = self.revision.max(revision.parse().unwrap());
            }
            ["blob", id, length] => {
                self.blobs.insert(BlobId::parse(id).unwrap(), length.parse().unwrap());
            }
            ["stream", writer, end] => {
                self.stream_ends.insert(writer.parse().unwrap(), end.parse().unwrap());
            }
            _ => return false,
        }
        true
    }
}

fn write_until_killed(dir: &Path, moment: u32, spins: u32, acknowledged: &mut Acknowledged) {
    let test = "crash::writes_without_end_as_a_child";
    let mut child = child::command(test, dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < moment {
        let Some(line) = lines.next() else { panic!("the child ended by itself") };
        seen += u32::from(acknowledged.add(&line.unwrap()));
    }
    // Moves the moment away from the acknowledgement.
    (0..spins).for_each(|_| std::hint::spin_loop());
    child.kill().unwrap();
    child.wait().unwrap();
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    // The kill may have cut the last line short.
    for line in rest.iter().take(rest.len().saturating_sub(1)) {
        acknowledged.add(line);
    }
}

async fn write_without_end(dir: &Path) {
    let records = Arc::new(SqliteRecords::open(&dir.join("records.sqlite")).unwrap());
    let blobs = Arc::new(DiskBlobs::open(&dir.join("blobs")).unwrap());
    let streams = Arc::new(DiskStreams::open(&dir.join("streams")).unwrap());
    // The test harness has begun a line.
    acknowledge("");
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        tasks.spawn(write_records(records.clone(), writer));
        tasks.spawn(write_blobs(blobs.clone(), writer));
        tasks.spawn(write_stream(streams.clone(), writer));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// Each batch writes the next record and the count of records: both or neither.
async fn write_records(records: Arc<SqliteRecords>, writer: u64) {
    let count = records.get(TABLE, &count_key(writer)).await.unwrap();
    let mut n = count.map_or(0, |count| u64::from_le_bytes(count.value.try_into().unwrap()));
    loop {
        let batch = vec![
            put(record_key(writer, n), pattern(n, 20 + n as usize % 3000), Expect::Absent),
            put(count_key(writer), (n + 1).to_le_bytes().to_vec(), Expect::Any),
        ];
        let revision = records.commit(batch).await.unwrap();
        n += 1;
        acknowledge(&format!("record {writer} {n} {revision}"));
    }
}

/// Each blob begins with its own length and seed, so that any blob found can be verified.
async fn write_blobs(blobs: Arc<DiskBlobs>, writer: u64) {
    for n in 0.. {
        let length = 16 + (n * 7919 + writer * 104_729) % 600_000;
        let body = blob_body(length, n ^ writer << 32);
        let mut staged = blobs.stage().await.unwrap();
        for chunk in body.chunks(100_000) {
            staged.write(Bytes::copy_from_slice(chunk)).await.unwrap();
        }
        let id = staged.commit(length).await.unwrap();
        acknowledge(&format!("blob {id} {length}"));
    }
}

async fn write_stream(streams: Arc<DiskStreams>, writer: u64) {
    let id = format!("stream-{writer}");
    let mut end = streams.end(&id).await.unwrap();
    loop {
        let batch = 1 + end % 20;
        let entries = (end..end + batch).map(entry).collect();
        end = streams.append(&id, entries).await.unwrap();
        acknowledge(&format!("stream {writer} {end}"));
    }
}

/// One write call a line, so that a kill cuts at most the last one.
fn acknowledge(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

async fn verify(dir: &Path, acknowledged: &Acknowledged) {
    verify_records(&dir.join("records.sqlite"), acknowledged).await;
    verify_blobs(&dir.join("blobs"), acknowledged).await;
    verify_streams(&dir.join("streams"), acknowledged).await;
}

async fn verify_records(path: &Path, acknowledged: &Acknowledged) {
    let records = SqliteRecords::open(path).unwrap();
    for writer in 0..WRITERS {
        let count = records.get(TABLE, &count_key(writer)).await.unwrap();
        let count = count.map_or(0, |count| u64::from_le_bytes(count.value.try_into().unwrap()));
        assert!(count >= acknowledged.records.get(&writer).copied().unwrap_or(0));
        let prefix = format!("{writer}/");
        let found = records.list(TABLE, &prefix, None, usize::MAX).await.unwrap();
        assert_eq!(found.len() as u64, count, "a batch was torn");
        for (n, record) in (0..).zip(found) {
            assert_eq!(record.key, record_key(writer, n));
            assert_eq!(record.value, pattern(n, 20 + n as usize % 3000));
        }
    }
    let revision = records.commit(vec![put("last".to_owned(), Vec::new(), Expect::Any)]);
    assert!(revision.await.unwrap() > acknowledged.revision);
}

async fn verify_blobs(dir: &Path, acknowledged: &Acknowledged) {
    let blobs = DiskBlobs::open(dir).unwrap();
    let found = blobs.list().await.unwrap();
    for (id, length) in &acknowledged.blobs {
        assert_eq!(blobs.length(id).await.unwrap(), *length);
    }
    for id in &found {
        let reader = blobs.read(id, 0..u64::MAX).await.unwrap();
        let body = reader.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        let length = u64::from_le_bytes(body[..8].try_into().unwrap());
        let seed = u64::from_le_bytes(body[8..16].try_into().unwrap());
        assert!(body == blob_body(length, seed), "blob {id} is torn");
    }
    assert_eq!(std::fs::read_dir(dir.join("staging")).unwrap().count(), 0);
    // Keeps the rounds equally fast; what is not there next time is not asked for.
    for id in found.iter().filter(|id| !acknowledged.blobs.contains_key(id)) {
        blobs.delete(id).await.unwrap();
    }
}

async fn verify_streams(dir: &Path, acknowledged: &Acknowledged) {
    let streams = DiskStreams::open(dir).unwrap();
    for (writer, acknowledged_end) in &acknowledged.stream_ends {
        let id = format!("stream-{writer}");
        let end = streams.end(&id).await.unwrap();
        assert!(end >= *acknowledged_end);
        let mut next = 0;
        while next < end {
            for found in streams.read(&id, next, 10_000).await.unwrap() {
                let expected = entry(next);
                assert_eq!(found.sequence, next);
                assert_eq!(
                    (found.timestamp_ms, found.body),
                    (expected.timestamp_ms, expected.body)
                );
                next += 1;
            }
        }
    }
}

fn put(key: String, value: Vec<u8>, expect: Expect) -> Write {
    Write::Put { table: TABLE, key, value, expect }
}

fn record_key(writer: u64, n: u64) -> String {
    format!("{writer}/{n:012}")
}

fn count_key(writer: u64) -> String {
    format!("count-{writer}")
}

fn blob_body(length: u64, seed: u64) -> Vec<u8> {
    let mut body = [length.to_le_bytes(), seed.to_le_bytes()].concat();
    body.extend(pattern(seed, length as usize - 16));
    body
}

fn entry(sequence: u64) -> Append {
    let body = pattern(sequence, sequence as usize % 300).into();
    Append { timestamp_ms: sequence as i64 * 3, body }
}

fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

//! How fast the stores on disk are, as a table. Ten clients work at once, as an upload of a
//! folder of photos does. `cargo bench -p kennel-store -- [DIR]`: the disk measured is that of
//! DIR, else that of the temporary directory.

#![expect(clippy::print_stdout, reason = "the table is what a benchmark is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real time")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::TryStreamExt;
use kennel_store::{
    Append, BlobId, Blobs, DiskBlobs, DiskStreams, Expect, Records, SqliteRecords, Streams, Write,
};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const CLIENTS: usize = 10;
const PHOTO_BYTES: usize = 30_000;
const RECORD_BYTES: usize = 600;
const LARGE_BYTES: usize = 256 * 1024 * 1024;

fn main() -> Outcome {
    let place = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    let dir = match place {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    tokio::runtime::Runtime::new()?.block_on(measure(dir.path()))
}

struct Stores {
    records: SqliteRecords,
    blobs: DiskBlobs,
    streams: DiskStreams,
}

impl Stores {
    fn open(dir: &Path) -> Outcome<Arc<Self>> {
        Ok(Arc::new(Self {
            records: SqliteRecords::open(&dir.join("records.sqlite"))?,
            blobs: DiskBlobs::open(&dir.join("blobs"))?,
            streams: DiskStreams::open(&dir.join("streams"))?,
        }))
    }
}

async fn measure(dir: &Path) -> Outcome {
    println!("{:<44} {:>10} {:>12}", "what", "a second", "µs each");
    let start = Instant::now();
    let stores = Stores::open(dir)?;
    row("first start of all three", 1, start);
    memory("after the start");
    each("put photo: 30 KB blob + its record", 4_000, &stores, put_photo).await?;
    each("commit one record", 4_000, &stores, commit_record).await?;
    each("get record", 20_000, &stores, get_record).await?;
    each("list 1000 records", 200, &stores, list_records).await?;
    each("get photo: record + 30 KB blob", 10_000, &stores, get_photo).await?;
    each("append one log line", 40_000, &stores, append_line).await?;
    each("append 100 log lines", 2_000, &stores, append_lines).await?;
    each("read 1000 log lines", 1_000, &stores, read_lines).await?;
    large(&stores).await?;
    drop(stores);
    let start = Instant::now();
    let _stores = Stores::open(dir)?;
    row("start of all three with this data", 1, start);
    memory("at the end");
    Ok(())
}

/// Runs `work` this many times in all, by all clients at once.
async fn each<F>(
    what: &str,
    times: usize,
    stores: &Arc<Stores>,
    work: fn(Arc<Stores>, usize) -> F,
) -> Outcome
where
    F: Future<Output = Outcome> + Send + 'static,
{
    let start = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let stores = stores.clone();
        tokio::spawn(async move {
            for n in (client..times).step_by(CLIENTS) {
                work(stores.clone(), n).await?;
            }
            Outcome::Ok(())
        })
    });
    for client in futures::future::join_all(clients).await {
        client??;
    }
    row(what, times, start);
    Ok(())
}

async fn put_photo(stores: Arc<Stores>, n: usize) -> Outcome {
    let body = Bytes::from(vec![n as u8; PHOTO_BYTES]);
    let mut staged = stores.blobs.stage().await?;
    staged.write(body).await?;
    let id = staged.commit(PHOTO_BYTES as u64).await?;
    let mut value = id.to_string().into_bytes();
    value.resize(RECORD_BYTES, b' ');
    put(&stores, "photo", n, value).await
}

async fn commit_record(stores: Arc<Stores>, n: usize) -> Outcome {
    put(&stores, "record", n, vec![b'x'; RECORD_BYTES]).await
}

async fn put(stores: &Stores, table: &'static str, n: usize, value: Vec<u8>) -> Outcome {
    let write = Write::Put { table, key: format!("{n:08}"), value, expect: Expect::Absent };
    stores.records.commit(vec![write]).await?;
    Ok(())
}

async fn get_record(stores: Arc<Stores>, n: usize) -> Outcome {
    stores.records.get("record", &format!("{:08}", n % 4_000)).await?.ok_or("no record")?;
    Ok(())
}

async fn list_records(stores: Arc<Stores>, n: usize) -> Outcome {
    let after = format!("{:08}", n * 10);
    stores.records.list("record", "", Some(&after), 1000).await?;
    Ok(())
}

async fn get_photo(stores: Arc<Stores>, n: usize) -> Outcome {
    let record = stores.records.get("photo", &format!("{:08}", n % 4_000)).await?;
    let value = record.ok_or("no record")?.value;
    let id = BlobId::parse(std::str::from_utf8(&value)?.trim()).ok_or("no id")?;
    let reader = stores.blobs.read(&id, 0..u64::MAX).await?;
    let chunks: Vec<Bytes> = reader.try_collect().await?;
    if chunks.concat().len() == PHOTO_BYTES { Ok(()) } else { Err("short photo".into()) }
}

fn line(n: usize) -> Append {
    Append { timestamp_ms: n as i64, body: format!("{n:>100}").into() }
}

async fn append_line(stores: Arc<Stores>, n: usize) -> Outcome {
    stores.streams.append(&format!("log-{}", n % CLIENTS), vec![line(n)]).await?;
    Ok(())
}

async fn append_lines(stores: Arc<Stores>, n: usize) -> Outcome {
    let lines = (0..100).map(line).collect();
    stores.streams.append(&format!("log-{}", n % CLIENTS), lines).await?;
    Ok(())
}

async fn read_lines(stores: Arc<Stores>, n: usize) -> Outcome {
    stores.streams.read(&format!("log-{}", n % CLIENTS), n as u64, 1000).await?;
    Ok(())
}

async fn large(stores: &Arc<Stores>) -> Outcome {
    let chunk = Bytes::from(vec![7; 64 * 1024]);
    let start = Instant::now();
    let mut staged = stores.blobs.stage().await?;
    for _ in 0..LARGE_BYTES / chunk.len() {
        staged.write(chunk.clone()).await?;
    }
    let id = staged.commit(LARGE_BYTES as u64).await?;
    row("write a large blob, MiB", LARGE_BYTES >> 20, start);
    let start = Instant::now();
    let mut reader = stores.blobs.read(&id, 0..u64::MAX).await?;
    while reader.try_next().await?.is_some() {}
    row("read a large blob, MiB", LARGE_BYTES >> 20, start);
    Ok(())
}

fn row(what: &str, times: usize, start: Instant) {
    let secs = start.elapsed().as_secs_f64();
    println!("{what:<44} {:>10.0} {:>12.1}", times as f64 / secs, secs * 1e6 / times as f64);
}

/// The resident set, where the system tells it.
fn memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS")) {
        println!("memory {when}: {line}");
    }
}

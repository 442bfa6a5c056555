//! A disk that really is full: a small file system in a mount namespace of its own.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt;
use kennel_store::{
    Append, Blobs, DiskBlobs, DiskStreams, Expect, Records, SqliteRecords, Streams, Write, blobs,
    records, streams,
};

use crate::child;

/// Room for the stores and some writes; `ballast` is removed to make room again.
const MOUNT: &str = "mount -t tmpfs -o size=6m none \"$1\" && \
                     head -c 2000000 /dev/zero > \"$1/ballast\" && shift && exec \"$@\"";

#[test]
fn full_disk_is_told_and_earlier_data_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let user_namespace = if is_root() { "-m" } else { "-Urm" };
    let program = ["unshare", user_namespace, "sh", "-c", MOUNT, "sh", path];
    let test = "full_disk::fills_its_disk_as_a_child";
    let output = child::command_through(&program, test, dir.path()).output();
    let mounted = |said: &[u8]| String::from_utf8_lossy(said).contains("the disk is mounted");
    match output {
        Ok(output) if mounted(&output.stdout) => assert!(output.status.success(), "{output:?}"),
        failed => {
            let required = std::env::var("KENNEL_REQUIRE_ALL").is_ok_and(|value| value == "1");
            assert!(!required, "a small file system cannot be mounted: {failed:?}");
            println!("skipped: a small file system cannot be mounted here");
        }
    }
}

/// Runs on the small disk: not a test of its own.
#[test]
fn fills_its_disk_as_a_child() {
    let Some(dir) = child::dir() else { return };
    println!("\nthe disk is mounted");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let ballast = fs::read(dir.join("ballast")).unwrap();
    for fill in [Store::Records, Store::Blobs, Store::Streams] {
        fs::write(dir.join("ballast"), &ballast).unwrap();
        let of_its_own = dir.join(format!("{fill:?}"));
        fs::create_dir(&of_its_own).unwrap();
        runtime.block_on(async {
            match fill {
                Store::Records => fill_records(&dir, &of_its_own).await,
                Store::Blobs => fill_blobs(&dir, &of_its_own).await,
                Store::Streams => fill_streams(&dir, &of_its_own).await,
            }
        });
        fs::remove_dir_all(&of_its_own).unwrap();
    }
}

#[derive(Debug)]
enum Store {
    Records,
    Blobs,
    Streams,
}

async fn fill_records(disk: &Path, dir: &Path) {
    let path = dir.join("records.sqlite");
    let mut store = SqliteRecords::open(&path).unwrap();
    let put = |n: u64| Write::Put {
        table: "t",
        key: format!("{n:06}"),
        value: vec![n as u8; 20_000],
        expect: Expect::Absent,
    };
    let mut written = 0;
    let refused = loop {
        match store.commit(vec![put(written)]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, records::Error::Full), "{refused:?}");
    for reopened in [false, true] {
        if reopened {
            // A start on a full disk may fail, but it loses nothing.
            drop(store);
            fs::remove_file(disk.join("ballast")).unwrap();
            store = SqliteRecords::open(&path).unwrap();
        }
        let found = store.list("t", "", None, usize::MAX).await.unwrap();
        assert_eq!(found.len() as u64, written);
        assert!((0_u64..).zip(&found).all(|(n, record)| record.value == vec![n as u8; 20_000]));
    }
    store.commit(vec![put(written)]).await.unwrap();
}

async fn fill_blobs(disk: &Path, dir: &Path) {
    let store = DiskBlobs::open(dir).unwrap();
    let mut kept = Vec::new();
    let refused = loop {
        match blob(&store, kept.len() as u8, 400_000).await {
            Ok(id) => kept.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, blobs::Error::Full), "{refused:?}");
    assert_eq!(fs::read_dir(dir.join("staging")).unwrap().count(), 0);
    assert_eq!(store.list().await.unwrap().len(), kept.len());
    for (n, id) in kept.iter().enumerate() {
        let reader = store.read(id, 0..u64::MAX).await.unwrap();
        let body = reader.try_collect::<Vec<Bytes>>().await.unwrap().concat();
        assert!(body == vec![n as u8; 400_000]);
    }
    fs::remove_file(disk.join("ballast")).unwrap();
    blob(&store, 0, 400_000).await.unwrap();
}

async fn blob(
    store: &DiskBlobs,
    fill: u8,
    length: usize,
) -> Result<kennel_store::BlobId, blobs::Error> {
    let mut staged = store.stage().await?;
    staged.write(vec![fill; length].into()).await?;
    staged.commit(length as u64).await
}

async fn fill_streams(disk: &Path, dir: &Path) {
    let store = DiskStreams::open(dir).unwrap();
    let batch = |n: u64| {
        let entry = |half| Append { timestamp_ms: half, body: vec![n as u8; 30_000].into() };
        vec![entry(0), entry(1)]
    };
    let mut written = 0;
    let refused = loop {
        match store.append("log", batch(written)).await {
            Ok(end) => {
                written += 1;
                assert_eq!(end, written * 2);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, streams::Error::Full), "{refused:?}");
    assert_eq!(store.end("log").await.unwrap(), written * 2);
    let found = store.read("log", 0, usize::MAX).await.unwrap();
    assert_eq!(found.len() as u64, written * 2);
    assert!(found.iter().all(|entry| entry.body == vec![(entry.sequence / 2) as u8; 30_000]));
    fs::remove_file(disk.join("ballast")).unwrap();
    assert_eq!(store.append("log", batch(written)).await.unwrap(), written * 2 + 2);
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false
}

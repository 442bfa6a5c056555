//! What only streams on disk can show: segments, torn tails, more streams than files.

use std::fs;
use std::path::{Path, PathBuf};

use kennel_store::streams::Error;
use kennel_store::{Append, DiskStreams, Streams};

use crate::random::Random;

#[tokio::test]
async fn tail_torn_at_any_byte_loses_only_the_entries_it_tore() {
    let whole = tempfile::tempdir().unwrap();
    let (bytes, ends) = written_segment(whole.path()).await;
    for cut in 0..=bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        place_segment(dir.path(), &bytes[..cut]);
        let kept = ends.iter().filter(|end| **end <= cut).count() as u64;
        expect_entries(dir.path(), kept).await;
    }
}

#[tokio::test]
async fn tail_damaged_at_any_byte_is_cut_before_the_damage() {
    let whole = tempfile::tempdir().unwrap();
    let (bytes, ends) = written_segment(whole.path()).await;
    for at in 0..bytes.len() {
        let dir = tempfile::tempdir().unwrap();
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        place_segment(dir.path(), &damaged);
        let kept = ends.iter().filter(|end| **end <= at).count() as u64;
        expect_entries(dir.path(), kept).await;
    }
}

#[tokio::test]
async fn tail_of_zeros_is_cut() {
    let whole = tempfile::tempdir().unwrap();
    let (mut bytes, ends) = written_segment(whole.path()).await;
    bytes.extend([0; 5000]);
    let dir = tempfile::tempdir().unwrap();
    place_segment(dir.path(), &bytes);
    expect_entries(dir.path(), ends.len() as u64).await;
}

#[tokio::test]
async fn long_stream_is_read_from_anywhere_across_its_segments() {
    const ENTRIES: u64 = 60_000;
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::from_environment();
    let mut streams = DiskStreams::open(dir.path()).unwrap();
    for first in (0..ENTRIES).step_by(1000) {
        let batch = (first..first + 1000).map(long_entry).collect();
        assert_eq!(streams.append("log", batch).await.unwrap(), first + 1000);
    }
    assert!(segments(dir.path(), "log").len() >= 3);
    for reopened in [false, true] {
        if reopened {
            drop(streams);
            streams = DiskStreams::open(dir.path()).unwrap();
        }
        let on_disk = segments(dir.path(), "log");
        let on_disk: u64 = on_disk.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(streams.size_bytes("log").await.unwrap(), on_disk);
        assert_eq!(streams.end("log").await.unwrap(), ENTRIES);
        for _ in 0..50 {
            let from = u64::from(random.below(ENTRIES as u32));
            let found = streams.read("log", from, 200).await.unwrap();
            assert_eq!(found.len() as u64, 200.min(ENTRIES - from));
            for (sequence, entry) in (from..).zip(found) {
                assert_eq!((entry.sequence, entry.body), (sequence, long_entry(sequence).body));
            }
        }
        let all = streams.read("log", 0, usize::MAX).await.unwrap();
        assert!(all.iter().map(|entry| entry.sequence).eq(0..all.len() as u64));
    }
}

#[tokio::test]
async fn damage_inside_a_closed_segment_is_an_error_not_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let streams = DiskStreams::open(dir.path()).unwrap();
    for first in (0..30_000).step_by(1000) {
        let batch = (first..first + 1000).map(long_entry).collect();
        streams.append("log", batch).await.unwrap();
    }
    drop(streams);
    let first = &segments(dir.path(), "log")[0];
    let mut bytes = fs::read(first).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(first, bytes).unwrap();
    let streams = DiskStreams::open(dir.path()).unwrap();
    assert!(matches!(streams.read("log", 0, 10).await, Err(Error::Io(_))));
    assert_eq!(streams.read("log", 29_999, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn more_streams_than_are_kept_open_all_work() {
    const STREAMS: usize = 200;
    let dir = tempfile::tempdir().unwrap();
    let streams = DiskStreams::open(dir.path()).unwrap();
    for round in 0..3 {
        for n in 0..STREAMS {
            let entry = Append { timestamp_ms: n as i64, body: format!("{round}").into() };
            let end = streams.append(&format!("s{n}"), vec![entry]).await.unwrap();
            assert_eq!(end, round + 1);
        }
    }
    let open = fs::read_dir("/proc/self/fd").map(|files| {
        files
            .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
            .filter(|target| target.starts_with(dir.path()))
            .count()
    });
    // Only Linux has the listing.
    assert!(open.unwrap_or(0) < STREAMS / 2);
    for n in 0..STREAMS {
        let bodies = streams.read(&format!("s{n}"), 0, 10).await.unwrap();
        assert!(bodies.iter().map(|entry| &entry.body[..]).eq([b"0", b"1", b"2"]));
    }
}

#[tokio::test]
async fn deletion_begun_before_a_crash_is_finished_at_open() {
    let dir = tempfile::tempdir().unwrap();
    drop(DiskStreams::open(dir.path()).unwrap());
    let leftover = dir.path().join(".deleted/leftover");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("00000000000000000000.seg"), b"old").unwrap();
    let _streams = DiskStreams::open(dir.path()).unwrap();
    assert!(!leftover.exists());
}

/// The bytes of a segment with a few entries, and where each ends.
async fn written_segment(dir: &Path) -> (Vec<u8>, Vec<usize>) {
    let streams = DiskStreams::open(dir).unwrap();
    let mut ends = Vec::new();
    for sequence in 0..8 {
        streams.append("log", vec![short_entry(sequence)]).await.unwrap();
        ends.push(streams.size_bytes("log").await.unwrap() as usize);
    }
    (fs::read(&segments(dir, "log")[0]).unwrap(), ends)
}

fn place_segment(dir: &Path, bytes: &[u8]) {
    fs::create_dir(dir.join("log")).unwrap();
    fs::write(dir.join("log/00000000000000000000.seg"), bytes).unwrap();
}

/// Exactly the first `kept` entries are there, and the stream goes on after them, also for the
/// next process.
async fn expect_entries(dir: &Path, kept: u64) {
    let streams = DiskStreams::open(dir).unwrap();
    assert_eq!(streams.end("log").await.unwrap(), kept);
    assert_eq!(streams.append("log", vec![short_entry(kept)]).await.unwrap(), kept + 1);
    drop(streams);
    let streams = DiskStreams::open(dir).unwrap();
    let found = streams.read("log", 0, 100).await.unwrap();
    assert_eq!(found.len() as u64, kept + 1);
    for (sequence, entry) in (0..).zip(found) {
        assert_eq!(entry.body, short_entry(sequence).body);
    }
}

fn segments(dir: &Path, id: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(id)).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn short_entry(sequence: u64) -> Append {
    let body = "x".repeat(sequence as usize * 3);
    Append { timestamp_ms: sequence as i64, body: body.into() }
}

fn long_entry(sequence: u64) -> Append {
    let body = format!("{sequence} {}", "y".repeat(300 + sequence as usize % 100));
    Append { timestamp_ms: 0, body: body.into() }
}

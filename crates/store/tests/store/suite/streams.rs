//! What every `Streams` promises.

use std::sync::Arc;

use kennel_store::streams::{ENTRY_BYTES_MAX, Error, READ_BYTES_MAX};
use kennel_store::{Append, Entry, Streams};

type Store = Arc<dyn Streams>;

pub async fn absent_stream_is_empty(store: Store) {
    assert_eq!(store.read("absent", 0, 10).await.unwrap(), []);
    assert_eq!(store.end("absent").await.unwrap(), 0);
    assert_eq!(store.size_bytes("absent").await.unwrap(), 0);
    store.sync("absent").await.unwrap();
    store.delete("absent").await.unwrap();
}

pub async fn entries_come_back_in_order_with_their_numbers(store: Store) {
    assert_eq!(store.append("log", lines(0..3)).await.unwrap(), 3);
    assert_eq!(store.append("log", lines(3..5)).await.unwrap(), 5);
    let odd = Append { timestamp_ms: i64::MIN, body: vec![0, 255, 10].into() };
    assert_eq!(store.append("log", vec![odd.clone()]).await.unwrap(), 6);
    store.sync("log").await.unwrap();
    let mut expected = entries(0..5);
    expected.push(Entry { sequence: 5, timestamp_ms: odd.timestamp_ms, body: odd.body });
    assert_eq!(store.read("log", 0, 100).await.unwrap(), expected);
    assert_eq!(store.end("log").await.unwrap(), 6);
    assert!(store.size_bytes("log").await.unwrap() > 0);
}

pub async fn any_sequence_can_be_read_from(store: Store) {
    store.append("log", lines(0..300)).await.unwrap();
    for from in 0..305 {
        let expected = entries(from..300.min(from + 7));
        assert_eq!(store.read("log", from, 7).await.unwrap(), expected);
    }
    assert_eq!(store.read("log", u64::MAX, 7).await.unwrap(), []);
    assert_eq!(store.read("log", 0, 0).await.unwrap(), []);
}

pub async fn empty_append_makes_no_stream(store: Store) {
    assert_eq!(store.append("log", Vec::new()).await.unwrap(), 0);
    assert_eq!(store.size_bytes("log").await.unwrap(), 0);
    store.append("log", lines(0..2)).await.unwrap();
    assert_eq!(store.append("log", Vec::new()).await.unwrap(), 2);
}

pub async fn ids_that_could_be_paths_are_refused(store: Store) {
    let long = "x".repeat(65);
    for id in ["", ".", "..", "a/b", "../a", "a.b", ".deleted", "ä", "a b", "a\0", &long] {
        assert!(matches!(store.append(id, lines(0..1)).await, Err(Error::BadId(_))), "{id:?}");
        assert!(matches!(store.read(id, 0, 1).await, Err(Error::BadId(_))), "{id:?}");
        assert!(matches!(store.delete(id).await, Err(Error::BadId(_))), "{id:?}");
    }
    store.append("Az09-_", lines(0..1)).await.unwrap();
    store.append(&"x".repeat(64), lines(0..1)).await.unwrap();
}

pub async fn too_large_entry_is_refused_with_its_batch(store: Store) {
    let large = |bytes| Append { timestamp_ms: 0, body: vec![7; bytes].into() };
    let mut batch = lines(0..1);
    batch.push(large(ENTRY_BYTES_MAX + 1));
    let refused = store.append("log", batch).await;
    assert!(matches!(refused, Err(Error::TooLarge(bytes)) if bytes == ENTRY_BYTES_MAX + 1));
    assert_eq!(store.end("log").await.unwrap(), 0);
    store.append("log", vec![large(ENTRY_BYTES_MAX)]).await.unwrap();
    assert_eq!(store.read("log", 0, 1).await.unwrap()[0].body.len(), ENTRY_BYTES_MAX);
}

pub async fn read_is_bounded_in_bytes_but_gives_an_entry(store: Store) {
    let fitting = READ_BYTES_MAX / ENTRY_BYTES_MAX;
    let large = Append { timestamp_ms: 0, body: vec![7; ENTRY_BYTES_MAX].into() };
    for _ in 0..fitting + 2 {
        store.append("log", vec![large.clone()]).await.unwrap();
    }
    assert_eq!(store.read("log", 0, usize::MAX).await.unwrap().len(), fitting);
    let rest = store.read("log", fitting as u64, usize::MAX).await.unwrap();
    assert_eq!(
        rest.iter().map(|entry| entry.sequence).collect::<Vec<_>>(),
        [fitting as u64, fitting as u64 + 1]
    );
}

pub async fn deleted_stream_starts_anew(store: Store) {
    store.append("log", lines(0..10)).await.unwrap();
    store.append("other", lines(0..1)).await.unwrap();
    store.delete("log").await.unwrap();
    store.delete("log").await.unwrap();
    assert_eq!(store.read("log", 0, 10).await.unwrap(), []);
    assert_eq!(store.append("log", lines(0..2)).await.unwrap(), 2);
    assert_eq!(store.read("log", 0, 10).await.unwrap(), entries(0..2));
    assert_eq!(store.end("other").await.unwrap(), 1);
}

pub async fn concurrent_appends_keep_batches_together(store: Store) {
    const BATCH: usize = 5;
    let writers = (0..8_i64).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                let entry = Append { timestamp_ms: writer, body: "line".into() };
                store.append("log", vec![entry; BATCH]).await.unwrap();
            }
        })
    });
    futures::future::join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let all = store.read("log", 0, usize::MAX).await.unwrap();
    assert_eq!(all.len(), 8 * 20 * BATCH);
    for batch in all.chunks(BATCH) {
        assert!(batch.iter().all(|entry| entry.timestamp_ms == batch[0].timestamp_ms));
    }
}

fn lines(range: std::ops::Range<u64>) -> Vec<Append> {
    let append = |entry: Entry| Append { timestamp_ms: entry.timestamp_ms, body: entry.body };
    entries(range).into_iter().map(append).collect()
}

fn entries(range: std::ops::Range<u64>) -> Vec<Entry> {
    let entry = |sequence: u64| Entry {
        sequence,
        timestamp_ms: 1_700_000_000_000 - sequence as i64,
        body: format!("line {sequence} {}", "x".repeat(sequence as usize % 50)).into(),
    };
    range.map(entry).collect()
}

//! What every `Blobs` promises.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use kennel_store::blobs::Error;
use kennel_store::{BlobId, Blobs};

type Store = Arc<dyn Blobs>;

pub async fn committed_blob_is_read_back_at_every_size(store: Store) {
    for length in [0, 1, 30_000, 262_143, 262_144, 262_145, 1_000_000] {
        let body = pattern(length, length as u8);
        let id = commit(&store, &[&body]).await;
        assert_eq!(store.length(&id).await.unwrap(), length as u64);
        assert_eq!(read(&store, &id).await, body);
        assert_eq!(BlobId::parse(id.as_str()), Some(id));
    }
}

pub async fn chunks_of_any_size_make_the_same_blob(store: Store) {
    let body = pattern(900_000, 3);
    for chunk_bytes in [700, 65_536, 300_000, 900_000] {
        let chunks: Vec<&[u8]> = body.chunks(chunk_bytes).collect();
        let id = commit(&store, &chunks).await;
        assert_eq!(read(&store, &id).await, body);
    }
}

pub async fn range_is_clipped_to_the_blob(store: Store) {
    let body = pattern(600_000, 5);
    let id = commit(&store, &[&body]).await;
    let cases = [
        (0..1, 0..1),
        (599_999..600_000, 599_999..600_000),
        (100..500_000, 100..500_000),
        (262_144..262_144, 0..0),
        (599_990..u64::MAX, 599_990..600_000),
        (600_000..700_000, 0..0),
        (u64::MAX - 1..u64::MAX, 0..0),
    ];
    for (asked, given) in cases {
        let reader = store.read(&id, asked).await.unwrap();
        let chunks: Vec<Bytes> = reader.try_collect().await.unwrap();
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
        assert_eq!(chunks.concat(), body[given]);
    }
}

pub async fn absent_blob_is_named(store: Store) {
    let id = absent();
    assert!(matches!(store.length(&id).await, Err(Error::Absent(named)) if named == id));
    assert!(matches!(store.read(&id, 0..1).await, Err(Error::Absent(named)) if named == id));
}

pub async fn wrong_length_keeps_nothing(store: Store) {
    for (length, announced) in [(10, 11), (11, 10), (600_000, 599_999)] {
        let mut staged = store.stage().await.unwrap();
        staged.write(pattern(length, 1).into()).await.unwrap();
        let refused = staged.commit(announced).await.unwrap_err();
        let Error::Length { written, expected } = refused else { panic!("{refused}") };
        assert_eq!((written, expected), (length as u64, announced));
    }
    assert_eq!(store.list().await.unwrap(), []);
}

pub async fn dropped_stage_keeps_nothing(store: Store) {
    let mut staged = store.stage().await.unwrap();
    staged.write(pattern(1_000_000, 1).into()).await.unwrap();
    drop(staged);
    assert_eq!(store.list().await.unwrap(), []);
}

pub async fn delete_is_idempotent(store: Store) {
    let (kept, id) = (commit(&store, &[b"kept"]).await, commit(&store, &[b"gone"]).await);
    store.delete(&id).await.unwrap();
    store.delete(&id).await.unwrap();
    assert!(matches!(store.length(&id).await, Err(Error::Absent(_))));
    assert_eq!(store.list().await.unwrap(), [kept]);
}

pub async fn reader_under_way_survives_delete(store: Store) {
    let body = pattern(1_000_000, 9);
    let id = commit(&store, &[&body]).await;
    let mut reader = store.read(&id, 0..u64::MAX).await.unwrap();
    let first = reader.try_next().await.unwrap().unwrap();
    store.delete(&id).await.unwrap();
    let rest: Vec<Bytes> = reader.try_collect().await.unwrap();
    assert_eq!([first.to_vec(), rest.concat()].concat(), body);
}

pub async fn many_writers_at_once_get_their_own_blobs(store: Store) {
    let writers = (0..40_u8).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move { (writer, commit(&store, &[&pattern(30_000, writer)]).await) })
    });
    let mut committed = BTreeSet::new();
    for written in futures::future::join_all(writers).await {
        let (writer, id) = written.unwrap();
        assert_eq!(read(&store, &id).await, pattern(30_000, writer));
        committed.insert(id);
    }
    assert_eq!(BTreeSet::from_iter(store.list().await.unwrap()), committed);
    assert_eq!(committed.len(), 40);
}

async fn commit(store: &Store, chunks: &[&[u8]]) -> BlobId {
    let mut staged = store.stage().await.unwrap();
    let mut length = 0;
    for chunk in chunks {
        length += chunk.len() as u64;
        staged.write(Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    staged.commit(length).await.unwrap()
}

async fn read(store: &Store, id: &BlobId) -> Vec<u8> {
    let reader = store.read(id, 0..u64::MAX).await.unwrap();
    reader.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

fn absent() -> BlobId {
    BlobId::parse("0123456789abcdef0123456789abcdef").unwrap()
}

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at / 7) as u8 ^ (at as u8).wrapping_mul(31) ^ seed).collect()
}

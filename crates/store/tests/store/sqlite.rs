//! What only records in a file can show: reopening, a log cut short, files that are not ours.

use std::fs;
use std::path::Path;

use kennel_store::records::Error;
use kennel_store::{Expect, Records, Revision, SqliteRecords, Write};

#[tokio::test]
async fn records_and_revisions_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    let store = SqliteRecords::open(&path).unwrap();
    put(&store, "a", b"1").await;
    let last = put(&store, "b", b"2").await;
    let delete = Write::Delete { table: "t", key: "b".to_owned(), expect: Expect::Any };
    let last = store.commit(vec![delete]).await.unwrap().max(last);
    drop(store);
    let store = SqliteRecords::open(&path).unwrap();
    assert_eq!(store.get("t", "a").await.unwrap().unwrap().value, b"1");
    assert_eq!(*store.watch("t").borrow(), last);
    assert!(put(&store, "b", b"3").await > last);
}

#[tokio::test]
async fn log_cut_anywhere_leaves_whole_batches_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    let store = SqliteRecords::open(&path).unwrap();
    for n in 0..12_u8 {
        let batch = ["x", "y"].map(|key| Write::Put {
            table: "t",
            key: key.to_owned(),
            value: vec![n; 2000],
            expect: Expect::Any,
        });
        store.commit(batch.to_vec()).await.unwrap();
    }
    let database = fs::read(&path).unwrap();
    let log = fs::read(dir.path().join("records.sqlite-wal")).unwrap();
    let mut newest = 0;
    for cut in (0..log.len()).step_by(997).chain([log.len()]) {
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("records.sqlite");
        fs::write(&path, &database).unwrap();
        fs::write(copy.path().join("records.sqlite-wal"), &log[..cut]).unwrap();
        let Ok(store) = SqliteRecords::open(&path) else { panic!("cut at {cut}") };
        let found = store.list("t", "", None, 10).await.unwrap();
        if let [x, y] = found.as_slice() {
            assert_eq!(x.value, y.value, "a batch was torn at {cut}");
            assert!(x.value[0] >= newest, "an older state at {cut}");
            newest = x.value[0];
        } else {
            assert!(found.is_empty() && newest == 0);
        }
    }
    assert_eq!(newest, 11);
}

#[tokio::test]
async fn damaged_file_is_named_at_open_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    let store = SqliteRecords::open(&path).unwrap();
    for n in 0..200 {
        put(&store, &format!("{n:03}"), &[n as u8; 500]).await;
    }
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    assert!(pages > 8);
    bytes[4096 * (pages / 2)..][..64].fill(0xaa);
    fs::write(&path, bytes).unwrap();
    fs::write(dir.path().join("records.sqlite-wal"), b"left by a crash").unwrap();
    expect_refused(&path, "is damaged");
}

#[tokio::test]
async fn database_of_another_program_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1);").unwrap();
    drop(other);
    expect_refused(&path, "another program");
    let text = dir.path().join("text");
    fs::write(&text, "not a database at all, but a text that someone keeps").unwrap();
    assert!(SqliteRecords::open(&text).is_err());
}

#[tokio::test]
async fn file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    drop(SqliteRecords::open(&path).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99;").unwrap();
    drop(newer);
    expect_refused(&path, "newer version");
}

#[tokio::test]
async fn log_whose_file_is_gone_is_not_applied_to_a_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.sqlite");
    let log = dir.path().join("records.sqlite-wal");
    let store = SqliteRecords::open(&path).unwrap();
    put(&store, "old", b"1").await;
    let old_log = fs::read(&log).unwrap();
    drop(store);
    fs::remove_file(&path).unwrap();
    fs::write(&log, old_log).unwrap();
    let store = SqliteRecords::open(&path).unwrap();
    assert_eq!(store.list("t", "", None, 10).await.unwrap(), []);
    put(&store, "new", b"2").await;
}

#[tokio::test]
async fn clean_end_leaves_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteRecords::open(&dir.path().join("records.sqlite")).unwrap();
    put(&store, "a", b"1").await;
    store.get("t", "a").await.unwrap();
    drop(store);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

fn expect_refused(path: &Path, reason: &str) {
    let Err(Error::Backend(source)) = SqliteRecords::open(path) else { panic!("it was opened") };
    assert!(source.to_string().contains(reason), "{source}");
}

async fn put(store: &SqliteRecords, key: &str, value: &[u8]) -> Revision {
    let (key, value) = (key.to_owned(), value.to_owned());
    store.commit(vec![Write::Put { table: "t", key, value, expect: Expect::Any }]).await.unwrap()
}

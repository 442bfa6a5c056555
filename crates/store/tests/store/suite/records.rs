//! What every `Records` promises.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kennel_store::records::Error;
use kennel_store::{Expect, Records, Revision, Write};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

type Store = Arc<dyn Records>;

const TABLE: &str = "things";
const OTHER: &str = "others";

pub async fn absent_key_is_none(store: Store) {
    assert_eq!(store.get(TABLE, "absent").await.unwrap(), None);
    assert_eq!(store.list(TABLE, "", None, 10).await.unwrap(), []);
}

pub async fn written_record_is_read_back(store: Store) {
    for (key, value) in [("plain", &b"value"[..]), ("", b""), ("nul\0key", b"\0\xff")] {
        let revision = store.commit(vec![put(TABLE, key, value, Expect::Absent)]).await.unwrap();
        let record = store.get(TABLE, key).await.unwrap().unwrap();
        assert_eq!((record.key.as_str(), record.value.as_slice()), (key, value));
        assert_eq!(record.revision, revision);
    }
}

pub async fn revisions_grow_and_are_shared_by_a_batch(store: Store) {
    let batch = vec![put(TABLE, "a", b"1", Expect::Any), put(OTHER, "b", b"2", Expect::Any)];
    let first = store.commit(batch).await.unwrap();
    assert_eq!(revision_of(&store, TABLE, "a").await, Some(first));
    assert_eq!(revision_of(&store, OTHER, "b").await, Some(first));
    let second = store.commit(vec![put(TABLE, "a", b"3", Expect::Revision(first))]).await.unwrap();
    assert!(second > first);
    assert_eq!(revision_of(&store, OTHER, "b").await, Some(first));
}

pub async fn keys_of_different_tables_do_not_meet(store: Store) {
    store.commit(vec![put(TABLE, "key", b"thing", Expect::Absent)]).await.unwrap();
    store.commit(vec![put(OTHER, "key", b"other", Expect::Absent)]).await.unwrap();
    assert_eq!(store.get(TABLE, "key").await.unwrap().unwrap().value, b"thing");
    assert_eq!(store.list(OTHER, "", None, 10).await.unwrap().len(), 1);
}

pub async fn failed_expectation_names_its_key_and_writes_nothing(store: Store) {
    let revision = store.commit(vec![put(TABLE, "here", b"1", Expect::Any)]).await.unwrap();
    let wrong = [
        ("here", Expect::Absent),
        ("here", Expect::Revision(revision + 1)),
        ("gone", Expect::Revision(revision)),
    ];
    for (key, expect) in wrong {
        let guards = [
            put(TABLE, key, b"2", expect),
            Write::Delete { table: TABLE, key: key.to_owned(), expect },
            Write::Check { table: TABLE, key: key.to_owned(), expect },
        ];
        for guard in guards {
            let batch = vec![put(TABLE, "new", b"", Expect::Any), guard];
            let refused = store.commit(batch).await.unwrap_err();
            let named = matches!(&refused, Error::Conflict { table: TABLE, key: k } if k == key);
            assert!(named, "{refused:?}");
        }
    }
    assert_eq!(store.get(TABLE, "new").await.unwrap(), None);
    assert_eq!(revision_of(&store, TABLE, "here").await, Some(revision));
}

pub async fn expectations_see_the_state_before_the_batch(store: Store) {
    let check = Write::Check { table: TABLE, key: "a".to_owned(), expect: Expect::Absent };
    store.commit(vec![put(TABLE, "a", b"1", Expect::Absent), check]).await.unwrap();
    assert!(store.get(TABLE, "a").await.unwrap().is_some());
}

pub async fn deleting_an_absent_key_is_no_error(store: Store) {
    let delete = Write::Delete { table: TABLE, key: "gone".to_owned(), expect: Expect::Any };
    store.commit(vec![delete]).await.unwrap();
}

pub async fn recreated_key_never_gets_an_old_revision(store: Store) {
    let first = store.commit(vec![put(TABLE, "a", b"1", Expect::Absent)]).await.unwrap();
    let expect = Expect::Revision(first);
    let delete = Write::Delete { table: TABLE, key: "a".to_owned(), expect };
    store.commit(vec![delete]).await.unwrap();
    assert_eq!(store.get(TABLE, "a").await.unwrap(), None);
    let second = store.commit(vec![put(TABLE, "a", b"1", Expect::Absent)]).await.unwrap();
    assert!(second > first);
}

pub async fn only_one_of_many_creators_wins(store: Store) {
    let creators = (0..16_u8).map(|creator| {
        let store = store.clone();
        tokio::spawn(async move {
            store.commit(vec![put(TABLE, "one", &[creator], Expect::Absent)]).await.is_ok()
        })
    });
    let won = futures::future::join_all(creators).await;
    assert_eq!(won.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
}

pub async fn concurrent_increments_are_not_lost(store: Store) {
    const TASKS: u64 = 8;
    const INCREMENTS: u64 = 20;
    store.commit(vec![put(TABLE, "n", &0_u64.to_le_bytes(), Expect::Absent)]).await.unwrap();
    let tasks = (0..TASKS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..INCREMENTS {
                while !increment(&store).await {}
            }
        })
    });
    futures::future::join_all(tasks).await.into_iter().for_each(|task| task.unwrap());
    let record = store.get(TABLE, "n").await.unwrap().unwrap();
    assert_eq!(record.value, (TASKS * INCREMENTS).to_le_bytes());
}

async fn increment(store: &Store) -> bool {
    let record = store.get(TABLE, "n").await.unwrap().unwrap();
    let next = u64::from_le_bytes(record.value.try_into().unwrap()) + 1;
    let expect = Expect::Revision(record.revision);
    match store.commit(vec![put(TABLE, "n", &next.to_le_bytes(), expect)]).await {
        Ok(_) => true,
        Err(Error::Conflict { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

pub async fn conflict_does_not_fail_neighbours(store: Store) {
    let commits = (0..64).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            let expect = if n % 3 == 0 { Expect::Revision(u64::MAX >> 1) } else { Expect::Absent };
            let key = format!("{n:02}");
            (n, store.commit(vec![put(TABLE, &key, b"", expect)]).await.is_ok())
        })
    });
    for outcome in futures::future::join_all(commits).await {
        let (n, written) = outcome.unwrap();
        assert_eq!(written, n % 3 != 0);
    }
    assert_eq!(store.list(TABLE, "", None, 100).await.unwrap().len(), 42);
}

/// Writes, deletes and lists with keys whose byte order, UTF-16 order and case order differ.
pub async fn listing_agrees_with_a_sorted_map(store: Store) {
    let letters = proptest::sample::select(vec![
        'a',
        'B',
        '/',
        '%',
        '_',
        ' ',
        '\0',
        '\u{7f}',
        '\u{80}',
        'é',
        '\u{7ff}',
        '\u{d7ff}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{10000}',
        '😀',
        '\u{10ffff}',
    ]);
    let key = proptest::collection::vec(letters, 0..4).prop_map(String::from_iter);
    let writes = proptest::collection::vec((key.clone(), any::<bool>()), 1..24);
    let queries =
        proptest::collection::vec((key.clone(), proptest::option::of(key), 0..12_usize), 1..24);
    let runtime = tokio::runtime::Handle::current();
    let cases = Config { cases: 48, failure_persistence: None, ..Config::default() };
    let check = move |(writes, queries): (Vec<(String, bool)>, Vec<_>)| {
        runtime.block_on(check_listing(&store, writes, queries));
        Ok(())
    };
    let run = move || TestRunner::new(cases).run(&(writes, queries), check).unwrap();
    tokio::task::spawn_blocking(run).await.unwrap();
}

type Query = (String, Option<String>, usize);

async fn check_listing(store: &Store, writes: Vec<(String, bool)>, queries: Vec<Query>) {
    let old = store.list(TABLE, "", None, usize::MAX).await.unwrap();
    let clear = old.into_iter().map(|record| delete(record.key)).collect();
    store.commit(clear).await.unwrap();
    let mut model = BTreeMap::new();
    for (n, (key, kept)) in writes.into_iter().enumerate() {
        if kept {
            store.commit(vec![put(TABLE, &key, &[n as u8], Expect::Any)]).await.unwrap();
            model.insert(key, vec![n as u8]);
        } else {
            model.remove(&key);
            store.commit(vec![delete(key)]).await.unwrap();
        }
    }
    for (prefix, start_after, limit) in queries {
        let found = store.list(TABLE, &prefix, start_after.as_deref(), limit).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|record| (record.key, record.value)).collect();
        let expected: Vec<_> = model
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| start_after.as_ref().is_none_or(|after| *key > after))
            .map(|(key, value)| (key.clone(), value.clone()))
            .take(limit)
            .collect();
        assert_eq!(found, expected, "prefix {prefix:?} after {start_after:?} limit {limit}");
    }
}

pub async fn listing_pages_through_everything_once(store: Store) {
    let keys: Vec<String> = (0..250).map(|n| format!("page/{n:03}")).collect();
    let writes = keys.iter().map(|key| put(TABLE, key, b"", Expect::Any)).collect();
    store.commit(writes).await.unwrap();
    store.commit(vec![put(TABLE, "pagf", b"", Expect::Any)]).await.unwrap();
    let mut seen: Vec<String> = Vec::new();
    loop {
        let after = seen.last().map(String::as_str);
        let page = store.list(TABLE, "page/", after, 100).await.unwrap();
        if page.is_empty() {
            break;
        }
        seen.extend(page.into_iter().map(|record| record.key));
    }
    assert_eq!(seen, keys);
}

pub async fn watch_wakes_for_its_own_table_only(store: Store) {
    let mut things = store.watch(TABLE);
    let others = store.watch(OTHER);
    let revision = store.commit(vec![put(TABLE, "a", b"", Expect::Any)]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), things.changed()).await.unwrap().unwrap();
    assert_eq!(*things.borrow_and_update(), revision);
    let check = Write::Check { table: TABLE, key: "a".to_owned(), expect: Expect::Any };
    store.commit(vec![check]).await.unwrap();
    assert!(!things.has_changed().unwrap());
    assert!(!others.has_changed().unwrap());
}

fn put(table: &'static str, key: &str, value: &[u8], expect: Expect) -> Write {
    Write::Put { table, key: key.to_owned(), value: value.to_owned(), expect }
}

fn delete(key: String) -> Write {
    Write::Delete { table: TABLE, key, expect: Expect::Any }
}

async fn revision_of(store: &Store, table: &'static str, key: &str) -> Option<Revision> {
    store.get(table, key).await.unwrap().map(|record| record.revision)
}

use std::sync::Arc;

use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};

use super::*;
use crate::clock::ManualClock;

const GROUP: &str = "/aws/sagemaker/TrainingJobs";
const START_MS: i64 = 1_700_000_000_000;

struct Bench {
    logs: Logs,
    backends: Backends,
    clock: Arc<ManualClock>,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at_ms(START_MS));
        let backends = Backends {
            records: Arc::new(MemoryRecords::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            streams: Arc::new(MemoryStreams::new()),
            clock: clock.clone(),
        };
        Self { logs: Logs::new(backends.clone()), backends, clock }
    }

    async fn with_events(stream: &str, offsets: &[i64]) -> Self {
        let bench = Self::new();
        bench.put(stream, offsets).await;
        bench
    }

    /// Events named after their offset from the start, in milliseconds.
    async fn put(&self, stream: &str, offsets: &[i64]) {
        self.logs.ensure_stream(GROUP, stream).await.unwrap();
        let events = offsets.iter().map(|offset| LogEvent {
            timestamp_ms: START_MS + offset,
            message: format!("event {offset}"),
        });
        let put = self.logs.put_events(GROUP, stream, events.collect()).await.unwrap();
        assert_eq!(put, Put::Stored);
    }

    async fn get(&self, stream: &str, query: GetQuery) -> (Vec<i64>, u64, u64) {
        let page = self.logs.get_events(GROUP, stream, query).await.unwrap();
        let offsets = page.events.iter().map(|event| event.timestamp_ms - START_MS);
        (offsets.collect(), page.forward, page.backward)
    }

    async fn filter(&self, query: FilterQuery) -> (Vec<(String, i64)>, Option<events::Mark>) {
        let page = self.logs.filter_events(GROUP, query).await.unwrap();
        let found = page
            .events
            .into_iter()
            .map(|found| (found.stream, found.event.timestamp_ms - START_MS));
        (found.collect(), page.next)
    }
}

fn query() -> GetQuery {
    GetQuery { start_ms: None, end_ms: None, position: None, from_head: true, limit: 100 }
}

fn search() -> FilterQuery {
    FilterQuery {
        stream_names: None,
        stream_prefix: String::new(),
        start_ms: None,
        end_ms: None,
        pattern: Pattern::default(),
        after: None,
        limit: 100,
    }
}

#[tokio::test]
async fn reading_on_from_the_token_misses_nothing() {
    let bench = Bench::with_events("s", &[1, 2, 3]).await;
    let (events, forward, _) = bench.get("s", GetQuery { limit: 2, ..query() }).await;
    assert_eq!(events, [1, 2]);
    let next = |forward| GetQuery { position: Some(Position::Forward(forward)), ..query() };
    let (events, forward, _) = bench.get("s", next(forward)).await;
    assert_eq!(events, [3]);
    let (events, repeated, _) = bench.get("s", next(forward)).await;
    assert_eq!((events, repeated), (vec![], forward));
    bench.put("s", &[4]).await;
    let (events, ..) = bench.get("s", next(forward)).await;
    assert_eq!(events, [4]);
}

#[tokio::test]
async fn without_a_token_the_latest_events_come_and_paging_goes_back() {
    let bench = Bench::with_events("s", &[1, 2, 3, 4, 5]).await;
    let tail = GetQuery { from_head: false, limit: 2, ..query() };
    let (events, forward, backward) = bench.get("s", tail).await;
    assert_eq!((events, forward, backward), (vec![4, 5], 5, 3));
    let back = |backward| GetQuery { position: Some(Position::Backward(backward)), ..tail };
    let (events, _, backward) = bench.get("s", back(backward)).await;
    assert_eq!(events, [2, 3]);
    let (events, _, backward) = bench.get("s", back(backward)).await;
    assert_eq!(events, [1]);
    assert_eq!(bench.get("s", back(backward)).await, (vec![], 0, 0));
}

#[tokio::test]
async fn times_are_inclusive_at_the_start_and_exclusive_at_the_end() {
    let bench = Bench::with_events("s", &[1, 2, 2, 3]).await;
    let (start_ms, end_ms) = (Some(START_MS + 2), Some(START_MS + 3));
    let (events, ..) = bench.get("s", GetQuery { start_ms, end_ms, ..query() }).await;
    assert_eq!(events, [2, 2]);
}

#[tokio::test]
async fn a_page_has_a_bound_in_bytes() {
    let bench = Bench::new();
    bench.logs.ensure_stream(GROUP, "s").await.unwrap();
    for _ in 0..3 {
        let event = LogEvent { timestamp_ms: START_MS, message: "x".repeat(500_000) };
        bench.logs.put_events(GROUP, "s", vec![event]).await.unwrap();
    }
    assert_eq!(bench.get("s", query()).await.0.len(), 2);
}

#[tokio::test]
async fn a_search_goes_over_streams_in_the_order_of_time() {
    let bench = Bench::with_events("a", &[1, 4, 2]).await;
    bench.put("b", &[0, 3, 5]).await;
    bench.put("other", &[2]).await;
    let names = Some(vec!["a".to_owned(), "b".to_owned()]);
    let whole = FilterQuery { stream_names: names, ..search() };
    let (all, next) = bench.filter(whole.clone()).await;
    let at = |stream: &str, offset| (stream.to_owned(), offset);
    let expected = [at("b", 0), at("a", 1), at("b", 3), at("a", 4), at("a", 2), at("b", 5)];
    assert_eq!((all, next), (expected.to_vec(), None));
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = bench.filter(FilterQuery { after, limit: 2, ..whole.clone() }).await;
        assert!(page.len() <= 2);
        paged.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, expected);
}

#[tokio::test]
async fn a_search_takes_a_prefix_a_time_and_a_pattern() {
    let bench = Bench::with_events("job/algo-1", &[1, 2, 3]).await;
    bench.put("other", &[2]).await;
    let query = FilterQuery {
        stream_prefix: "job/".into(),
        start_ms: Some(START_MS + 2),
        end_ms: Some(START_MS + 3),
        pattern: Pattern::parse("3").unwrap(),
        ..search()
    };
    assert_eq!(bench.filter(query).await.0, [("job/algo-1".to_owned(), 3)]);
}

#[tokio::test]
async fn a_stream_has_a_size_bound_and_says_when_it_was_reached() {
    let bench = Bench::new();
    bench.logs.ensure_stream(GROUP, "s").await.unwrap();
    let event = LogEvent { timestamp_ms: START_MS, message: "x".repeat(1_000_000) };
    let mut stored = 0;
    while bench.logs.put_events(GROUP, "s", vec![event.clone(); 16]).await.unwrap() == Put::Stored {
        stored += 16;
    }
    assert_eq!(bench.logs.put_events(GROUP, "s", vec![event]).await.unwrap(), Put::Full);
    let rest = bench.logs.read_all_from(GROUP, "s", stored, 10).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(rest[0].message.contains("reached its limit of 256 MiB"));
}

#[tokio::test]
async fn events_past_retention_are_hidden_and_then_thrown_away() {
    let bench = Bench::with_events("old", &[1]).await;
    bench.logs.put_retention(GROUP, Some(1)).await.unwrap();
    bench.clock.advance_ms(2 * retention::DAY_MS);
    bench.put("new", &[2 * retention::DAY_MS]).await;
    assert!(bench.get("old", query()).await.0.is_empty());
    assert_eq!(bench.filter(search()).await.0.len(), 1);
    let before = bench.logs.stored_bytes(GROUP).await.unwrap();
    bench.logs.sweep().await.unwrap();
    bench.logs.sweep().await.unwrap();
    assert!(bench.logs.stored_bytes(GROUP).await.unwrap() < before);
    bench.put("old", &[2 * retention::DAY_MS]).await;
    assert_eq!(bench.get("old", query()).await.0.len(), 1);
    assert_eq!(bench.get("new", query()).await.0.len(), 1);
    // A reader of the events that are gone sees those that came after them.
    let before = GetQuery { position: Some(Position::Forward(7)), ..query() };
    assert_eq!(bench.get("old", before).await.0.len(), 1);
}

#[tokio::test]
async fn logs_are_there_for_the_next_server() {
    let bench = Bench::with_events("s", &[1]).await;
    let logs = Logs::new(bench.backends.clone());
    let events = logs.read_all_from(GROUP, "s", 0, 10).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].ingestion_ms, START_MS);
}

#[tokio::test]
async fn absence_and_presence_are_told_apart() {
    let bench = Bench::new();
    let logs = &bench.logs;
    let event = || vec![LogEvent { timestamp_ms: START_MS, message: "x".into() }];
    assert!(matches!(logs.put_events("g", "s", event()).await, Err(Error::GroupAbsent(_))));
    assert!(matches!(logs.create_stream("g", "s").await, Err(Error::GroupAbsent(_))));
    assert!(matches!(logs.get_events("g", "s", query()).await, Err(Error::GroupAbsent(_))));
    assert!(matches!(logs.put_retention("g", None).await, Err(Error::GroupAbsent(_))));
    logs.create_group("g").await.unwrap();
    assert!(matches!(logs.create_group("g").await, Err(Error::GroupExists(_))));
    assert!(matches!(logs.put_events("g", "s", event()).await, Err(Error::StreamAbsent(_))));
    assert!(matches!(logs.get_events("g", "s", query()).await, Err(Error::StreamAbsent(_))));
    logs.create_stream("g", "s").await.unwrap();
    assert!(matches!(logs.create_stream("g", "s").await, Err(Error::StreamExists(_))));
    logs.ensure_stream("g", "s").await.unwrap();
    assert!(matches!(logs.create_group("a:b").await, Err(Error::BadName(_))));
    assert_eq!(logs.read_all_from("g", "absent", 0, 1).await.unwrap(), []);
    logs.delete_stream("g", "s").await.unwrap();
    assert!(matches!(logs.delete_stream("g", "s").await, Err(Error::StreamAbsent(_))));
}

#[tokio::test]
async fn a_deleted_group_takes_its_streams_and_events_along() {
    let bench = Bench::with_events("s", &[1]).await;
    bench.logs.delete_group(GROUP).await.unwrap();
    assert!(matches!(bench.logs.delete_group(GROUP).await, Err(Error::GroupAbsent(_))));
    bench.logs.ensure_stream(GROUP, "s").await.unwrap();
    assert!(bench.get("s", query()).await.0.is_empty());
}

#[tokio::test]
async fn groups_do_not_see_each_others_streams() {
    let bench = Bench::with_events("s", &[1]).await;
    bench.logs.create_group(&format!("{GROUP}2")).await.unwrap();
    bench.logs.create_stream(&format!("{GROUP}2"), "t").await.unwrap();
    let names: Vec<String> =
        bench.logs.streams(GROUP, "").await.unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["s"]);
    assert_eq!(bench.logs.groups("", None, 10).await.unwrap().len(), 2);
    let extent = bench.logs.extent(GROUP, "s").await.unwrap().unwrap();
    assert_eq!((extent.first_event_ms, extent.last_event_ms), (START_MS + 1, START_MS + 1));
}

//! Events: put, read on from a position, and searched over the streams of a group.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use bytes::Bytes;
use kennel_store::{Append, Entry, Expect};

use super::{Error, Extent, Logs, Pattern, StreamRecord, put_stream};
use crate::limits;

/// An event to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    pub timestamp_ms: i64,
    pub message: String,
}

/// A stored event. `sequence` starts at 0 and grows by one an event of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequencedEvent {
    pub sequence: u64,
    pub timestamp_ms: i64,
    pub ingestion_ms: i64,
    pub message: String,
}

/// What became of the events of one put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// The stream has reached its size bound; nothing was stored, and its last line says so.
    Full,
}

/// Where a reader goes on: before or at the event of this sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Forward(u64),
    Backward(u64),
}

/// A page of one stream.
#[derive(Debug, Clone, Copy)]
pub struct GetQuery {
    /// Inclusive.
    pub start_ms: Option<i64>,
    /// Exclusive.
    pub end_ms: Option<i64>,
    /// `None`: from the stream's head if `from_head`, else its latest events.
    pub position: Option<Position>,
    pub from_head: bool,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub events: Vec<SequencedEvent>,
    /// Where the reader goes on forward and backward; for an empty page, where it was.
    pub forward: u64,
    pub backward: u64,
}

/// A page of several streams of one group, in the order of time.
#[derive(Debug, Clone)]
pub struct FilterQuery {
    /// Exactly these, or else those whose name has the prefix.
    pub stream_names: Option<Vec<String>>,
    pub stream_prefix: String,
    /// Both inclusive.
    pub start_ms: Option<i64>,
    pub end_ms: Option<i64>,
    pub pattern: Pattern,
    /// The last event of the page before.
    pub after: Option<Mark>,
    pub limit: usize,
}

/// An event's place among those of all streams: the latest time seen in its stream so far (which
/// never falls, unlike the times of events), its stream, its sequence number.
pub type Mark = (i64, String, u64);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilteredEvent {
    pub stream: String,
    pub event: SequencedEvent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilteredPage {
    pub events: Vec<FilteredEvent>,
    /// `None` at the end.
    pub next: Option<Mark>,
}

impl Logs {
    /// Stores events in the order given. Written when this returns, on disk within a second.
    pub async fn put_events(
        &self,
        group: &str,
        stream: &str,
        events: Vec<LogEvent>,
    ) -> Result<Put, Error> {
        let absent = || Error::StreamAbsent(stream.to_owned());
        let (record, revision) = match self.stream_record(group, stream).await? {
            Some(found) => found,
            None => {
                self.group(group).await?;
                return Err(absent());
            }
        };
        if record.full {
            return Ok(Put::Full);
        }
        let now_ms = self.clock.now_ms();
        let appends: Vec<Append> = events.iter().map(|event| to_append(event, now_ms)).collect();
        let size: u64 = appends.iter().map(|append| append.body.len() as u64).sum();
        let held = self.streams.size_bytes(&record.id).await?;
        if held.saturating_add(size) > limits::LOG_STREAM_BYTES_MAX {
            self.close_full(group, record, revision, now_ms).await?;
            return Ok(Put::Full);
        }
        self.streams.append(&record.id, appends.clone()).await?;
        // The stream may have been deleted, or its events thrown away, while this was written.
        match self.stream_record(group, stream).await? {
            Some((now, _)) if now.id == record.id => Ok(Put::Stored),
            Some((now, _)) => {
                self.streams.append(&now.id, appends).await?;
                Ok(Put::Stored)
            }
            None => {
                self.streams.delete(&record.id).await?;
                Err(absent())
            }
        }
    }

    /// Events from `sequence` on, at most `limit`; none where the stream is absent.
    pub async fn read_all_from(
        &self,
        group: &str,
        stream: &str,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<SequencedEvent>, Error> {
        let Some((record, _)) = self.stream_record(group, stream).await? else {
            return Ok(Vec::new());
        };
        let entries = self.streams.read(&record.id, sequence, limit).await?;
        Ok(entries.into_iter().map(from_entry).collect())
    }

    /// A page of one stream, in the order in which its events came.
    pub async fn get_events(
        &self,
        group: &str,
        stream: &str,
        mut query: GetQuery,
    ) -> Result<Page, Error> {
        let kept_from_ms = self.kept_from_ms(group).await?;
        query.start_ms = query.start_ms.max(kept_from_ms);
        let (record, _) = self
            .stream_record(group, stream)
            .await?
            .ok_or_else(|| Error::StreamAbsent(stream.to_owned()))?;
        let end = self.streams.end(&record.id).await?;
        match query.position {
            // Beyond the end lies the place of a reader from before retention emptied the stream.
            Some(Position::Forward(from)) if from > end => self.forward(&record.id, 0, query).await,
            Some(Position::Forward(from)) => self.forward(&record.id, from, query).await,
            Some(Position::Backward(until)) => {
                self.backward(&record.id, until.min(end), query).await
            }
            None if query.from_head => self.forward(&record.id, 0, query).await,
            None => self.backward(&record.id, end, query).await,
        }
    }

    /// A page of a group's streams, in the order of time.
    pub async fn filter_events(
        &self,
        group: &str,
        mut query: FilterQuery,
    ) -> Result<FilteredPage, Error> {
        let kept_from_ms = self.kept_from_ms(group).await?;
        query.start_ms = query.start_ms.max(kept_from_ms);
        let records = self.filtered_streams(group, &query).await?;
        let mut merge = Merge::default();
        for record in records {
            merge.add(self, Cursor::new(record)).await?;
        }
        let mut page = FilteredPage { events: Vec::new(), next: None };
        let mut bytes = 0;
        let mut last: Option<Mark> = None;
        while let Some((mark, event)) = merge.next(self).await? {
            if query.after.as_ref().is_some_and(|after| mark <= *after) || !query.wants(&event) {
                continue;
            }
            bytes += event.message.len() + limits::LOG_EVENT_OVERHEAD_BYTES;
            let is_full = page.events.len() == query.limit || bytes > limits::LOG_PAGE_BYTES_MAX;
            if is_full && !page.events.is_empty() {
                page.next = last;
                break;
            }
            page.events.push(FilteredEvent { stream: mark.1.clone(), event });
            last = Some(mark);
        }
        Ok(page)
    }

    pub(super) async fn extent_of(&self, id: &str) -> Result<Option<Extent>, Error> {
        let end = self.streams.end(id).await?;
        let Some(last) = end.checked_sub(1) else { return Ok(None) };
        let first = self.streams.read(id, 0, 1).await?.pop().map(from_entry);
        let last = self.streams.read(id, last, 1).await?.pop().map(from_entry);
        let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
        Ok(Some(Extent {
            first_event_ms: first.timestamp_ms,
            last_event_ms: last.timestamp_ms,
            last_ingestion_ms: last.ingestion_ms,
        }))
    }

    /// Earlier events are past the group's retention: hidden from readers, whether or not they
    /// are thrown away yet.
    async fn kept_from_ms(&self, group: &str) -> Result<Option<i64>, Error> {
        let days = self.group(group).await?.retention_days;
        Ok(days.map(|days| self.clock.now_ms() - i64::from(days) * super::retention::DAY_MS))
    }

    async fn filtered_streams(
        &self,
        group: &str,
        query: &FilterQuery,
    ) -> Result<Vec<StreamRecord>, Error> {
        let Some(names) = &query.stream_names else {
            return self.stream_records(group, &query.stream_prefix).await;
        };
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            let record = self.stream_record(group, name).await?;
            records.push(record.ok_or_else(|| Error::StreamAbsent(name.clone()))?.0);
        }
        Ok(records)
    }

    /// Only the put that records that the stream is full writes its last line.
    async fn close_full(
        &self,
        group: &str,
        mut record: StreamRecord,
        revision: kennel_store::Revision,
        now_ms: i64,
    ) -> Result<(), Error> {
        record.full = true;
        let put = put_stream(group, &record, Expect::Revision(revision))?;
        match self.records.commit(vec![put]).await {
            Err(kennel_store::records::Error::Conflict { .. }) => return Ok(()),
            result => result?,
        };
        let message = format!(
            "This log stream reached its limit of {} MiB here; later events are not kept.",
            limits::LOG_STREAM_BYTES_MAX / (1024 * 1024)
        );
        let event = LogEvent { timestamp_ms: now_ms, message };
        self.streams.append(&record.id, vec![to_append(&event, now_ms)]).await?;
        Ok(())
    }

    async fn forward(&self, id: &str, from: u64, query: GetQuery) -> Result<Page, Error> {
        let mut page = Filling::new(query);
        let mut at = from;
        'pages: loop {
            let entries = self.streams.read(id, at, limits::LOG_READ_ENTRIES).await?;
            let Some(last) = entries.last() else { break };
            at = last.sequence + 1;
            for entry in entries {
                if !page.offer(from_entry(entry)) {
                    break 'pages;
                }
            }
        }
        Ok(page.finish(from))
    }

    async fn backward(&self, id: &str, until: u64, query: GetQuery) -> Result<Page, Error> {
        let mut page = Filling::new(query);
        let mut at = until;
        'pages: while at > 0 {
            let from = at.saturating_sub(limits::LOG_READ_ENTRIES as u64);
            let mut entries = Vec::new();
            // A read may end early where its entries are large.
            let mut next = from;
            while next < at {
                let wanted = usize::try_from(at - next).unwrap_or(limits::LOG_READ_ENTRIES);
                let read = self.streams.read(id, next, wanted).await?;
                let Some(last) = read.last() else { break };
                next = last.sequence + 1;
                entries.extend(read);
            }
            for entry in entries.into_iter().rev() {
                if !page.offer(from_entry(entry)) {
                    break 'pages;
                }
            }
            at = from;
        }
        page.events.reverse();
        Ok(page.finish(until))
    }
}

impl FilterQuery {
    fn wants(&self, event: &SequencedEvent) -> bool {
        self.start_ms.is_none_or(|start| event.timestamp_ms >= start)
            && self.end_ms.is_none_or(|end| event.timestamp_ms <= end)
            && self.pattern.matches(&event.message)
    }
}

/// A page as it fills up.
struct Filling {
    query: GetQuery,
    events: Vec<SequencedEvent>,
    bytes: usize,
}

impl Filling {
    fn new(query: GetQuery) -> Self {
        Self { query, events: Vec::new(), bytes: 0 }
    }

    /// `false` once the page is full, with the event left out.
    fn offer(&mut self, event: SequencedEvent) -> bool {
        let in_time = self.query.start_ms.is_none_or(|start| event.timestamp_ms >= start)
            && self.query.end_ms.is_none_or(|end| event.timestamp_ms < end);
        if !in_time {
            return true;
        }
        self.bytes += event.message.len() + limits::LOG_EVENT_OVERHEAD_BYTES;
        let is_full =
            self.events.len() == self.query.limit || self.bytes > limits::LOG_PAGE_BYTES_MAX;
        if is_full && !self.events.is_empty() {
            return false;
        }
        self.events.push(event);
        true
    }

    fn finish(self, asked: u64) -> Page {
        let forward = self.events.last().map_or(asked, |event| event.sequence + 1);
        let backward = self.events.first().map_or(asked, |event| event.sequence);
        Page { events: self.events, forward, backward }
    }
}

/// One stream of a merge, read a piece at a time.
struct Cursor {
    record: StreamRecord,
    next_sequence: u64,
    latest_ms: i64,
    read: VecDeque<Entry>,
}

impl Cursor {
    fn new(record: StreamRecord) -> Self {
        Self { record, next_sequence: 0, latest_ms: i64::MIN, read: VecDeque::new() }
    }

    async fn next(&mut self, logs: &Logs) -> Result<Option<(Mark, SequencedEvent)>, Error> {
        if self.read.is_empty() {
            let count = limits::LOG_MERGE_ENTRIES;
            self.read = logs.streams.read(&self.record.id, self.next_sequence, count).await?.into();
        }
        let Some(entry) = self.read.pop_front() else { return Ok(None) };
        let event = from_entry(entry);
        self.next_sequence = event.sequence + 1;
        self.latest_ms = self.latest_ms.max(event.timestamp_ms);
        Ok(Some(((self.latest_ms, self.record.name.clone(), event.sequence), event)))
    }
}

/// The streams of a search, the one whose next event is earliest on top.
#[derive(Default)]
struct Merge {
    cursors: Vec<Cursor>,
    heads: BinaryHeap<Reverse<Head>>,
}

struct Head {
    mark: Mark,
    event: SequencedEvent,
    cursor: usize,
}

impl Merge {
    async fn add(&mut self, logs: &Logs, mut cursor: Cursor) -> Result<(), Error> {
        if let Some((mark, event)) = cursor.next(logs).await? {
            self.heads.push(Reverse(Head { mark, event, cursor: self.cursors.len() }));
            self.cursors.push(cursor);
        }
        Ok(())
    }

    async fn next(&mut self, logs: &Logs) -> Result<Option<(Mark, SequencedEvent)>, Error> {
        let Some(Reverse(head)) = self.heads.pop() else { return Ok(None) };
        if let Some(cursor) = self.cursors.get_mut(head.cursor)
            && let Some((mark, event)) = cursor.next(logs).await?
        {
            self.heads.push(Reverse(Head { mark, event, cursor: head.cursor }));
        }
        Ok(Some((head.mark, head.event)))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.mark == other.mark
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.mark.cmp(&other.mark)
    }
}

/// An entry's body is the time of ingestion (8 bytes, little-endian) and the message.
fn to_append(event: &LogEvent, now_ms: i64) -> Append {
    let mut body = Vec::with_capacity(8 + event.message.len());
    body.extend(now_ms.to_le_bytes());
    body.extend(event.message.as_bytes());
    Append { timestamp_ms: event.timestamp_ms, body: Bytes::from(body) }
}

fn from_entry(entry: Entry) -> SequencedEvent {
    let Entry { sequence, timestamp_ms, body } = entry;
    let (ingestion, message) = body.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    SequencedEvent {
        sequence,
        timestamp_ms,
        ingestion_ms: i64::from_le_bytes(*ingestion),
        message: String::from_utf8_lossy(message).into_owned(),
    }
}

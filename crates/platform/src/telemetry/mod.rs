//! Log groups, log streams and their events.
//!
//! A group and a stream are records; a stream's events lie in a `Streams` stream of a random id
//! that the record names. Nothing about a single event is a record, so that a line costs no sync
//! of the disk. Events keep the order in which they came: a reader who goes on where it stopped
//! misses none.

mod events;
mod pattern;
mod retention;

use std::sync::Arc;

use kennel_store::{Expect, Record, Records, Streams, Write, records, streams};
use serde::{Deserialize, Serialize};

use crate::{Backends, Clock, limits};

pub use events::{
    FilterQuery, FilteredEvent, FilteredPage, GetQuery, LogEvent, Mark, Page, Position,
};
pub use events::{Put, SequencedEvent};
pub use pattern::{Pattern, PatternError};

/// Groups by name.
pub const GROUPS: &str = "log-groups";

/// Streams by group, `:` and name; neither name may hold a colon.
pub const STREAMS: &str = "log-streams";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no log group `{0}`")]
    GroupAbsent(String),
    #[error("no log stream `{0}`")]
    StreamAbsent(String),
    #[error("log group `{0}` exists")]
    GroupExists(String),
    #[error("log stream `{0}` exists")]
    StreamExists(String),
    #[error("`{0}` is no name for a log group or stream")]
    BadName(String),
    #[error("the log group has {} streams, as many as it may", limits::LOG_STREAMS_OF_A_GROUP_MAX)]
    TooManyStreams,
    #[error("no random numbers are to be had")]
    Random(#[source] getrandom::Error),
    #[error("a log record cannot be read")]
    Corrupt(#[source] serde_json::Error),
    #[error("log groups cannot be recorded")]
    Records(#[from] records::Error),
    #[error("log events cannot be stored")]
    Streams(#[from] streams::Error),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub created_at_ms: i64,
    pub retention_days: Option<u32>,
}

/// What DescribeLogStreams tells of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stream {
    pub name: String,
    pub created_at_ms: i64,
}

/// When a stream's events were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub first_event_ms: i64,
    pub last_event_ms: i64,
    pub last_ingestion_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StreamRecord {
    name: String,
    /// Where the events are; changes when retention threw all of them away.
    id: String,
    created_at_ms: i64,
    /// The size bound was reached and the last line says so.
    full: bool,
}

pub struct Logs {
    records: Arc<dyn Records>,
    streams: Arc<dyn Streams>,
    clock: Arc<dyn Clock>,
}

impl Logs {
    pub fn new(backends: Backends) -> Self {
        Self { records: backends.records, streams: backends.streams, clock: backends.clock }
    }

    pub async fn create_group(&self, name: &str) -> Result<(), Error> {
        check_name(name)?;
        let group = Group {
            name: name.to_owned(),
            created_at_ms: self.clock.now_ms(),
            retention_days: None,
        };
        let put = put_group(&group, Expect::Absent)?;
        self.records.commit(vec![put]).await.map(|_| ()).map_err(|error| match error {
            records::Error::Conflict { .. } => Error::GroupExists(name.to_owned()),
            error => error.into(),
        })
    }

    /// `None` keeps events for ever.
    pub async fn put_retention(&self, name: &str, days: Option<u32>) -> Result<(), Error> {
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let (mut group, revision) = self.group_with_revision(name).await?;
            group.retention_days = days;
            let put = put_group(&group, Expect::Revision(revision))?;
            match self.records.commit(vec![put]).await {
                Err(records::Error::Conflict { .. }) => continue,
                result => return result.map(|_| ()).map_err(Into::into),
            }
        }
        Err(conflict(GROUPS, name))
    }

    pub async fn create_stream(&self, group: &str, stream: &str) -> Result<(), Error> {
        check_name(stream)?;
        for _ in 0..limits::COMMIT_ATTEMPTS_MAX {
            let (_, revision) = self.group_with_revision(group).await?;
            if self.stream_record(group, stream).await?.is_some() {
                return Err(Error::StreamExists(stream.to_owned()));
            }
            self.check_stream_count(group).await?;
            let check = Write::Check {
                table: GROUPS,
                key: group.to_owned(),
                expect: Expect::Revision(revision),
            };
            let record = self.new_stream_record(stream)?;
            let put = put_stream(group, &record, Expect::Absent)?;
            match self.records.commit(vec![check, put]).await {
                Err(records::Error::Conflict { .. }) => continue,
                result => return result.map(|_| ()).map_err(Into::into),
            }
        }
        Err(conflict(STREAMS, stream))
    }

    /// Makes the stream, and its group, where they are absent. Idempotent.
    pub async fn ensure_stream(&self, group: &str, stream: &str) -> Result<(), Error> {
        if self.stream_record(group, stream).await?.is_some() {
            return Ok(());
        }
        match self.create_group(group).await {
            Ok(()) | Err(Error::GroupExists(_)) => {}
            Err(error) => return Err(error),
        }
        match self.create_stream(group, stream).await {
            Ok(()) | Err(Error::StreamExists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub async fn delete_stream(&self, group: &str, stream: &str) -> Result<(), Error> {
        self.group(group).await?;
        let (record, _) = self
            .stream_record(group, stream)
            .await?
            .ok_or_else(|| Error::StreamAbsent(stream.to_owned()))?;
        self.delete_records(&[record.id], vec![delete(STREAMS, stream_key(group, stream))]).await
    }

    pub async fn delete_group(&self, name: &str) -> Result<(), Error> {
        self.group(name).await?;
        let streams = self.stream_records(name, "").await?;
        let ids: Vec<String> = streams.iter().map(|record| record.id.clone()).collect();
        let key = |record: &StreamRecord| stream_key(name, &record.name);
        let mut writes: Vec<Write> =
            streams.iter().map(|record| delete(STREAMS, key(record))).collect();
        writes.push(delete(GROUPS, name.to_owned()));
        self.delete_records(&ids, writes).await
    }

    pub async fn group(&self, name: &str) -> Result<Group, Error> {
        self.group_with_revision(name).await.map(|(group, _)| group)
    }

    /// In the order of their names, those after `after` only.
    pub async fn groups(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Group>, Error> {
        let page = self.records.list(GROUPS, prefix, after, limit).await?;
        page.iter().map(read_record).collect()
    }

    /// Bytes that the events of a group take.
    pub async fn stored_bytes(&self, group: &str) -> Result<u64, Error> {
        let mut total = 0;
        for record in self.stream_records(group, "").await? {
            total += self.streams.size_bytes(&record.id).await?;
        }
        Ok(total)
    }

    /// The streams of a group in the order of their names; [`Logs::extent`] tells when their
    /// events were.
    pub async fn streams(&self, group: &str, prefix: &str) -> Result<Vec<Stream>, Error> {
        self.group(group).await?;
        let records = self.stream_records(group, prefix).await?;
        Ok(records
            .into_iter()
            .map(|record| Stream { name: record.name, created_at_ms: record.created_at_ms })
            .collect())
    }

    /// When the events of a stream were; `None` where there are none.
    pub async fn extent(&self, group: &str, stream: &str) -> Result<Option<Extent>, Error> {
        let Some((record, _)) = self.stream_record(group, stream).await? else { return Ok(None) };
        self.extent_of(&record.id).await
    }

    async fn group_with_revision(
        &self,
        name: &str,
    ) -> Result<(Group, kennel_store::Revision), Error> {
        let record = self.records.get(GROUPS, name).await?;
        let record = record.ok_or_else(|| Error::GroupAbsent(name.to_owned()))?;
        Ok((read_record(&record)?, record.revision))
    }

    async fn stream_record(
        &self,
        group: &str,
        stream: &str,
    ) -> Result<Option<(StreamRecord, kennel_store::Revision)>, Error> {
        let record = self.records.get(STREAMS, &stream_key(group, stream)).await?;
        record.map(|record| Ok((read_record(&record)?, record.revision))).transpose()
    }

    async fn stream_records(&self, group: &str, prefix: &str) -> Result<Vec<StreamRecord>, Error> {
        let prefix = stream_key(group, prefix);
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        while found.len() < limits::LOG_STREAMS_OF_A_GROUP_MAX {
            let page =
                self.records.list(STREAMS, &prefix, after.as_deref(), limits::SCAN_RECORDS).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for record in &page {
                found.push(read_record(record)?);
            }
        }
        Ok(found)
    }

    async fn check_stream_count(&self, group: &str) -> Result<(), Error> {
        let limit = limits::LOG_STREAMS_OF_A_GROUP_MAX;
        let full = self.records.list(STREAMS, &stream_key(group, ""), None, limit).await?;
        if full.len() < limit { Ok(()) } else { Err(Error::TooManyStreams) }
    }

    fn new_stream_record(&self, stream: &str) -> Result<StreamRecord, Error> {
        Ok(StreamRecord {
            name: stream.to_owned(),
            id: random_id()?,
            created_at_ms: self.clock.now_ms(),
            full: false,
        })
    }

    /// The events first, so that a kill in between leaves records that can be deleted again, and
    /// the events once more for what was written in between.
    async fn delete_records(&self, ids: &[String], writes: Vec<Write>) -> Result<(), Error> {
        for id in ids {
            self.streams.delete(id).await?;
        }
        self.records.commit(writes).await?;
        for id in ids {
            self.streams.delete(id).await?;
        }
        Ok(())
    }
}

fn stream_key(group: &str, stream: &str) -> String {
    format!("{group}:{stream}")
}

fn check_name(name: &str) -> Result<(), Error> {
    let fits = (1..=512).contains(&name.chars().count()) && !name.contains([':', '*', '\0']);
    if fits { Ok(()) } else { Err(Error::BadName(name.to_owned())) }
}

fn put_group(group: &Group, expect: Expect) -> Result<Write, Error> {
    let value = serde_json::to_vec(group).map_err(Error::Corrupt)?;
    Ok(Write::Put { table: GROUPS, key: group.name.clone(), value, expect })
}

fn put_stream(group: &str, record: &StreamRecord, expect: Expect) -> Result<Write, Error> {
    let value = serde_json::to_vec(record).map_err(Error::Corrupt)?;
    Ok(Write::Put { table: STREAMS, key: stream_key(group, &record.name), value, expect })
}

fn delete(table: &'static str, key: String) -> Write {
    Write::Delete { table, key, expect: Expect::Any }
}

fn conflict(table: &'static str, key: &str) -> Error {
    Error::Records(records::Error::Conflict { table, key: key.to_owned() })
}

fn read_record<T: serde::de::DeserializeOwned>(record: &Record) -> Result<T, Error> {
    serde_json::from_slice(&record.value).map_err(Error::Corrupt)
}

fn random_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(Error::Random)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests;

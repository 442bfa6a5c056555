//! Throws away the events of streams that are past their group's retention.

use std::sync::Arc;

use kennel_store::Expect;
use tokio_util::sync::CancellationToken;

use super::{Error, Group, Logs, StreamRecord, put_stream, random_id};
use crate::limits;

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Logs {
    /// Sweeps until `shutdown`. Reading hides what is past retention already; this frees the disk.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        loop {
            if let Err(error) = self.sweep().await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "logs past their retention stay for now");
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(limits::LOG_SWEEP_TICK) => {}
            }
        }
    }

    /// One pass over everything. Can be killed anywhere and run again.
    pub async fn sweep(&self) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let groups = self.groups("", after.as_deref(), limits::SCAN_RECORDS).await?;
            let Some(last) = groups.last() else { return Ok(()) };
            after = Some(last.name.clone());
            for group in &groups {
                self.sweep_group(group).await?;
            }
        }
    }

    async fn sweep_group(&self, group: &Group) -> Result<(), Error> {
        let Some(days) = group.retention_days else { return Ok(()) };
        let kept_from_ms = self.clock.now_ms() - i64::from(days) * DAY_MS;
        for record in self.stream_records(&group.name, "").await? {
            let Some(extent) = self.extent_of(&record.id).await? else { continue };
            // Events may be older than their arrival; a stream that is still written to stays.
            if extent.last_event_ms < kept_from_ms && extent.last_ingestion_ms < kept_from_ms {
                self.empty(&group.name, &record.name).await?;
            }
        }
        Ok(())
    }

    /// The record names another, empty stream first. An event put meanwhile goes there too.
    async fn empty(&self, group: &str, stream: &str) -> Result<(), Error> {
        let Some((record, revision)) = self.stream_record(group, stream).await? else {
            return Ok(());
        };
        let emptied = StreamRecord { id: random_id()?, full: false, ..record.clone() };
        let put = put_stream(group, &emptied, Expect::Revision(revision))?;
        match self.records.commit(vec![put]).await {
            Err(kennel_store::records::Error::Conflict { .. }) => return Ok(()),
            result => result?,
        };
        self.streams.delete(&record.id).await?;
        Ok(())
    }
}

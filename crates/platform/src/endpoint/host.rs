//! What an endpoint's replicas stand on: runs and their log. A seam, so that reconciling is tested
//! against scripted runs.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Clock;
use crate::runs::{self, Run, Runs, StartRun, Started};
use crate::telemetry::{LogEvent, Logs};

#[async_trait]
pub(super) trait Host: Send + Sync + 'static {
    /// What a run may have at most.
    fn machine(&self) -> Machine;

    /// Idempotent by run id.
    async fn start(&self, start: StartRun) -> Result<Started, runs::Error>;

    async fn get(&self, run_id: &str) -> Result<Option<Run>, runs::Error>;

    /// Idempotent; so are the next two.
    async fn stop(&self, run_id: &str, grace_secs: u64) -> Result<(), runs::Error>;

    async fn abandon(&self, run_id: &str) -> Result<(), runs::Error>;

    async fn forget(&self, run_id: &str) -> Result<(), runs::Error>;

    /// Where the workload of the run answers.
    fn http_socket(&self, run_id: &str) -> PathBuf;

    /// Makes the replica's log, so that it is there before the replica says anything.
    async fn open_log(&self, group: &str, stream: &str);

    /// A sentence of the server's own in a replica's log. A log that cannot be written is told to
    /// the server's log and holds up nothing.
    async fn log(&self, group: &str, stream: &str, message: String);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    pub cpus: u32,
    pub memory_bytes: u64,
}

/// The platform's own components.
pub(super) struct Components {
    pub runs: Arc<Runs>,
    pub logs: Arc<Logs>,
    pub clock: Arc<dyn Clock>,
}

#[async_trait]
impl Host for Components {
    fn machine(&self) -> Machine {
        let capability = self.runs.capability();
        Machine { cpus: capability.cpus, memory_bytes: capability.memory_bytes }
    }

    async fn start(&self, start: StartRun) -> Result<Started, runs::Error> {
        self.runs.start(start).await
    }

    async fn get(&self, run_id: &str) -> Result<Option<Run>, runs::Error> {
        self.runs.get(run_id).await
    }

    async fn stop(&self, run_id: &str, grace_secs: u64) -> Result<(), runs::Error> {
        self.runs.stop(run_id, grace_secs).await
    }

    async fn abandon(&self, run_id: &str) -> Result<(), runs::Error> {
        self.runs.abandon(run_id).await
    }

    async fn forget(&self, run_id: &str) -> Result<(), runs::Error> {
        self.runs.forget(run_id).await
    }

    fn http_socket(&self, run_id: &str) -> PathBuf {
        self.runs.http_socket(run_id)
    }

    async fn open_log(&self, group: &str, stream: &str) {
        if let Err(error) = self.logs.ensure_stream(group, stream).await {
            tracing::warn!(group, stream, error = &error as &dyn std::error::Error, "no log");
        }
    }

    async fn log(&self, group: &str, stream: &str, message: String) {
        self.open_log(group, stream).await;
        let event = LogEvent { timestamp_ms: self.clock.now_ms(), message };
        if let Err(error) = self.logs.put_events(group, stream, vec![event]).await {
            tracing::warn!(group, stream, error = &error as &dyn std::error::Error, "no log line");
        }
    }
}

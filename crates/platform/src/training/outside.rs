//! Everything a training job does or asks outside of its own record.
//!
//! One seam, so that tests can break the reconciler between any two of its effects. Each effect
//! is idempotent: after a crash it is done again.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use kennel_wire::run::{LogTarget, Program, S3Object};

use crate::objects::{self, Objects};
use crate::runs::{self, Refused, Run, Runs, StartRun, Started};
use crate::telemetry::{LogEvent, Logs, SequencedEvent};

#[async_trait]
pub(super) trait Outside: Send + Sync + 'static {
    /// Whether this host could run the program; asked before a job is accepted.
    fn can_run(&self, program: &Program) -> Result<(), Refused>;

    /// What a run may have at most.
    fn host(&self) -> Host;

    /// Idempotent by run id. [`Error::Refused`] is final, other errors may pass.
    async fn start(&self, start: StartRun) -> Result<Started, Error>;

    async fn run(&self, run_id: &str) -> Result<Option<Run>, Error>;

    async fn stop(&self, run_id: &str, grace_secs: u64) -> Result<(), Error>;

    async fn abandon(&self, run_id: &str) -> Result<(), Error>;

    async fn forget(&self, run_id: &str) -> Result<(), Error>;

    async fn exists(&self, object: &S3Object) -> Result<bool, Error>;

    /// The first bytes of an object; `None` where there is none.
    async fn head_bytes(&self, object: &S3Object, bytes: u64) -> Result<Option<Vec<u8>>, Error>;

    /// Makes the stream, and writes the sentences where nothing was written yet.
    async fn announce(&self, log: &LogTarget, sentences: Vec<LogEvent>) -> Result<(), Error>;

    async fn read_log(
        &self,
        log: &LogTarget,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<SequencedEvent>, Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    pub cpus: u32,
    pub memory_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("this host cannot run the job")]
    Refused(#[source] Refused),
    #[error("{0} failed")]
    Failed(&'static str, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The platform's own components.
pub(super) struct Components {
    pub runs: Arc<Runs>,
    pub objects: Arc<Objects>,
    pub logs: Arc<Logs>,
}

#[async_trait]
impl Outside for Components {
    fn can_run(&self, program: &Program) -> Result<(), Refused> {
        self.runs.can_run(program)
    }

    fn host(&self) -> Host {
        let capability = self.runs.capability();
        Host { cpus: capability.cpus, memory_bytes: capability.memory_bytes }
    }

    async fn start(&self, start: StartRun) -> Result<Started, Error> {
        self.runs.start(start).await.map_err(|error| match error {
            runs::Error::Refused(refused) => Error::Refused(refused),
            other => failed("starting the run")(other),
        })
    }

    async fn run(&self, run_id: &str) -> Result<Option<Run>, Error> {
        self.runs.get(run_id).await.map_err(failed("reading the run"))
    }

    async fn stop(&self, run_id: &str, grace_secs: u64) -> Result<(), Error> {
        self.runs.stop(run_id, grace_secs).await.map_err(failed("stopping the run"))
    }

    async fn abandon(&self, run_id: &str) -> Result<(), Error> {
        self.runs.abandon(run_id).await.map_err(failed("abandoning the run"))
    }

    async fn forget(&self, run_id: &str) -> Result<(), Error> {
        self.runs.forget(run_id).await.map_err(failed("forgetting the run"))
    }

    async fn exists(&self, object: &S3Object) -> Result<bool, Error> {
        match self.objects.head(&object.bucket, &object.key).await {
            Ok(_) => Ok(true),
            Err(objects::Error::NoSuchBucket(_) | objects::Error::NoSuchKey(_)) => Ok(false),
            Err(other) => Err(failed("looking for the artifact")(other)),
        }
    }

    async fn head_bytes(&self, object: &S3Object, bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let download = match self.objects.open(&object.bucket, &object.key).await {
            Ok(download) => download,
            Err(objects::Error::NoSuchBucket(_) | objects::Error::NoSuchKey(_)) => return Ok(None),
            Err(other) => return Err(failed("reading the manifest")(other)),
        };
        let mut body = download.read(0..bytes).await.map_err(failed("reading the manifest"))?;
        let mut head = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|cause| Error::Failed("reading the manifest", cause))?;
            head.extend_from_slice(&chunk);
        }
        Ok(Some(head))
    }

    async fn announce(&self, log: &LogTarget, sentences: Vec<LogEvent>) -> Result<(), Error> {
        let failed = failed("writing the log");
        self.logs.ensure_stream(&log.group, &log.stream).await.map_err(&failed)?;
        let written =
            self.logs.read_all_from(&log.group, &log.stream, 0, 1).await.map_err(&failed)?;
        if written.is_empty() && !sentences.is_empty() {
            self.logs.put_events(&log.group, &log.stream, sentences).await.map_err(&failed)?;
        }
        Ok(())
    }

    async fn read_log(
        &self,
        log: &LogTarget,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<SequencedEvent>, Error> {
        self.logs
            .read_all_from(&log.group, &log.stream, sequence, limit)
            .await
            .map_err(failed("reading the log"))
    }
}

fn failed<E>(what: &'static str) -> impl Fn(E) -> Error
where
    E: std::error::Error + Send + Sync + 'static,
{
    move |error| Error::Failed(what, Box::new(error))
}

//! Makes training jobs what their records say they should be.
//!
//! A pass reads the record, does at most one effect and writes what came of it, against the
//! revision it read; whoever lost a race reads again. Nothing is kept between passes that a new
//! server would miss, so the process may be killed at any line.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kennel_store::{Expect, Write, records};
use kennel_wire::run::{
    ChannelSource, LogTarget, Outcome, RunSpec, Stage, StopReason, TrainingWork, Work,
};
use tokio_util::sync::CancellationToken;

use super::job::{Job, SecondaryStatus, State};
use super::metrics::Patterns;
use super::outside::{self, Host};
use super::{ACTIVE, Error, Stored, TABLE, Training, access};
use crate::limits::{
    CAPACITY_WAIT_SECS, MANIFEST_HEAD_BYTES, METRIC_LINES_AT_ONCE, SCAN_RECORDS, START_TRIES_SECS,
    STOP_GRACE_SECS, TRAINING_MOVES_MAX, TRAINING_STEP_SECS, TRAINING_STEPS_AT_ONCE,
};
use crate::names::S3Location;
use crate::runs::{End, Owner, OwnerKind, Run, StartRun, Started};
use crate::telemetry::LogEvent;
use crate::{driver, instances, runs};

/// Logs grow without a record changing, and waits end without one: looked at this often.
const TICK: Duration = Duration::from_secs(1);

/// AWS's sentence for what is not the caller's fault.
const INTERNAL: &str = "InternalServerError: We encountered an internal error. Please try again.";

/// AWS's sentence for a job that found no room.
const NO_CAPACITY: &str = "CapacityError: Unable to provision requested ML compute capacity. \
     Please retry using a different ML instance type.";

/// How far a job's log was read, and the patterns it is read with. A cache: after a restart the
/// log is read again from where the record says.
#[derive(Clone)]
pub(super) struct Cursor {
    next_sequence: u64,
    patterns: Arc<Patterns>,
}

/// Whether the record changed, so that there may be more to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moved {
    Yes,
    No,
}

impl Training {
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let tables = vec![self.records.watch(TABLE), self.records.watch(runs::TABLE)];
        driver::drive(tables, TICK, shutdown, || self.reconcile()).await;
    }

    /// One pass over every job that is not done with. What fails is tried again at the next.
    pub(super) async fn reconcile(&self) {
        let keys = match self.active().await {
            Ok(keys) => keys,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "training jobs not read");
                return;
            }
        };
        futures::stream::iter(keys)
            .for_each_concurrent(TRAINING_STEPS_AT_ONCE, |key| async move {
                let limit = Duration::from_secs(TRAINING_STEP_SECS);
                let stepped = tokio::time::timeout(limit, self.step(&key)).await;
                if let Err(error) = stepped.unwrap_or(Err(Error::TimedOut)) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(job = key, error, "training job not brought forward");
                }
            })
            .await;
    }

    pub(super) async fn active(&self) -> Result<Vec<String>, Error> {
        let mut keys: Vec<String> = Vec::new();
        loop {
            let after = keys.last().map(String::as_str);
            let records = self.records.list(ACTIVE, "", after, SCAN_RECORDS).await?;
            let full = records.len() == SCAN_RECORDS;
            keys.extend(records.into_iter().map(|record| record.key));
            if !full {
                return Ok(keys);
            }
        }
    }

    /// Brings one job as far forward as it goes now.
    async fn step(&self, key: &str) -> Result<(), Error> {
        for _ in 0..TRAINING_MOVES_MAX {
            let Some(stored) = self.load(key).await? else {
                return self.deactivate(key).await;
            };
            let moved = match stored.job.state {
                State::Pending => self.start(stored).await,
                State::Staging | State::Running | State::Uploading => self.follow(stored).await,
                State::Stopping => self.stop(stored).await,
                State::Completed | State::Failed | State::Stopped => self.retire(&stored.job).await,
            };
            match moved {
                Ok(Moved::Yes) | Err(Error::Store(records::Error::Conflict { .. })) => {}
                Ok(Moved::No) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Pending: the run is started, or the job waits for memory, or it fails.
    async fn start(&self, stored: Stored) -> Result<Moved, Error> {
        let mut job = stored.job.clone();
        let now_ms = self.clock.now_ms();
        let Some(instance) = instances::lookup(&job.spec.instance_type) else {
            job.fail(INTERNAL, now_ms);
            return self.keep(&stored, job).await;
        };
        let Host { cpus, memory_bytes } = self.outside.host();
        let fitted = instances::limits_on_this_host(instance, cpus, memory_bytes);
        let sentences =
            fitted.note.iter().map(|note| LogEvent { timestamp_ms: now_ms, message: note.clone() });
        self.outside.announce(&job.log, sentences.collect()).await?;
        let start = self.start_run(&mut job, fitted.limits, now_ms).await?;
        match self.outside.start(start).await {
            Ok(Started::Yes) => {
                job.state = State::Staging;
                let note = fitted.note.map(|note| format!(". {note}")).unwrap_or_default();
                job.say(&format!("Preparing the instances for training{note}"));
            }
            Ok(Started::NoCapacity { needed_bytes, free_bytes }) => {
                await_capacity(&mut job, needed_bytes, free_bytes, now_ms);
            }
            Err(outside::Error::Refused(refused)) => {
                job.fail(&format!("ClientError: {refused}"), now_ms);
            }
            Err(error) => {
                if now_ms - job.created_at_ms < millis(START_TRIES_SECS) {
                    return Err(error.into());
                }
                tracing::error!(error = &error as &dyn std::error::Error, "run not started");
                job.fail(INTERNAL, now_ms);
            }
        }
        let waits = job.state == State::Pending;
        let kept = self.keep(&stored, job).await?;
        // A job that waits is looked at again when a run ended, or at the next tick.
        Ok(if waits { Moved::No } else { kept })
    }

    /// Staging, Running, Uploading: what the run reported becomes what the job says.
    async fn follow(&self, stored: Stored) -> Result<Moved, Error> {
        let mut job = stored.job.clone();
        match self.outside.run(&job.run_id).await? {
            None => job.fail(INTERNAL, self.clock.now_ms()),
            Some(run) => {
                mirror(&mut job, &run);
                let read_all = self.read_metrics(&mut job).await?;
                if let (true, Some(end)) = (read_all, &run.end) {
                    self.settle(&mut job, end).await?;
                } else if !read_all {
                    self.keep(&stored, job).await?;
                    return Ok(Moved::Yes);
                }
            }
        }
        self.keep(&stored, job).await
    }

    /// Stopping: the run is told once, and ends in its own time.
    async fn stop(&self, stored: Stored) -> Result<Moved, Error> {
        let mut job = stored.job.clone();
        match self.outside.run(&job.run_id).await? {
            None => finish_stopped(&mut job, self.clock.now_ms()),
            Some(run) => {
                mirror(&mut job, &run);
                let read_all = self.read_metrics(&mut job).await?;
                match &run.end {
                    Some(end) if read_all => self.settle(&mut job, end).await?,
                    Some(_) => {
                        self.keep(&stored, job).await?;
                        return Ok(Moved::Yes);
                    }
                    None if !job.stop_ordered => {
                        self.outside.stop(&job.run_id, STOP_GRACE_SECS).await?;
                        job.stop_ordered = true;
                    }
                    None => {}
                }
            }
        }
        self.keep(&stored, job).await
    }

    /// Completed, Failed, Stopped: the run is cleared away, then there is nothing more to do.
    async fn retire(&self, job: &Job) -> Result<Moved, Error> {
        match self.outside.run(&job.run_id).await? {
            Some(run) if run.end.is_none() => {
                self.outside.abandon(&job.run_id).await?;
                return Ok(Moved::No);
            }
            Some(_) => self.outside.forget(&job.run_id).await?,
            None => {}
        }
        self.deactivate(&job.spec.name.key()).await?;
        Ok(Moved::No)
    }

    /// Writes the job where it differs from what was read.
    async fn keep(&self, stored: &Stored, mut job: Job) -> Result<Moved, Error> {
        if job == stored.job {
            return Ok(Moved::No);
        }
        self.save(&mut job, stored.revision).await?;
        Ok(Moved::Yes)
    }

    async fn deactivate(&self, key: &str) -> Result<(), Error> {
        self.cursors.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        let key = key.to_owned();
        self.records
            .commit(vec![Write::Delete { table: ACTIVE, key, expect: Expect::Any }])
            .await?;
        Ok(())
    }

    /// The run ended: decides how the job did, after a look at what it left.
    async fn settle(&self, job: &mut Job, end: &End) -> Result<(), Error> {
        let artifact = job.spec.model_artifact();
        match &end.outcome {
            Outcome::Completed { .. } if !self.outside.exists(&artifact).await? => {
                let place = format!("s3://{}/{}", artifact.bucket, artifact.key);
                job.fail(
                    &format!("ClientError: Artifact upload failed: there is no object at {place}"),
                    end.at_ms,
                );
            }
            // Who asked for a stop is told that the job stopped, though it was done just before.
            Outcome::Completed { .. } if job.state == State::Stopping => {
                finish_stopped(job, end.at_ms);
            }
            Outcome::Completed { .. } => job.finish(
                State::Completed,
                SecondaryStatus::Completed,
                "Training job completed",
                end.at_ms,
            ),
            Outcome::Stopped { reason: StopReason::Requested, .. } => {
                finish_stopped(job, end.at_ms);
            }
            Outcome::Stopped { reason: StopReason::MaxRuntime, .. } => {
                let (status, member) = if job.wait_bounds_run {
                    (SecondaryStatus::MaxWaitTimeExceeded, "MaxWaitTimeInSeconds")
                } else {
                    (SecondaryStatus::MaxRuntimeExceeded, "MaxRuntimeInSeconds")
                };
                let message = format!("Training job runtime exceeded {member} provided");
                job.finish(State::Stopped, status, &message, end.at_ms);
            }
            Outcome::Failed { reason } => job.fail(reason, end.at_ms),
        }
        Ok(())
    }

    /// Reads what the log has gained; `false` where there may be more of it.
    async fn read_metrics(&self, job: &mut Job) -> Result<bool, Error> {
        if job.spec.metrics.is_empty() {
            return Ok(true);
        }
        let key = job.spec.name.key();
        let known = self.cursors.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        let mut cursor = known.unwrap_or_else(|| Cursor {
            next_sequence: job.metrics.next_sequence,
            patterns: Arc::new(Patterns::new(&job.spec.metrics)),
        });
        cursor.next_sequence = cursor.next_sequence.max(job.metrics.next_sequence);
        let events =
            self.outside.read_log(&job.log, cursor.next_sequence, METRIC_LINES_AT_ONCE).await?;
        let read_all = events.len() < METRIC_LINES_AT_ONCE;
        let values_before = job.metrics.values.clone();
        for event in events {
            job.metrics.take(&cursor.patterns, &event.message, event.timestamp_ms);
            cursor.next_sequence = event.sequence + 1;
        }
        if job.metrics.values != values_before {
            job.metrics.next_sequence = cursor.next_sequence;
        } else {
            // Lines without metrics are not worth a record: the cache remembers them.
            self.cursors.lock().unwrap_or_else(PoisonError::into_inner).insert(key, cursor);
        }
        Ok(read_all)
    }

    async fn start_run(
        &self,
        job: &mut Job,
        limits: kennel_wire::run::Limits,
        now_ms: i64,
    ) -> Result<StartRun, Error> {
        let policies = self.session_policies(job).await?;
        let max_runtime_secs = bounded_runtime(job, now_ms);
        let spec = &job.spec;
        let host = "algo-1".to_owned();
        Ok(StartRun {
            owner: Owner { kind: OwnerKind::TrainingJob, name: spec.name.as_str().to_owned() },
            generation: job.generation,
            role_arn: spec.role_arn.as_str().to_owned(),
            session_name: "SageMaker".to_owned(),
            policies,
            spec: RunSpec {
                run_id: job.run_id.clone(),
                generation: job.generation,
                api_endpoint: self.config.api_endpoint.clone(),
                region: self.config.region.clone(),
                current_host: host.clone(),
                hosts: vec![host],
                instance_type: spec.instance_type.clone(),
                limits,
                log: LogTarget { group: job.log.group.clone(), stream: job.log.stream.clone() },
                program: spec.program.clone(),
                environment: spec.environment.clone(),
                network_isolation: spec.network_isolation,
                work: Work::Training(TrainingWork {
                    job_name: spec.name.as_str().to_owned(),
                    job_arn: job.arn.clone(),
                    hyperparameters: spec.hyperparameters.clone(),
                    channels: spec.channels.clone(),
                    model_artifact: spec.model_artifact(),
                    output_artifact: spec.output_artifact(),
                    checkpoints: spec.checkpoints.clone(),
                    kms_key_id: spec.kms_key_id.clone(),
                    max_runtime_secs,
                }),
            },
        })
    }

    /// The documents that bound the session of the job's run.
    pub async fn session_policies(&self, job: &Job) -> Result<Vec<String>, Error> {
        let manifests = self.manifests(job).await?;
        Ok(access::policies(job, &manifests, &self.config.region, &self.config.account))
    }

    /// Where the job's manifests point to. One that cannot be read gives nothing: the run will
    /// find the same and say so.
    async fn manifests(&self, job: &Job) -> Result<Vec<S3Location>, Error> {
        let mut places = Vec::new();
        for channel in &job.spec.channels {
            let ChannelSource::Manifest(object) = &channel.source else { continue };
            let head = self.outside.head_bytes(object, MANIFEST_HEAD_BYTES).await?;
            places.extend(head.and_then(|head| access::manifest_prefix(&head)));
        }
        Ok(places)
    }
}

/// Adds what the run reported since the last look. While the job is stopping only its upload is
/// news: the stages before it are over.
fn mirror(job: &mut Job, run: &Run) {
    for at in run.stages.iter().skip(job.stages_mirrored) {
        job.started_at_ms.get_or_insert(at.at_ms);
        let (state, status, usual) = match at.stage {
            Stage::Downloading => {
                (State::Staging, SecondaryStatus::Downloading, "Downloading input data")
            }
            Stage::Training => (
                State::Running,
                SecondaryStatus::Training,
                "Training image download completed. Training in progress.",
            ),
            Stage::Uploading => {
                (State::Uploading, SecondaryStatus::Uploading, "Uploading generated training model")
            }
        };
        let message = if at.message.is_empty() { usual } else { &at.message };
        if job.state != State::Stopping {
            job.state = state;
            job.enter(status, message, at.at_ms);
        } else if at.stage == Stage::Uploading {
            job.enter(status, message, at.at_ms);
        }
    }
    job.stages_mirrored = run.stages.len().max(job.stages_mirrored);
}

/// Says that the job waits, or fails it where it waited long enough.
fn await_capacity(job: &mut Job, needed_bytes: u64, free_bytes: u64, now_ms: i64) {
    let since_ms = *job.waiting_since_ms.get_or_insert(now_ms);
    let wait_over =
        job.spec.max_wait_secs.is_some_and(|secs| now_ms - job.created_at_ms >= millis(secs));
    if wait_over {
        let message = "Training job exceeded MaxWaitTimeInSeconds provided while it waited for \
             capacity";
        job.finish(State::Stopped, SecondaryStatus::MaxWaitTimeExceeded, message, now_ms);
    } else if now_ms - since_ms >= millis(job.spec.max_pending_secs.unwrap_or(CAPACITY_WAIT_SECS)) {
        job.fail(NO_CAPACITY, now_ms);
    } else {
        job.say(&format!(
            "Insufficient capacity while launching instances, retrying! {} MiB of memory are \
             needed, {} MiB are free.",
            needed_bytes >> 20,
            free_bytes >> 20,
        ));
    }
}

fn finish_stopped(job: &mut Job, at_ms: i64) {
    job.finish(State::Stopped, SecondaryStatus::Stopped, "Training job stopped", at_ms);
}

/// What of MaxRuntimeInSeconds and of the rest of MaxWaitTimeInSeconds is less.
fn bounded_runtime(job: &mut Job, now_ms: i64) -> u64 {
    let max_runtime_secs = job.spec.max_runtime_secs;
    let Some(max_wait_secs) = job.spec.max_wait_secs else { return max_runtime_secs };
    let waited_secs = u64::try_from((now_ms - job.created_at_ms) / 1_000).unwrap_or(0);
    let left_secs = max_wait_secs.saturating_sub(waited_secs).max(1);
    job.wait_bounds_run = left_secs < max_runtime_secs;
    left_secs.min(max_runtime_secs)
}

fn millis(secs: u64) -> i64 {
    i64::try_from(secs.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

//! The record of a training job: where it stands, and how it came there.

use kennel_wire::run::LogTarget;
use serde::{Deserialize, Serialize};

use super::metrics::Reading;
use super::spec::Spec;
use crate::limits::FAILURE_REASON_CHARS_MAX;

/// Where all training jobs log, each to a stream of its own.
pub const LOG_GROUP: &str = "/aws/sagemaker/TrainingJobs";

/// One document of the table `training-jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub spec: Spec,
    pub arn: String,
    pub state: State,
    /// Never empty; the last one has no end while the job is under way.
    pub transitions: Vec<Transition>,
    pub created_at_ms: i64,
    pub modified_at_ms: i64,
    /// When its instance began to work for it.
    pub started_at_ms: Option<i64>,
    pub ended_at_ms: Option<i64>,
    pub failure_reason: Option<String>,
    pub metrics: Reading,
    /// The run is named before it is started, so that it is never started twice.
    pub run_id: String,
    pub generation: u64,
    pub log: LogTarget,
    /// Stages of the run that are among the transitions.
    pub stages_mirrored: usize,
    /// First refusal for want of memory.
    pub waiting_since_ms: Option<i64>,
    /// The run was told to stop.
    pub stop_ordered: bool,
    /// What is left of MaxWaitTimeInSeconds ends the run before MaxRuntimeInSeconds would.
    pub wait_bounds_run: bool,
}

/// The states of the diagram in [`super`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Recorded; its run may or may not have been started.
    Pending,
    /// Its run was started and fetches its inputs.
    Staging,
    /// The workload runs.
    Running,
    /// The workload ended and its artifacts are being written.
    Uploading,
    /// Somebody asked it to stop and it has not yet.
    Stopping,
    Completed,
    Failed,
    Stopped,
}

impl State {
    pub fn status(self) -> Status {
        match self {
            Self::Pending | Self::Staging | Self::Running | Self::Uploading => Status::InProgress,
            Self::Stopping => Status::Stopping,
            Self::Completed => Status::Completed,
            Self::Failed => Status::Failed,
            Self::Stopped => Status::Stopped,
        }
    }

    pub fn is_terminal(self) -> bool {
        match self {
            Self::Completed | Self::Failed | Self::Stopped => true,
            Self::Pending | Self::Staging | Self::Running | Self::Uploading | Self::Stopping => {
                false
            }
        }
    }
}

/// TrainingJobStatus, as AWS names its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    Completed,
    Failed,
    InProgress,
    Stopped,
    Stopping,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::Failed => "Failed",
            Self::InProgress => "InProgress",
            Self::Stopped => "Stopped",
            Self::Stopping => "Stopping",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Completed, Self::Failed, Self::InProgress, Self::Stopped, Self::Stopping]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// SecondaryStatus, as AWS names its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecondaryStatus {
    Starting,
    Downloading,
    Training,
    Uploading,
    Stopping,
    Stopped,
    MaxRuntimeExceeded,
    MaxWaitTimeExceeded,
    Completed,
    Failed,
}

impl SecondaryStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Downloading => "Downloading",
            Self::Training => "Training",
            Self::Uploading => "Uploading",
            Self::Stopping => "Stopping",
            Self::Stopped => "Stopped",
            Self::MaxRuntimeExceeded => "MaxRuntimeExceeded",
            Self::MaxWaitTimeExceeded => "MaxWaitTimeExceeded",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    pub status: SecondaryStatus,
    pub start_ms: i64,
    pub end_ms: Option<i64>,
    pub message: String,
}

impl Job {
    /// A job that nothing was done for yet.
    pub fn new(spec: Spec, arn: String, run_id: String, now_ms: i64) -> Self {
        let stream = format!("{}/algo-1-{}", spec.name.as_str(), now_ms / 1_000);
        Self {
            spec,
            arn,
            state: State::Pending,
            transitions: vec![Transition {
                status: SecondaryStatus::Starting,
                start_ms: now_ms,
                end_ms: None,
                message: "Starting the training job".to_owned(),
            }],
            created_at_ms: now_ms,
            modified_at_ms: now_ms,
            started_at_ms: None,
            ended_at_ms: None,
            failure_reason: None,
            metrics: Reading::default(),
            run_id,
            generation: 1,
            log: LogTarget { group: LOG_GROUP.to_owned(), stream },
            stages_mirrored: 0,
            waiting_since_ms: None,
            stop_ordered: false,
            wait_bounds_run: false,
        }
    }

    pub fn status(&self) -> Status {
        self.state.status()
    }

    pub fn secondary_status(&self) -> SecondaryStatus {
        self.transitions.last().map_or(SecondaryStatus::Starting, |last| last.status)
    }

    /// Whole seconds its instance worked for it, at least one; `None` before it ended or where it
    /// never began.
    pub fn training_secs(&self) -> Option<i64> {
        let worked_ms = self.ended_at_ms? - self.started_at_ms?;
        Some((worked_ms.max(0) + 999) / 1_000).map(|secs| secs.max(1))
    }

    /// Begins a secondary status and ends the one before it. Times never run backwards.
    pub(super) fn enter(&mut self, status: SecondaryStatus, message: &str, at_ms: i64) {
        let mut start_ms = at_ms;
        if let Some(last) = self.transitions.last_mut() {
            start_ms = start_ms.max(last.start_ms);
            last.end_ms = Some(start_ms);
        }
        self.transitions.push(Transition {
            status,
            start_ms,
            end_ms: None,
            message: message.to_owned(),
        });
    }

    /// Says something new about the present secondary status.
    pub(super) fn say(&mut self, message: &str) {
        if let Some(last) = self.transitions.last_mut() {
            message.clone_into(&mut last.message);
        }
    }

    /// Ends the job: the last transition begins and ends at once.
    pub(super) fn finish(
        &mut self,
        state: State,
        status: SecondaryStatus,
        message: &str,
        at_ms: i64,
    ) {
        self.enter(status, message, at_ms);
        self.state = state;
        if let Some(last) = self.transitions.last_mut() {
            last.end_ms = Some(last.start_ms);
            self.ended_at_ms = Some(last.start_ms);
        }
    }

    pub(super) fn fail(&mut self, reason: &str, at_ms: i64) {
        self.finish(State::Failed, SecondaryStatus::Failed, "Training job failed", at_ms);
        self.failure_reason = Some(reason.chars().take(FAILURE_REASON_CHARS_MAX).collect());
    }
}

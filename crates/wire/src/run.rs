//! The contract of a run: what the server tells the supervisor of one host, and what the
//! supervisor reports back.
//!
//! A [`RunSpec`] is written to the run's directory before its supervisor starts. It holds no
//! secret: credentials come over the mailbox in [`Order::Welcome`] and are never on disk.
//! Both sides speak JSON, one value a frame. Times are milliseconds since 1970-01-01 UTC.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Everything the supervisor of one host needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// Random id of this run (32 hexadecimal digits); names its directory.
    pub run_id: String,
    /// Grows with each start for the same owner; reports of an older one are ignored.
    pub generation: u64,
    /// Where the AWS API answers, as the host sees it: `http://127.0.0.1:4566`.
    pub api_endpoint: String,
    pub region: String,
    /// This host and all hosts of the run, `algo-1` first.
    pub current_host: String,
    pub hosts: Vec<String>,
    pub instance_type: String,
    pub limits: Limits,
    pub log: LogTarget,
    pub program: Program,
    /// Environment given by the user, before what the contract adds.
    pub environment: BTreeMap<String, String>,
    /// No way out but the relays of the contract, not even to the API.
    pub network_isolation: bool,
    pub work: Work,
}

/// The lesser of what the instance type has and what this machine has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    pub vcpus: u32,
    pub memory_bytes: u64,
    pub processes: u32,
}

/// The CloudWatch Logs stream that takes the workload's output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogTarget {
    pub group: String,
    pub stream: String,
}

/// What is run inside the sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Program {
    /// The native image classifier: this binary itself, own code.
    ImageClassification,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Work {
    Training(TrainingWork),
    Serving(ServingWork),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingWork {
    pub job_name: String,
    pub job_arn: String,
    pub hyperparameters: BTreeMap<String, String>,
    pub channels: Vec<Channel>,
    /// `model.tar.gz` goes here.
    pub model_artifact: S3Object,
    /// `output.tar.gz` goes here, where the workload wrote to output/data or output/failure.
    pub output_artifact: S3Object,
    pub checkpoints: Option<Checkpoints>,
    /// SSE header the artifacts are uploaded with, where the job names a key.
    pub kms_key_id: Option<String>,
    pub max_runtime_secs: u64,
}

/// One input channel, staged to `/opt/ml/input/data/<name>` in File mode, fully replicated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    pub name: String,
    pub source: ChannelSource,
    pub content_type: Option<String>,
    /// `None` or `Gzip`, as CompressionType says.
    pub gzip: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum ChannelSource {
    /// Every object whose key starts with the prefix.
    Prefix { bucket: String, prefix: String },
    /// A JSON array: `[{"prefix": "s3://bucket/prefix/"}, "relative/key", ...]`.
    Manifest(S3Object),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Object {
    pub bucket: String,
    pub key: String,
}

/// Synchronized both ways: down before the workload starts, up while it runs and at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoints {
    pub bucket: String,
    pub prefix: String,
    /// Inside the sandbox; `/opt/ml/checkpoints` unless the job names another place.
    pub local_path: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServingWork {
    pub endpoint_name: String,
    pub variant_name: String,
    pub model_name: String,
    /// Unpacked into `/opt/ml/model`; an image that needs no artifact has none.
    pub model_artifact: Option<S3Object>,
    /// Until /ping must have answered 200.
    pub startup_timeout_secs: u64,
}

/// Names inside a run's directory that both sides know.
pub mod layout {
    /// The [`super::RunSpec`] as JSON.
    pub const SPEC: &str = "run.json";
    /// The supervisor's last [`super::Report`]s that were not acknowledged, as JSON.
    pub const STATE: &str = "state.json";
    /// Unix socket that leads to the workload's port 8080.
    pub const HTTP_SOCKET: &str = "http.sock";
}

/// A role's session for one run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expires_at_ms: i64,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Credentials({})", self.access_key_id)
    }
}

/// Supervisor to server. `sequence` starts at 1 and grows by one; a report is kept durably by the
/// supervisor and sent again after each reconnection until [`Order::Acknowledged`] names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub generation: u64,
    pub sequence: u64,
    pub at_ms: i64,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The first report of every connection; `sequence` is 0 and it is answered by `Welcome`.
    Hello { pid: u32 },
    /// Training: the stage that begins now, with a sentence for SecondaryStatusTransitions.
    Stage { stage: Stage, message: String },
    /// Serving: /ping answered 200; requests may be sent to the HTTP socket.
    Ready,
    /// Serving: /ping stopped answering; the replica takes no requests until `Ready`.
    Unready { reason: String },
    /// The last report of a run. Everything the run acknowledged is uploaded and shipped.
    Ended { outcome: Outcome },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    Downloading,
    Training,
    Uploading,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The workload exited 0 and its artifacts are committed in the bucket.
    Completed { artifact_bytes: u64 },
    /// A stop was asked for; whether artifacts were uploaded all the same.
    Stopped { reason: StopReason, artifact_bytes: Option<u64> },
    /// `reason` is what FailureReason shows, `AlgorithmError: ...` or `ClientError: ...`.
    Failed { reason: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    Requested,
    MaxRuntime,
}

/// Server to supervisor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Order {
    /// Answers `Hello`.
    Welcome {
        credentials: Credentials,
    },
    /// Replaces the credentials before they expire.
    Renew {
        credentials: Credentials,
    },
    Acknowledged {
        sequence: u64,
    },
    /// SIGTERM, `grace_secs`, SIGKILL. Training uploads what there is; serving drains first.
    Stop {
        grace_secs: u64,
    },
    /// This run is not (or no longer) wanted: kill the workload, upload nothing, exit.
    Abandon,
}

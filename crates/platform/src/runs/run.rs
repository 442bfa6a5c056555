//! What is known of one run: the part owners see, and the record that holds it.

use kennel_wire::run::{Outcome, RunSpec, Stage};
use serde::{Deserialize, Serialize};

/// Whose run it is. Owners look their run up by id; the name is for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub kind: OwnerKind,
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerKind {
    TrainingJob,
    EndpointReplica,
}

/// What an owner asks for.
#[derive(Debug, Clone)]
pub struct StartRun {
    pub owner: Owner,
    /// Grows with each start for the same owner.
    pub generation: u64,
    pub role_arn: String,
    pub session_name: String,
    /// IAM policy documents; an action must be allowed by each of them.
    pub policies: Vec<String>,
    /// `run_id` comes from [`super::Runs::new_id`]; `generation`, `api_endpoint` and `region` are
    /// filled in here.
    pub spec: RunSpec,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// The run is recorded and will be started (or was before).
    Yes,
    /// It does not fit beside what runs now. Nothing was recorded; ask again later.
    NoCapacity { needed_bytes: u64, free_bytes: u64 },
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run_id: String,
    pub owner: Owner,
    pub generation: u64,
    pub started_at_ms: i64,
    /// In the order they were reported.
    pub stages: Vec<StageAt>,
    /// Serving: /ping answers now.
    pub ready: bool,
    /// Serving: why /ping does not answer (any more).
    pub not_ready_reason: Option<String>,
    /// Present once nothing of the run's work is alive any more.
    pub end: Option<End>,
}

impl Run {
    /// When the stage began, where it was reached.
    pub fn stage_at_ms(&self, stage: Stage) -> Option<i64> {
        self.stages.iter().find(|at| at.stage == stage).map(|at| at.at_ms)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageAt {
    pub stage: Stage,
    pub at_ms: i64,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    pub at_ms: i64,
    pub outcome: Outcome,
}

/// One document of the table `runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunRecord {
    pub run: Run,
    pub spec: RunSpec,
    pub role_arn: String,
    pub session_name: String,
    pub policies: Vec<String>,
    /// SHA-256 of the token of the supervisor started last, hexadecimal.
    pub token_sha256: Option<String>,
    /// Supervisors of this run that were seen to have vanished without a last report.
    #[serde(default)]
    pub lost: Vec<String>,
    /// How often a supervisor could not be started.
    #[serde(default)]
    pub start_failures: u32,
    /// Access key ids of sessions that live until they are revoked; the newest last.
    pub sessions: Vec<Session>,
    /// The last report that was recorded.
    pub sequence: u64,
    pub stop: Option<Stop>,
    /// To be killed now, nothing uploaded.
    pub abandoned: bool,
    /// Supervisor reaped and sessions revoked after the end.
    pub cleaned: bool,
    /// The owner took the outcome: everything goes, this record last.
    pub forgotten: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub access_key_id: String,
    pub expires_at_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stop {
    pub grace_secs: u64,
}

impl RunRecord {
    pub fn new(start: StartRun, now_ms: i64) -> Self {
        Self {
            run: Run {
                run_id: start.spec.run_id.clone(),
                owner: start.owner,
                generation: start.generation,
                started_at_ms: now_ms,
                stages: Vec::new(),
                ready: false,
                not_ready_reason: None,
                end: None,
            },
            spec: start.spec,
            role_arn: start.role_arn,
            session_name: start.session_name,
            policies: start.policies,
            token_sha256: None,
            lost: Vec::new(),
            start_failures: 0,
            sessions: Vec::new(),
            sequence: 0,
            stop: None,
            abandoned: false,
            cleaned: false,
            forgotten: false,
        }
    }

    /// The first end stays: whatever is said later of a run that ended changes nothing.
    pub fn end(&mut self, outcome: Outcome, now_ms: i64) {
        if self.run.end.is_none() {
            self.run.ready = false;
            self.run.end = Some(End { at_ms: now_ms, outcome });
        }
    }
}

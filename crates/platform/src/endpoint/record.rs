//! What is recorded of an endpoint: the fleet that serves, the fleet that is being started, and
//! the runs that are on their way out.

use serde::{Deserialize, Serialize};

use crate::endpoint::config::VariantConfig;
use crate::model::Model;
use crate::names::EntityName;

pub const TABLE: &str = "endpoints";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    pub name: EntityName,
    /// Of the fleet that serves; before the first one serves, of the one that is being started.
    pub config_name: EntityName,
    pub status: Status,
    pub failure_reason: Option<String>,
    pub created_at_ms: i64,
    pub modified_at_ms: i64,
    /// Replica starts so far: the generation of the newest run.
    pub starts: u64,
    /// Takes the requests.
    pub serving: Option<Fleet>,
    /// Becomes `serving` once every replica of it answers /ping.
    pub next: Option<Fleet>,
    /// Runs that take no new requests: drained, then stopped, then forgotten.
    pub retired: Vec<Retired>,
    /// What variants had before weights or instance counts were changed, until that is done.
    pub undo: Vec<Undo>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Status {
    Creating,
    InService,
    Updating,
    RollingBack,
    Failed,
    Deleting,
}

impl Status {
    pub const ALL: [Self; 6] = [
        Self::Creating,
        Self::InService,
        Self::Updating,
        Self::RollingBack,
        Self::Failed,
        Self::Deleting,
    ];

    /// AWS's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::InService => "InService",
            Self::Updating => "Updating",
            Self::RollingBack => "RollingBack",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// The replicas of one configuration. It holds copies of the configuration and the models, so that
/// a replica that dies is started again as it was, whatever was deleted meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    pub config_name: EntityName,
    pub since_ms: i64,
    pub variants: Vec<Variant>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    pub config: VariantConfig,
    pub model: Model,
    /// Its share of the requests is this over the sum of all.
    pub weight: f64,
    /// As many as instances are wanted.
    pub replicas: Vec<Replica>,
}

/// One instance: it keeps its id and its log stream over restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replica {
    /// `i-` and 17 hexadecimal digits.
    pub instance_id: String,
    pub run: Option<ReplicaRun>,
    /// Ends in a row; zero again once a run was ready for long enough.
    pub failures: u32,
    /// Why the run before this one ended.
    pub last_failure: Option<String>,
    /// No run is started before.
    pub retry_at_ms: i64,
    /// Since when the host has had no memory for it.
    pub waiting_since_ms: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaRun {
    pub run_id: String,
    pub generation: u64,
    /// Whether /ping answers, and since when that is so.
    pub ready: bool,
    pub turned_at_ms: i64,
    /// Whether /ping ever answered. Absent from records of before; the next turn sets it.
    #[serde(default)]
    pub served: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    pub run_id: String,
    pub since_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undo {
    pub variant: EntityName,
    pub weight: f64,
    pub instances: usize,
}

impl Endpoint {
    /// Every run the endpoint answers for.
    pub fn run_ids(&self) -> impl Iterator<Item = &str> {
        let fleets = self.serving.iter().chain(&self.next);
        let living = fleets.flat_map(Fleet::runs).map(|run| run.run_id.as_str());
        living.chain(self.retired.iter().map(|retired| retired.run_id.as_str()))
    }

    /// Takes every run of a fleet out of service.
    pub fn retire_fleet(&mut self, fleet: Fleet, now_ms: i64) {
        for replica in fleet.variants.into_iter().flat_map(|variant| variant.replicas) {
            self.retire(replica.run, now_ms);
        }
    }

    pub fn retire(&mut self, run: Option<ReplicaRun>, now_ms: i64) {
        let retired = |run: ReplicaRun| Retired { run_id: run.run_id, since_ms: now_ms };
        self.retired.extend(run.map(retired));
    }
}

impl Fleet {
    pub fn runs(&self) -> impl Iterator<Item = &ReplicaRun> {
        self.replicas().filter_map(|replica| replica.run.as_ref())
    }

    pub fn replicas(&self) -> impl Iterator<Item = &Replica> {
        self.variants.iter().flat_map(|variant| &variant.replicas)
    }
}

impl Replica {
    pub fn new(instance_id: String) -> Self {
        Self {
            instance_id,
            run: None,
            failures: 0,
            last_failure: None,
            retry_at_ms: 0,
            waiting_since_ms: None,
        }
    }
}

/// `None` where there is no randomness.
pub fn new_instance_id() -> Option<String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(format!("i-0{}", hex::encode(bytes)))
}

/// `/aws/sagemaker/Endpoints/<endpoint>`
pub fn log_group(endpoint: &EntityName) -> String {
    format!("/aws/sagemaker/Endpoints/{}", endpoint.as_str())
}

/// `<variant>/<instance id>`
pub fn log_stream(variant: &str, replica: &Replica) -> String {
    format!("{variant}/{}", replica.instance_id)
}

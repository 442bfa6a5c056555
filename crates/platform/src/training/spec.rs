//! What a training job was asked to do, checked.

use std::collections::BTreeMap;

use kennel_wire::run::{Channel, Checkpoints, Program, S3Object};
use serde::{Deserialize, Serialize};

use super::metrics::Definition;
use crate::names::{EntityName, RoleArn, S3Location};

/// The members of a request that have a behaviour here, validated, and the request itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    pub name: EntityName,
    pub role_arn: RoleArn,
    pub program: Program,
    pub hyperparameters: BTreeMap<String, String>,
    pub environment: BTreeMap<String, String>,
    pub channels: Vec<Channel>,
    /// Artifacts go to `<output>/<job>/output/`.
    pub output: S3Location,
    pub kms_key_id: Option<String>,
    pub checkpoints: Option<Checkpoints>,
    /// A name of [`crate::instances`].
    pub instance_type: String,
    pub max_runtime_secs: u64,
    /// Waiting and running together, where the job takes spot instances.
    pub max_wait_secs: Option<u64>,
    /// Waiting for capacity, where the job sets its own bound.
    pub max_pending_secs: Option<u64>,
    pub network_isolation: bool,
    /// What is read from the log: the job's definitions, or those of the image.
    pub metrics: Vec<Definition>,
    /// The request as the API took it, kept to be echoed. Nothing here looks into it.
    pub request: serde_json::Value,
}

impl Spec {
    pub fn model_artifact(&self) -> S3Object {
        self.artifact("model.tar.gz")
    }

    pub fn output_artifact(&self) -> S3Object {
        self.artifact("output.tar.gz")
    }

    fn artifact(&self, file: &str) -> S3Object {
        let S3Location { bucket, key } =
            self.output.child(&format!("{}/output/{file}", self.name.as_str()));
        S3Object { bucket, key }
    }
}

//! The run of a replica, and what its session may do: read its model and write its log.

use kennel_wire::run::{LogTarget, RunSpec, S3Object, ServingWork, Work};
use serde_json::json;

use super::host::Machine;
use super::record::{Endpoint, Replica, ReplicaRun, Variant, log_group, log_stream};
use crate::image;
use crate::instances::{self, Fitted};
use crate::limits::REPLICA_STARTUP_SECS;
use crate::names::{EntityName, object_resource};
use crate::runs::{Owner, OwnerKind, StartRun};

/// IAM's bound of a session name.
const SESSION_NAME_CHARS_MAX: usize = 64;

/// Where the replicas' resources are.
pub(super) struct Place<'a> {
    pub region: &'a str,
    pub account: &'a str,
    pub machine: Machine,
}

pub(super) struct Planned {
    pub start: StartRun,
    /// What the instance type has and this machine has not.
    pub note: Option<String>,
}

/// `None` where the image or the instance type is not known to this version (any more).
pub(super) fn plan(
    place: &Place<'_>,
    endpoint: &Endpoint,
    variant: &Variant,
    replica: &Replica,
    run: &ReplicaRun,
) -> Option<Planned> {
    let program = image::resolve(&variant.model.container.image)?;
    let Fitted { limits, note } = fitted(&place.machine, &variant.config.instance_type)?;
    let name = variant.config.name.as_str();
    let log = LogTarget { group: log_group(&endpoint.name), stream: log_stream(name, replica) };
    let artifact = variant.model.container.artifact.as_ref().map(|artifact| S3Object {
        bucket: artifact.location.bucket.clone(),
        key: artifact.location.key.clone(),
    });
    let policies = vec![policy(place, &log, artifact.as_ref())];
    let spec = RunSpec {
        run_id: run.run_id.clone(),
        generation: run.generation,
        api_endpoint: String::new(),
        region: String::new(),
        current_host: "algo-1".to_owned(),
        hosts: vec!["algo-1".to_owned()],
        instance_type: variant.config.instance_type.clone(),
        limits,
        log,
        program,
        environment: variant.model.container.environment.clone(),
        network_isolation: variant.model.network_isolation,
        work: Work::Serving(ServingWork {
            endpoint_name: endpoint.name.as_str().to_owned(),
            variant_name: name.to_owned(),
            model_name: variant.model.name.as_str().to_owned(),
            model_artifact: artifact,
            startup_timeout_secs: variant
                .config
                .startup_timeout_secs
                .unwrap_or(REPLICA_STARTUP_SECS)
                .into(),
        }),
    };
    let owner = Owner {
        kind: OwnerKind::EndpointReplica,
        name: format!("{}/{name}/{}", endpoint.name.as_str(), replica.instance_id),
    };
    let start = StartRun {
        owner,
        generation: run.generation,
        role_arn: variant.model.role.as_str().to_owned(),
        session_name: session_name(&endpoint.name),
        policies,
        spec,
    };
    Some(Planned { start, note })
}

/// What an instance type comes to on this machine.
pub(super) fn fitted(machine: &Machine, instance_type: &str) -> Option<Fitted> {
    let instance = instances::lookup(instance_type)?;
    Some(instances::limits_on_this_host(instance, machine.cpus, machine.memory_bytes))
}

/// Narrows the role's own policies; the replica may do what both allow.
fn policy(place: &Place<'_>, log: &LogTarget, artifact: Option<&S3Object>) -> String {
    let Place { region, account, .. } = place;
    let group = format!("arn:aws:logs:{region}:{account}:log-group:{}", log.group);
    let mut statements = vec![json!({
        "Effect": "Allow",
        "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [format!("{group}:*"), format!("{group}:log-stream:{}", log.stream)],
    })];
    if let Some(S3Object { bucket, key }) = artifact {
        statements.push(json!({
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": object_resource(bucket, key),
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn session_name(endpoint: &EntityName) -> String {
    let name = format!("endpoint-{}", endpoint.as_str());
    name.chars().take(SESSION_NAME_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_whose_key_has_a_star_opens_no_other_keys() {
        let machine = Machine { cpus: 2, memory_bytes: 8 << 30 };
        let place = Place { region: "us-east-1", account: "123456789012", machine };
        let log = LogTarget { group: "group".to_owned(), stream: "stream".to_owned() };
        let artifact = S3Object { bucket: "models".to_owned(), key: "*/model.tar.gz".to_owned() };
        let policy = policy(&place, &log, Some(&artifact));
        assert!(policy.contains("\"arn:aws:s3:::models/?/model.tar.gz\""), "{policy}");
    }
}

//! What is trained, where its output goes, how long it may take.

use kennel_platform::image;
use kennel_platform::training::metrics::{self, Definition};
use serde::{Deserialize, Serialize};

use super::channel::validate_input_mode;
use super::text;
use super::unsupported::{Unsupported, refuse, refuse_value};
use crate::validate::Violations;

/// 28 days, AWS's longest MaxRuntimeInSeconds.
const RUNTIME_SECS_MAX: i64 = 2_419_200;

/// One day, AWS's MaxRuntimeInSeconds of a job that names none.
pub const RUNTIME_SECS_DEFAULT: u64 = 86_400;

/// Where checkpoints lie unless the job says otherwise.
pub const CHECKPOINTS_PATH_DEFAULT: &str = "/opt/ml/checkpoints";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AlgorithmSpecification {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm_name: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_input_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric_definitions: Option<Vec<MetricDefinition>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_sage_maker_metrics_time_series: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_entrypoint: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_arguments: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_image_config: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct MetricDefinition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regex: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct OutputDataConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_output_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_type: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct StoppingCondition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_runtime_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_wait_time_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_time_in_seconds: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CheckpointConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
}

/// Required, with an image that this version runs.
pub fn validate_algorithm(violations: &mut Violations, given: Option<&AlgorithmSpecification>) {
    let path = "algorithmSpecification";
    violations.required(path, given);
    let Some(given) = given else { return };
    let refused = [
        ("algorithmName", given.algorithm_name.as_ref()),
        ("containerEntrypoint", given.container_entrypoint.as_ref()),
        ("containerArguments", given.container_arguments.as_ref()),
        ("trainingImageConfig", given.training_image_config.as_ref()),
    ];
    for (name, value) in refused {
        refuse(violations, &format!("{path}.{name}"), value);
    }
    let member = format!("{path}.trainingImage");
    let image = given.training_image.as_deref();
    if given.algorithm_name.is_none() {
        violations.required(&member, image.as_ref());
    }
    text::plain(violations, &member, image, 0..=255);
    if let Some(image) = image.filter(|image| image::resolve(image).is_none()) {
        violations.add(&member, &format!("'{image}'"), image::SUPPORTED);
    }
    let member = format!("{path}.trainingInputMode");
    violations.required(&member, given.training_input_mode.as_ref());
    validate_input_mode(violations, &member, given.training_input_mode.as_deref());
    let member = format!("{path}.metricDefinitions");
    let definitions = given.metric_definitions.as_ref();
    text::count(violations, &member, definitions.map(Vec::len), 0..=40);
    for (definition, number) in definitions.into_iter().flatten().zip(1..) {
        definition.validate(&format!("{member}.{number}.member"), violations);
    }
}

impl MetricDefinition {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.name");
        violations.required(&member, self.name.as_ref());
        violations.text(&member, self.name.as_deref(), 1..=255, ".+", |_| true);
        let member = format!("{path}.regex");
        violations.required(&member, self.regex.as_ref());
        violations.text(&member, self.regex.as_deref(), 1..=500, ".+", |_| true);
        if let Some(regex) = self.regex.as_deref()
            && metrics::check(regex).is_err()
        {
            violations.add(
                &member,
                &format!("'{regex}'"),
                "Member must be a regular expression without look-around and back-references, \
                 and of bounded size",
            );
        }
    }
}

impl AlgorithmSpecification {
    /// What the log is searched for: the job's definitions, or those of the image.
    pub fn metrics(&self) -> Vec<Definition> {
        match self.metric_definitions.as_ref().filter(|given| !given.is_empty()) {
            None => metrics::of_image_classification(),
            Some(given) => given
                .iter()
                .map(|definition| Definition {
                    name: definition.name.clone().unwrap_or_default(),
                    regex: definition.regex.clone().unwrap_or_default(),
                })
                .collect(),
        }
    }
}

impl From<Definition> for MetricDefinition {
    fn from(definition: Definition) -> Self {
        Self { name: Some(definition.name), regex: Some(definition.regex) }
    }
}

/// Required, with a place in S3.
pub fn validate_output(violations: &mut Violations, given: Option<&OutputDataConfig>) {
    violations.required("outputDataConfig", given);
    let Some(given) = given else { return };
    let member = "outputDataConfig.s3OutputPath";
    violations.required(member, given.s3_output_path.as_ref());
    text::s3_uri(violations, member, given.s3_output_path.as_deref());
    text::kms_key(violations, "outputDataConfig.kmsKeyId", given.kms_key_id.as_deref());
    let member = "outputDataConfig.compressionType";
    let compression = given.compression_type.as_deref();
    violations.one_of(member, compression, &["GZIP", "NONE"]);
    if compression == Some("NONE") {
        refuse_value(violations, member, "NONE", "use GZIP");
    }
}

/// `spot`: whether EnableManagedSpotTraining is asked for.
pub fn validate_stopping(
    violations: &mut Violations,
    given: Option<&StoppingCondition>,
    spot: bool,
) {
    let empty = StoppingCondition::default();
    let given = given.unwrap_or(&empty);
    let member = "stoppingCondition.maxRuntimeInSeconds";
    violations.range(member, given.max_runtime_in_seconds, 1..=RUNTIME_SECS_MAX);
    let member = "stoppingCondition.maxWaitTimeInSeconds";
    violations.range(member, given.max_wait_time_in_seconds, 1..=i64::from(i32::MAX));
    let runtime = given.max_runtime_in_seconds.unwrap_or(RUNTIME_SECS_DEFAULT.cast_signed());
    match given.max_wait_time_in_seconds {
        Some(wait) if !spot => violations.add(
            member,
            &format!("'{wait}'"),
            "Member must be absent unless EnableManagedSpotTraining is true",
        ),
        wait if spot && wait.is_none_or(|wait| wait < runtime) => violations.add(
            member,
            &wait.map_or_else(|| "null".to_owned(), |wait| format!("'{wait}'")),
            "Member must be present and be greater than or equal to MaxRuntimeInSeconds when \
             EnableManagedSpotTraining is true",
        ),
        _ => {}
    }
    let member = "stoppingCondition.maxPendingTimeInSeconds";
    violations.range(member, given.max_pending_time_in_seconds, 1_800..=2_419_200);
}

impl CheckpointConfig {
    pub fn validate(&self, violations: &mut Violations) {
        let member = "checkpointConfig.s3Uri";
        violations.required(member, self.s3_uri.as_ref());
        text::s3_uri(violations, member, self.s3_uri.as_deref());
        let member = "checkpointConfig.localPath";
        let path = self.local_path.as_deref();
        text::plain(violations, member, path, 0..=4_096);
        if let Some(path) = path.filter(|path| !may_hold_checkpoints(path)) {
            violations.add(
                member,
                &format!("'{path}'"),
                "Member must be a directory below /opt/ml other than input, output, model, code \
                 and errors",
            );
        }
    }
}

/// Other places belong to the container contract or to the system.
fn may_hold_checkpoints(path: &str) -> bool {
    let Some(below) = path.strip_prefix("/opt/ml/") else { return false };
    let below = below.strip_suffix('/').unwrap_or(below);
    let first = below.split('/').next().unwrap_or_default();
    below.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !matches!(first, "input" | "output" | "model" | "code" | "errors")
        && !below.contains(['\0', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_keep_to_their_own_place() {
        for good in ["/opt/ml/checkpoints", "/opt/ml/checkpoints/", "/opt/ml/mine/deep"] {
            assert!(may_hold_checkpoints(good), "{good}");
        }
        for bad in [
            "",
            "/",
            "/opt/ml",
            "/opt/ml/",
            "/opt/ml/model",
            "/opt/ml/input/data/train",
            "/etc",
            "/opt/ml/../../etc",
            "/opt/ml/a//b",
            "/opt/ml/./model",
            "checkpoints",
        ] {
            assert!(!may_hold_checkpoints(bad), "{bad}");
        }
    }
}

//! Debugger and profiler: stored and echoed. Rules are not evaluated by this version, and their
//! status says so.

use std::collections::BTreeMap;

use kennel_wire::Timestamp;
use serde::{Deserialize, Serialize};

use super::text;
use crate::validate::Violations;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DebugHookConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_output_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_parameters: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection_configurations: Option<Vec<CollectionConfiguration>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct CollectionConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection_parameters: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ProfilerConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_output_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiling_interval_in_milliseconds: Option<i64>,
    /// Values are kept as they come: the SDK sends some that only look like JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiling_parameters: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disable_profiler: Option<bool>,
}

/// A DebugRuleConfiguration or ProfilerRuleConfiguration: their members are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RuleConfiguration {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_configuration_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_output_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_evaluator_image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    #[serde(rename = "VolumeSizeInGB", skip_serializing_if = "Option::is_none")]
    pub volume_size_in_gb: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_parameters: Option<BTreeMap<String, String>>,
}

/// A DebugRuleEvaluationStatus or ProfilerRuleEvaluationStatus.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuleEvaluationStatus {
    pub rule_configuration_name: String,
    pub rule_evaluation_status: &'static str,
    pub status_details: &'static str,
    pub last_modified_time: Timestamp,
}

impl DebugHookConfig {
    pub fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.localPath");
        text::plain(violations, &member, self.local_path.as_deref(), 0..=4_096);
        let member = format!("{path}.s3OutputPath");
        violations.required(&member, self.s3_output_path.as_ref());
        text::s3_uri(violations, &member, self.s3_output_path.as_deref());
        let member = format!("{path}.hookParameters");
        text::map(violations, &member, self.hook_parameters.as_ref(), 20, 1..=256, 256);
        let member = format!("{path}.collectionConfigurations");
        let collections = self.collection_configurations.as_ref();
        text::count(violations, &member, collections.map(Vec::len), 0..=20);
        for (collection, number) in collections.into_iter().flatten().zip(1..) {
            let member = format!("{path}.collectionConfigurations.{number}.member");
            let name = format!("{member}.collectionName");
            text::plain(violations, &name, collection.collection_name.as_deref(), 1..=256);
            let parameters = format!("{member}.collectionParameters");
            let map = collection.collection_parameters.as_ref();
            text::map(violations, &parameters, map, 20, 1..=256, 256);
        }
    }
}

impl ProfilerConfig {
    pub fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.s3OutputPath");
        text::s3_uri(violations, &member, self.s3_output_path.as_deref());
        let member = format!("{path}.profilingParameters");
        text::map(violations, &member, self.profiling_parameters.as_ref(), 20, 1..=256, 256);
    }
}

/// At most twenty.
pub fn validate_rules(
    violations: &mut Violations,
    member: &str,
    rules: Option<&Vec<RuleConfiguration>>,
) {
    text::count(violations, member, rules.map(Vec::len), 0..=20);
    for (rule, number) in rules.into_iter().flatten().zip(1..) {
        rule.validate(&format!("{member}.{number}.member"), violations);
    }
}

impl RuleConfiguration {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.ruleConfigurationName");
        violations.required(&member, self.rule_configuration_name.as_ref());
        text::plain(violations, &member, self.rule_configuration_name.as_deref(), 1..=256);
        let member = format!("{path}.ruleEvaluatorImage");
        violations.required(&member, self.rule_evaluator_image.as_ref());
        text::plain(violations, &member, self.rule_evaluator_image.as_deref(), 0..=255);
        let member = format!("{path}.localPath");
        text::plain(violations, &member, self.local_path.as_deref(), 0..=4_096);
        let member = format!("{path}.s3OutputPath");
        text::s3_uri(violations, &member, self.s3_output_path.as_deref());
        let member = format!("{path}.volumeSizeInGB");
        violations.range(&member, self.volume_size_in_gb, 0..=i64::from(i32::MAX));
        let member = format!("{path}.ruleParameters");
        text::map(violations, &member, self.rule_parameters.as_ref(), 100, 1..=256, 256);
    }
}

/// What Describe says of rules: the truth.
pub fn evaluations(
    rules: Option<&Vec<RuleConfiguration>>,
    at: Timestamp,
) -> Option<Vec<RuleEvaluationStatus>> {
    let rules = rules.filter(|rules| !rules.is_empty())?;
    let status = |rule: &RuleConfiguration| RuleEvaluationStatus {
        rule_configuration_name: rule.rule_configuration_name.clone().unwrap_or_default(),
        rule_evaluation_status: "Error",
        status_details: "not evaluated by this version",
        last_modified_time: at,
    };
    Some(rules.iter().map(status).collect())
}

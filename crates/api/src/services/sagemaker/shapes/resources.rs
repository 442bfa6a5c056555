//! The machines and the network a resource asks for.

use kennel_platform::instances;
use serde::{Deserialize, Serialize};

use super::text;
use super::unsupported::{Unsupported, refuse, refuse_value};
use crate::validate::Violations;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ResourceConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_count: Option<i64>,
    /// Stored and echoed: a run has the disk of this machine.
    #[serde(rename = "VolumeSizeInGB", skip_serializing_if = "Option::is_none")]
    pub volume_size_in_gb: Option<i64>,
    /// Stored and echoed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_kms_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive_period_in_seconds: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_groups: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_plan_arn: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_placement_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_preferences: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_instance_type: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_instance_count: Option<Unsupported>,
}

/// Stored and echoed: a run has a network of its own, whatever it names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct VpcConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_group_ids: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnets: Option<Vec<String>>,
}

/// Required: one instance of a type that trains.
pub fn validate_resources(violations: &mut Violations, given: Option<&ResourceConfig>) {
    let path = "resourceConfig";
    violations.required(path, given);
    let Some(given) = given else { return };
    let refused = [
        ("keepAlivePeriodInSeconds", given.keep_alive_period_in_seconds.as_ref()),
        ("instanceGroups", given.instance_groups.as_ref()),
        ("trainingPlanArn", given.training_plan_arn.as_ref()),
        ("instancePlacementConfig", given.instance_placement_config.as_ref()),
        ("instancePreferences", given.instance_preferences.as_ref()),
        ("selectedInstanceType", given.selected_instance_type.as_ref()),
        ("selectedInstanceCount", given.selected_instance_count.as_ref()),
    ];
    for (name, value) in refused {
        refuse(violations, &format!("{path}.{name}"), value);
    }
    let member = format!("{path}.instanceType");
    let instance_type = given.instance_type.as_deref();
    violations.required(&member, instance_type.as_ref());
    let names: Vec<&str> =
        instances::all().iter().filter(|one| one.trains).map(|one| one.name).collect();
    violations.one_of(&member, instance_type, &names);
    let member = format!("{path}.instanceCount");
    violations.required(&member, given.instance_count.as_ref());
    violations.range(&member, given.instance_count, 1..=i64::from(i32::MAX));
    if let Some(count) = given.instance_count.filter(|count| *count > 1) {
        refuse_value(violations, &member, &count.to_string(), "use 1");
    }
    let member = format!("{path}.volumeSizeInGB");
    violations.range(&member, given.volume_size_in_gb, 1..=i64::from(i32::MAX));
    let member = format!("{path}.volumeKmsKeyId");
    text::kms_key(violations, &member, given.volume_kms_key_id.as_deref());
}

impl VpcConfig {
    pub fn validate(&self, path: &str, violations: &mut Violations) {
        let lists = [
            ("securityGroupIds", self.security_group_ids.as_ref(), 5),
            ("subnets", self.subnets.as_ref(), 16),
        ];
        for (name, ids, most) in lists {
            let member = format!("{path}.{name}");
            violations.required(&member, ids);
            text::count(violations, &member, ids.map(Vec::len), 1..=most);
            for (id, number) in ids.into_iter().flatten().zip(1..) {
                let member = format!("{member}.{number}.member");
                violations.text(&member, Some(id), 0..=32, "[-0-9a-zA-Z]+", |id| {
                    !id.is_empty()
                        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                });
            }
        }
    }
}

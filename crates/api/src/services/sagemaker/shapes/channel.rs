//! Input channels.

use std::collections::BTreeSet;

use kennel_wire::run;
use serde::{Deserialize, Serialize};

use super::text;
use super::unsupported::{Unsupported, refuse, refuse_value};
use crate::failure::Failure;
use crate::validate::Violations;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Channel {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_source: Option<DataSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_wrapper_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shuffle_config: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DataSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_data_source: Option<S3DataSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_system_data_source: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset_source: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct S3DataSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_data_distribution_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribute_names: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_group_names: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_access_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_access_config: Option<Unsupported>,
}

/// Between one and twenty channels, each name once.
pub fn validate_channels(violations: &mut Violations, channels: Option<&Vec<Channel>>) {
    text::count(violations, "inputDataConfig", channels.map(Vec::len), 1..=20);
    let mut seen = BTreeSet::new();
    for (channel, number) in channels.into_iter().flatten().zip(1..) {
        let path = format!("inputDataConfig.{number}.member");
        channel.validate(&path, violations);
        if let Some(name) = channel.channel_name.as_ref().filter(|name| !seen.insert(*name)) {
            violations.add(
                &format!("{path}.channelName"),
                &format!("'{name}'"),
                "Member must be unique among the channels",
            );
        }
    }
}

impl Channel {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.channelName");
        violations.required(&member, self.channel_name.as_ref());
        // The name becomes a directory of the workload's: `.` and `..` match AWS's pattern and
        // would be another directory.
        violations.text(
            &member,
            self.channel_name.as_deref(),
            1..=64,
            r"[A-Za-z0-9\.\-_]+",
            |name| {
                name != "."
                    && name != ".."
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
            },
        );
        let member = format!("{path}.dataSource");
        violations.required(&member, self.data_source.as_ref());
        if let Some(source) = &self.data_source {
            source.validate(&member, violations);
        }
        let member = format!("{path}.contentType");
        text::plain(violations, &member, self.content_type.as_deref(), 0..=256);
        let member = format!("{path}.compressionType");
        violations.one_of(&member, self.compression_type.as_deref(), &["None", "Gzip"]);
        let member = format!("{path}.recordWrapperType");
        violations.one_of(&member, self.record_wrapper_type.as_deref(), &["None", "RecordIO"]);
        if self.record_wrapper_type.as_deref() == Some("RecordIO") {
            refuse_value(violations, &member, "RecordIO", "data is handed over as it is");
        }
        validate_input_mode(violations, &format!("{path}.inputMode"), self.input_mode.as_deref());
        refuse(violations, &format!("{path}.shuffleConfig"), self.shuffle_config.as_ref());
    }

    /// What the supervisor stages. The channel has passed validation.
    pub fn to_run(&self) -> Result<run::Channel, Failure> {
        let source = self.data_source.as_ref().and_then(|source| source.s3_data_source.as_ref());
        let uri = source.and_then(|source| source.s3_uri.as_deref()).unwrap_or_default();
        let place = text::location(uri)?;
        let manifest = source.and_then(|source| source.s3_data_type.as_deref());
        let source = if manifest == Some("ManifestFile") {
            run::ChannelSource::Manifest(run::S3Object { bucket: place.bucket, key: place.key })
        } else {
            run::ChannelSource::Prefix { bucket: place.bucket, prefix: place.key }
        };
        Ok(run::Channel {
            name: self.channel_name.clone().unwrap_or_default(),
            source,
            content_type: self.content_type.clone(),
            gzip: self.compression_type.as_deref() == Some("Gzip"),
        })
    }
}

pub fn validate_input_mode(violations: &mut Violations, member: &str, mode: Option<&str>) {
    violations.one_of(member, mode, &["Pipe", "File", "FastFile"]);
    if let Some(mode) = mode.filter(|mode| matches!(*mode, "Pipe" | "FastFile")) {
        refuse_value(violations, member, mode, "use File");
    }
}

impl DataSource {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.fileSystemDataSource");
        refuse(violations, &member, self.file_system_data_source.as_ref());
        refuse(violations, &format!("{path}.datasetSource"), self.dataset_source.as_ref());
        let member = format!("{path}.s3DataSource");
        if self.file_system_data_source.is_none() && self.dataset_source.is_none() {
            violations.required(&member, self.s3_data_source.as_ref());
        }
        if let Some(source) = &self.s3_data_source {
            source.validate(&member, violations);
        }
    }
}

impl S3DataSource {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.s3DataType");
        violations.required(&member, self.s3_data_type.as_ref());
        violations.one_of(
            &member,
            self.s3_data_type.as_deref(),
            &["ManifestFile", "S3Prefix", "AugmentedManifestFile", "Converse"],
        );
        if let Some(kind @ ("AugmentedManifestFile" | "Converse")) = self.s3_data_type.as_deref() {
            refuse_value(violations, &member, kind, "use S3Prefix or ManifestFile");
        }
        let member = format!("{path}.s3Uri");
        violations.required(&member, self.s3_uri.as_ref());
        text::s3_uri(violations, &member, self.s3_uri.as_deref());
        let member = format!("{path}.s3DataDistributionType");
        let distribution = self.s3_data_distribution_type.as_deref();
        violations.one_of(&member, distribution, &["FullyReplicated", "ShardedByS3Key"]);
        if distribution == Some("ShardedByS3Key") {
            refuse_value(violations, &member, "ShardedByS3Key", "use FullyReplicated");
        }
        let refused = [
            ("attributeNames", self.attribute_names.as_ref()),
            ("instanceGroupNames", self.instance_group_names.as_ref()),
            ("modelAccessConfig", self.model_access_config.as_ref()),
            ("hubAccessConfig", self.hub_access_config.as_ref()),
        ];
        for (name, value) in refused {
            refuse(violations, &format!("{path}.{name}"), value);
        }
    }
}

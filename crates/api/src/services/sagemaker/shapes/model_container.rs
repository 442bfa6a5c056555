//! The container of a model.

use std::collections::BTreeMap;

use kennel_platform::image;
use kennel_platform::model::{Artifact, ArtifactMember, Container};
use kennel_platform::names::S3Location;
use serde::{Deserialize, Serialize};

use super::text;
use super::unsupported::{Unsupported, refuse, refuse_value};
use crate::failure::Failure;
use crate::validate::Violations;

const MODEL_NAME_PATTERN: &str = r"[a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ContainerDefinition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_data_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_data_source: Option<ModelDataSource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_model_data_sources: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_package_name: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inference_specification_name: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_model_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_metrics_config: Option<Unsupported>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ModelDataSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_data_source: Option<S3ModelDataSource>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct S3ModelDataSource {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3_data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model_access_config: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub_access_config: Option<Unsupported>,
    #[serde(rename = "ManifestS3Uri", skip_serializing_if = "Option::is_none")]
    pub manifest_s3_uri: Option<Unsupported>,
    #[serde(rename = "ETag", skip_serializing_if = "Option::is_none")]
    pub etag: Option<Unsupported>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest_etag: Option<Unsupported>,
}

/// The required name of a model.
pub fn model_name(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.required(member, value.as_ref());
    violations.text(member, value, 1..=63, MODEL_NAME_PATTERN, |name| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        name.bytes().all(allowed) && !name.starts_with('-') && !name.ends_with('-')
    });
}

impl ContainerDefinition {
    pub fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.containerHostname");
        if let Some(hostname) = self.container_hostname.as_deref() {
            text::entity_name(violations, &member, Some(hostname));
        }
        self.validate_image(&format!("{path}.image"), violations);
        let member = format!("{path}.mode");
        violations.one_of(&member, self.mode.as_deref(), &["SingleModel", "MultiModel"]);
        if self.mode.as_deref() == Some("MultiModel") {
            refuse_value(violations, &member, "MultiModel", "use SingleModel");
        }
        self.validate_artifact(path, violations);
        self.validate_environment(&format!("{path}.environment"), violations);
        let refused = [
            ("imageConfig", self.image_config.as_ref()),
            ("additionalModelDataSources", self.additional_model_data_sources.as_ref()),
            ("modelPackageName", self.model_package_name.as_ref()),
            ("inferenceSpecificationName", self.inference_specification_name.as_ref()),
            ("multiModelConfig", self.multi_model_config.as_ref()),
            ("containerMetricsConfig", self.container_metrics_config.as_ref()),
        ];
        for (name, value) in refused {
            refuse(violations, &format!("{path}.{name}"), value);
        }
    }

    fn validate_image(&self, member: &str, violations: &mut Violations) {
        if self.model_package_name.is_none() {
            violations.required(member, self.image.as_ref());
        }
        violations.text(member, self.image.as_deref(), 0..=255, r"[\S]+", |image| {
            !image.is_empty() && !image.chars().any(char::is_whitespace)
        });
        if let Some(image) = self.image.as_deref().filter(|image| image::resolve(image).is_none()) {
            violations.add(member, &format!("'{image}'"), image::SUPPORTED);
        }
    }

    fn validate_artifact(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.modelDataUrl");
        validate_object(violations, &member, self.model_data_url.as_deref());
        let Some(source) = &self.model_data_source else { return };
        let member = format!("{path}.modelDataSource");
        if self.model_data_url.is_some() {
            let constraint = "Member must not be given together with modelDataUrl";
            violations.add(&member, "(given)", constraint);
        }
        let member = format!("{member}.s3DataSource");
        violations.required(&member, source.s3_data_source.as_ref());
        if let Some(source) = &source.s3_data_source {
            source.validate(&member, violations);
        }
    }

    fn validate_environment(&self, member: &str, violations: &mut Violations) {
        text::map(violations, member, self.environment.as_ref(), 100, 0..=1_024, 1_024);
        for (key, value) in self.environment.iter().flatten() {
            violations.text(
                &format!("{member}.key"),
                Some(key),
                0..=1_024,
                "[a-zA-Z_][a-zA-Z0-9_]*",
                |key| {
                    key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                        && key.bytes().next().is_some_and(|first| !first.is_ascii_digit())
                },
            );
            if value.contains('\0') {
                let constraint = "Member must not contain the character with the code 0";
                violations.add(&format!("{member}.value"), "(given)", constraint);
            }
        }
    }

    /// What the platform keeps. The definition has passed validation.
    pub fn into_container(self) -> Result<Container, Failure> {
        let artifact = |uri: &str, given| -> Result<Artifact, Failure> {
            Ok(Artifact { location: text::location(uri)?, given })
        };
        let source = self.model_data_source.and_then(|source| source.s3_data_source);
        let artifact = match (self.model_data_url, source.and_then(|source| source.s3_uri)) {
            (Some(url), _) => Some(artifact(&url, ArtifactMember::ModelDataUrl)?),
            (None, Some(uri)) => Some(artifact(&uri, ArtifactMember::ModelDataSource)?),
            (None, None) => None,
        };
        Ok(Container {
            hostname: self.container_hostname,
            image: self.image.unwrap_or_default(),
            artifact,
            environment: self.environment.unwrap_or_default(),
        })
    }
}

impl S3ModelDataSource {
    fn validate(&self, path: &str, violations: &mut Violations) {
        let member = format!("{path}.s3Uri");
        violations.required(&member, self.s3_uri.as_ref());
        validate_object(violations, &member, self.s3_uri.as_deref());
        let member = format!("{path}.s3DataType");
        violations.required(&member, self.s3_data_type.as_ref());
        violations.one_of(&member, self.s3_data_type.as_deref(), &["S3Prefix", "S3Object"]);
        if self.s3_data_type.as_deref() == Some("S3Prefix") {
            refuse_value(violations, &member, "S3Prefix", "use S3Object");
        }
        let member = format!("{path}.compressionType");
        violations.required(&member, self.compression_type.as_ref());
        violations.one_of(&member, self.compression_type.as_deref(), &["None", "Gzip"]);
        if self.compression_type.as_deref() == Some("None") {
            refuse_value(violations, &member, "None", "use Gzip");
        }
        let refused = [
            ("modelAccessConfig", self.model_access_config.as_ref()),
            ("hubAccessConfig", self.hub_access_config.as_ref()),
            ("manifestS3Uri", self.manifest_s3_uri.as_ref()),
            ("eTag", self.etag.as_ref()),
            ("manifestEtag", self.manifest_etag.as_ref()),
        ];
        for (name, value) in refused {
            refuse(violations, &format!("{path}.{name}"), value);
        }
    }
}

/// A URI that names one object.
fn validate_object(violations: &mut Violations, member: &str, uri: Option<&str>) {
    text::s3_uri(violations, member, uri);
    let place = uri.and_then(|uri| S3Location::parse(uri).ok());
    if let Some(place) = place.filter(|place| place.key.is_empty() || place.key.ends_with('/')) {
        let constraint = "Member must name an object that is a gzip compressed tar archive";
        violations.add(member, &format!("'{place}'"), constraint);
    }
}

impl From<Container> for ContainerDefinition {
    fn from(container: Container) -> Self {
        let (mut url, mut source) = (None, None);
        if let Some(Artifact { location, given }) = container.artifact {
            let uri = Some(location.to_string());
            match given {
                ArtifactMember::ModelDataUrl => url = uri,
                ArtifactMember::ModelDataSource => {
                    source = Some(ModelDataSource {
                        s3_data_source: Some(S3ModelDataSource {
                            s3_uri: uri,
                            s3_data_type: Some("S3Object".to_owned()),
                            compression_type: Some("Gzip".to_owned()),
                            model_access_config: None,
                            hub_access_config: None,
                            manifest_s3_uri: None,
                            etag: None,
                            manifest_etag: None,
                        }),
                    });
                }
            }
        }
        Self {
            container_hostname: container.hostname,
            image: Some(container.image),
            image_config: None,
            mode: Some("SingleModel".to_owned()),
            model_data_url: url,
            model_data_source: source,
            additional_model_data_sources: None,
            environment: Some(container.environment).filter(|map| !map.is_empty()),
            model_package_name: None,
            inference_specification_name: None,
            multi_model_config: None,
            container_metrics_config: None,
        }
    }
}

//! Endpoint configurations: which models serve, on what and how many.

use serde::{Deserialize, Serialize};

use crate::names::EntityName;

pub const TABLE: &str = "endpoint-configs";

/// A record that never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndpointConfig {
    pub name: EntityName,
    pub variants: Vec<VariantConfig>,
    /// Stored and shown; the disk is the user's own.
    pub kms_key_id: Option<String>,
    pub created_at_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantConfig {
    pub name: EntityName,
    pub model_name: EntityName,
    pub instance_type: String,
    pub instance_count: u32,
    pub weight: f64,
    /// How long the artifact may take to arrive; AWS's default where absent.
    pub download_timeout_secs: Option<u32>,
    /// How long /ping may take to answer; AWS's default where absent.
    pub startup_timeout_secs: Option<u32>,
    pub routing: Option<Routing>,
    /// Stored and shown; the disk is the user's own.
    pub volume_size_gb: Option<u32>,
    /// Stored and shown; there is no machine image here.
    pub inference_ami_version: Option<String>,
}

/// How a replica is chosen within its variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Routing {
    LeastOutstandingRequests,
    Random,
}

impl Routing {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LeastOutstandingRequests => "LEAST_OUTSTANDING_REQUESTS",
            Self::Random => "RANDOM",
        }
    }
}

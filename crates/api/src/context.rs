//! Who asks, and what an operation may use to answer.

use std::sync::Arc;

use kennel_platform::Platform;
use kennel_platform::identity::{Key, Principal};
use kennel_wire::Arn;

/// Handed to every operation.
#[derive(Clone)]
pub struct Context {
    pub platform: Arc<Platform>,
    pub caller: Caller,
    pub request_id: String,
}

impl Context {
    pub fn new(platform: Arc<Platform>, caller: Caller, request_id: impl Into<String>) -> Self {
        Self { platform, caller, request_id: request_id.into() }
    }

    /// As GetCallerIdentity names the caller: the account's root, or an assumed role.
    pub fn caller_arn(&self) -> String {
        let account = self.account();
        match &self.caller {
            Caller::Root { .. } => format!("arn:aws:iam::{account}:root"),
            Caller::Session { role_arn, session_name, .. } => {
                let role = Arn::parse(role_arn).map_or("", |arn| arn.resource_name());
                format!("arn:aws:sts::{account}:assumed-role/{role}/{session_name}")
            }
        }
    }

    pub fn account(&self) -> &str {
        &self.platform.config.account
    }

    pub fn region(&self) -> &str {
        &self.platform.config.region
    }

    /// `arn:aws:<service>:<region>:<account>:<resource>`
    pub fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region(), self.account())
    }
}

/// The authenticated principal of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The account's root key.
    Root { access_key_id: String },
    /// A role's session.
    Session {
        access_key_id: String,
        role_arn: String,
        role_id: String,
        session_name: String,
        /// IAM policy documents that bound the session; it may do only what each allows.
        policies: Vec<String>,
    },
}

impl Caller {
    /// Whom the key stands for. To be called only once its signature was verified.
    pub fn from_key(access_key_id: &str, key: &Key) -> Self {
        let access_key_id = access_key_id.to_owned();
        match key.principal.clone() {
            Principal::Root => Self::Root { access_key_id },
            Principal::Session { role_arn, role_id, session_name, policies } => {
                Self::Session { access_key_id, role_arn, role_id, session_name, policies }
            }
        }
    }
}

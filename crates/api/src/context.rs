//! Who asks, and what an operation may use to answer.

use std::sync::Arc;

use kennel_platform::Platform;

/// Handed to every operation.
#[derive(Clone)]
pub struct Context {
    pub platform: Arc<Platform>,
    pub caller: Caller,
    pub request_id: String,
}

impl Context {
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

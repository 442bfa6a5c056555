//! One line a request: who asked for what, on what, whether it was allowed, and how it ended.
//!
//! The line is JSON under the tracing target [`TARGET`]. It is made of names alone: no header, no
//! query string and no body ever comes here, so that no secret, signature or token can.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::context::Caller;
use crate::operation::Access;

pub const TARGET: &str = "kennel::audit";

/// What is known of a request so far. Clones fill the same line.
#[derive(Debug, Clone, Default)]
pub struct Entry(Arc<Mutex<Fields>>);

#[derive(Debug, Default, Serialize)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    access: Vec<Need>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
}

#[derive(Debug, Serialize)]
struct Need {
    action: &'static str,
    resource: String,
}

#[derive(Serialize)]
struct Line<'a> {
    request_id: &'a str,
    status: u16,
    #[serde(flatten)]
    fields: &'a Fields,
}

impl Entry {
    pub fn caller(&self, caller: &Caller) {
        let mut fields = self.fields();
        match caller {
            Caller::Root { access_key_id } => fields.access_key_id = Some(access_key_id.clone()),
            Caller::Session { access_key_id, role_arn, session_name, .. } => {
                fields.access_key_id = Some(access_key_id.clone());
                fields.role_arn = Some(role_arn.clone());
                fields.session_name = Some(session_name.clone());
            }
        }
    }

    pub fn operation(&self, service: &'static str, operation: &'static str) {
        let mut fields = self.fields();
        fields.service = Some(service);
        fields.operation = Some(operation);
    }

    /// What the request needed. Taken as allowed unless [`Entry::denied`] follows.
    pub fn access(&self, access: &[Access]) {
        let mut fields = self.fields();
        fields.access = access
            .iter()
            .map(|one| Need { action: one.action, resource: one.resource.clone() })
            .collect();
        fields.decision = Some("allowed");
    }

    pub fn denied(&self) {
        self.fields().decision = Some("denied");
    }

    /// The error the client was answered.
    pub fn code(&self, code: &str) {
        self.fields().code = Some(code.to_owned());
    }

    /// Writes the line.
    pub fn finish(&self, request_id: &str, status: u16) {
        let fields = self.fields();
        let line = Line { request_id, status, fields: &fields };
        match serde_json::to_string(&line) {
            Ok(line) => tracing::info!(target: TARGET, "{line}"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "no audit line")
            }
        }
    }

    fn fields(&self) -> MutexGuard<'_, Fields> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Whether the caller may do what a request needs. The one place where this is decided.

use kennel_policy::{Document, Request, decide};

use crate::context::{Caller, Context};
use crate::failure::Failure;
use crate::operation::Access;

/// A permission the caller has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Denied {
    pub caller_arn: String,
    pub action: &'static str,
    pub resource: String,
    /// AWS's sentence.
    pub message: String,
}

/// The account's root may do everything; a session what every one of its policies allows.
/// A policy that cannot be read allows nothing.
pub fn check(context: &Context, access: &[Access]) -> Result<(), Denied> {
    let Caller::Session { policies, .. } = &context.caller else { return Ok(()) };
    let documents: Vec<Option<Document>> =
        policies.iter().map(|text| Document::parse(text).ok()).collect();
    for needed in access {
        let request = Request { action: needed.action, resource: &needed.resource };
        let mut explicit = false;
        let allowed = !documents.is_empty()
            && documents.iter().all(|document| {
                let Some(document) = document else { return false };
                let decision = decide(std::slice::from_ref(document), &request);
                explicit |= decision.is_explicit_deny();
                decision.allowed
            });
        if !allowed {
            return Err(denied(context, needed, explicit));
        }
    }
    Ok(())
}

fn denied(context: &Context, needed: &Access, explicit: bool) -> Denied {
    let caller_arn = context.caller_arn();
    let (action, resource) = (needed.action, &needed.resource);
    let why = if explicit {
        "with an explicit deny in an identity-based policy".to_owned()
    } else {
        format!("because no identity-based policy allows the {action} action")
    };
    let message = format!(
        "User: {caller_arn} is not authorized to perform: {action} on resource: {resource} {why}"
    );
    Denied { caller_arn, action, resource: resource.clone(), message }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        Self::new(400, "AccessDeniedException", denied.message)
    }
}

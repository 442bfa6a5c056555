//! What an operation is: its shapes, the access it needs, its checks, and what it does.

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::failure::Failure;
use crate::validate::Violations;

/// One API operation. Its file holds nothing else.
///
/// The gateway calls the functions in the order they stand here, so that a caller who may not do
/// something learns nothing about validation or existence. `Input` therefore takes every member
/// as an `Option` of its wire type: a wrong type is a SerializationException before, a missing or
/// malformed member a ValidationException after authorization.
#[async_trait]
pub trait Operation: Send + Sync + 'static {
    /// AWS's name: `CreateTrainingJob`.
    const NAME: &'static str;

    /// Wire names by serde (`rename_all = "PascalCase"`); unknown members are refused by name
    /// with `deny_unknown_fields`: a field is read, stored and echoed, or refused, never dropped.
    type Input: DeserializeOwned + Send + Sync;

    /// Absent members are skipped (`skip_serializing_if`), structures are never empty.
    type Output: Serialize + Send;

    /// Every action and resource the caller must be allowed, from the raw names in the input.
    /// An empty list means that any authenticated caller may ask.
    fn authorize(context: &Context, input: &Self::Input) -> Vec<Access>;

    /// Records each constraint of AWS's model that a member violates.
    fn validate(input: &Self::Input, violations: &mut Violations);

    /// Does it. The input has passed `validate`.
    async fn handle(context: &Context, input: Self::Input) -> Result<Self::Output, Failure>;
}

/// One permission a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `sagemaker:CreateTrainingJob`
    pub action: &'static str,
    /// An ARN, or `*` for actions that have no resource.
    pub resource: String,
}

impl Access {
    pub fn new(action: &'static str, resource: impl Into<String>) -> Self {
        Self { action, resource: resource.into() }
    }
}

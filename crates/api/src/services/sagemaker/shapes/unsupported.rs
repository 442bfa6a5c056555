//! Members that AWS knows and this version has no behaviour for: refused by name, never dropped.

use serde::{Deserialize, Serialize, Serializer};

use crate::validate::Violations;

/// The end of the sentence that refuses a member or a value.
pub const NOT_SUPPORTED: &str = "Member is not supported by this version of Kennel";

/// Any JSON, read so that its presence can be refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "serde::de::IgnoredAny")]
pub struct Unsupported;

impl From<serde::de::IgnoredAny> for Unsupported {
    fn from(_: serde::de::IgnoredAny) -> Self {
        Self
    }
}

/// Never reached by what passed validation.
impl Serialize for Unsupported {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// Refuses a member that is present.
pub fn refuse<T>(violations: &mut Violations, member: &str, value: Option<&T>) {
    if value.is_some() {
        violations.add(member, "(given)", NOT_SUPPORTED);
    }
}

/// Refuses a value of a member whose other values are fine.
pub fn refuse_value(violations: &mut Violations, member: &str, value: &str, reason: &str) {
    violations.add(member, &format!("'{value}'"), &format!("{NOT_SUPPORTED}: {reason}"));
}

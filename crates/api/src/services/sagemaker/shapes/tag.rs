//! Tags.

use std::collections::BTreeSet;

use kennel_platform::tags;
use serde::{Deserialize, Serialize};

use super::text;
use crate::validate::Violations;

const PATTERN: &str = r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// At most 50, each with a key that nobody else's is, outside of AWS's own `aws:`.
pub fn validate_tags(violations: &mut Violations, given: Option<&Vec<Tag>>) {
    text::count(violations, "tags", given.map(Vec::len), 0..=50);
    let mut seen = BTreeSet::new();
    for (tag, number) in given.into_iter().flatten().zip(1..) {
        let member = format!("tags.{number}.member.key");
        violations.required(&member, tag.key.as_ref());
        validate_key(violations, &member, tag.key.as_deref());
        if tag.key.as_ref().is_some_and(|key| !seen.insert(key)) {
            let value = format!("'{}'", tag.key.as_deref().unwrap_or_default());
            violations.add(&member, &value, "Member must be unique among the keys of the tags");
        }
        let member = format!("tags.{number}.member.value");
        violations.required(&member, tag.value.as_ref());
        violations.text(&member, tag.value.as_deref(), 0..=256, PATTERN, fits);
    }
}

pub fn validate_key(violations: &mut Violations, member: &str, key: Option<&str>) {
    violations.text(member, key, 1..=128, PATTERN, fits);
    if let Some(key) = key.filter(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        violations.add(
            member,
            &format!("'{key}'"),
            "Member must not begin with aws:, which is reserved for system use",
        );
    }
}

fn fits(text: &str) -> bool {
    text.chars().all(|character| {
        character.is_alphanumeric()
            || "_.:/=+-@ ".contains(character)
            || (character.is_whitespace() && !character.is_control())
    })
}

/// Tags that passed validation, as the platform keeps them.
pub fn tags_from(given: Option<Vec<Tag>>) -> Vec<tags::Tag> {
    let pair = |tag: Tag| tags::Tag {
        key: tag.key.unwrap_or_default(),
        value: tag.value.unwrap_or_default(),
    };
    given.unwrap_or_default().into_iter().map(pair).collect()
}

impl From<tags::Tag> for Tag {
    fn from(tag: tags::Tag) -> Self {
        Self { key: Some(tag.key), value: Some(tag.value) }
    }
}

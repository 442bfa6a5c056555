//! The constraints that members of several operations share.

use super::arn;
use crate::validate::Violations;

pub fn group_name(violations: &mut Violations, member: &str, value: Option<&str>) {
    let fits = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/#".contains(c));
    violations.text(member, value, 1..=512, "[\\.\\-_/#A-Za-z0-9]+", fits);
}

pub fn stream_name(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.text(member, value, 1..=512, "[^:*]*", |name| !name.contains([':', '*']));
}

/// One of the two ways to name a group, and not both.
pub fn group(violations: &mut Violations, name: Option<&String>, identifier: Option<&String>) {
    group_name(violations, "logGroupName", name.map(String::as_str));
    let of_identifier = identifier.map(|identifier| arn::group_name(identifier));
    group_name(violations, "logGroupIdentifier", of_identifier);
    if identifier.is_none() {
        violations.required("logGroupName", name);
    }
}

/// The group that one of the two names; empty if neither does, which [`group`] refuses.
pub fn chosen_group<'a>(name: Option<&'a String>, identifier: Option<&'a String>) -> &'a str {
    match (name, identifier) {
        (Some(name), _) => name,
        (None, Some(identifier)) => arn::group_name(identifier),
        (None, None) => "",
    }
}

//! Checks of kinds of text that many members share.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kennel_platform::names::{S3Location, fits_entity_name, fits_role_arn};

use super::unsupported::refuse_value;
use crate::validate::Violations;

pub const ENTITY_NAME_PATTERN: &str = "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}";
const ROLE_ARN_PATTERN: &str = r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+";
const S3_URI_PATTERN: &str = r"(https|s3)://([^/]+)/?(.*)";
const KMS_KEY_PATTERN: &str = "[a-zA-Z0-9:/_-]*";

/// The required name of a training job, model, endpoint configuration or endpoint.
pub fn entity_name(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.required(member, value.as_ref());
    violations.text(member, value, 1..=63, ENTITY_NAME_PATTERN, pattern_of_name);
}

/// The pattern alone, without the length that is checked beside it.
fn pattern_of_name(text: &str) -> bool {
    let shortened: String = text.chars().take(63).collect();
    fits_entity_name(text)
        || (text.chars().count() > 63 && fits_entity_name(shortened.trim_end_matches('-')))
}

pub fn role_arn(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.required(member, value.as_ref());
    violations.text(member, value, 20..=2_048, ROLE_ARN_PATTERN, fits_role_arn);
}

pub fn s3_uri(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.text(member, value, 0..=1_024, S3_URI_PATTERN, |uri| {
        let rest = uri.strip_prefix("s3://").or_else(|| uri.strip_prefix("https://"));
        rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
    });
    if let Some(uri) = value.filter(|uri| uri.starts_with("https://")) {
        refuse_value(violations, member, uri, "use s3://bucket/key");
    }
}

/// The place a validated URI names.
pub fn location(uri: &str) -> Result<S3Location, crate::Failure> {
    S3Location::parse(uri).map_err(|error| crate::Failure::validation(error.to_string()))
}

pub fn kms_key(violations: &mut Violations, member: &str, value: Option<&str>) {
    violations.text(member, value, 0..=2_048, KMS_KEY_PATTERN, |key| {
        key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte))
    });
}

/// A string with a length and no pattern.
pub fn plain(
    violations: &mut Violations,
    member: &str,
    value: Option<&str>,
    length: RangeInclusive<usize>,
) {
    violations.text(member, value, length, ".*", |_| true);
}

/// The number of members of a list or map.
pub fn count(
    violations: &mut Violations,
    member: &str,
    present: Option<usize>,
    allowed: RangeInclusive<usize>,
) {
    let Some(present) = present else { return };
    let value = format!("({present} members)");
    if present < *allowed.start() {
        let least = allowed.start();
        violations.add(
            member,
            &value,
            &format!("Member must have length greater than or equal to {least}"),
        );
    }
    if present > *allowed.end() {
        let most = allowed.end();
        violations.add(
            member,
            &value,
            &format!("Member must have length less than or equal to {most}"),
        );
    }
}

/// A map of texts: its size, and the lengths of its keys and values.
pub fn map(
    violations: &mut Violations,
    member: &str,
    map: Option<&BTreeMap<String, String>>,
    entries_max: usize,
    key_chars: RangeInclusive<usize>,
    value_chars_max: usize,
) {
    count(violations, member, map.map(BTreeMap::len), 0..=entries_max);
    for (key, value) in map.into_iter().flatten() {
        plain(violations, &format!("{member}.key"), Some(key), key_chars.clone());
        plain(violations, &format!("{member}.value"), Some(value), 0..=value_chars_max);
    }
}

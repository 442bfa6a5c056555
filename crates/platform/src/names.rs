//! Validated names. A name never becomes a path; paths come from internal ids.

use serde::{Deserialize, Serialize};

/// Characters of a SageMaker resource name.
const ENTITY_NAME_CHARS_MAX: usize = 63;
const ROLE_ARN_CHARS_MIN: usize = 20;
const ROLE_ARN_CHARS_MAX: usize = 2_048;
const S3_URI_CHARS_MAX: usize = 1_024;
const BUCKET_NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=63;

/// The name of a training job, model, endpoint configuration or endpoint:
/// `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`, at most 63 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntityName(String);

impl EntityName {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if fits_entity_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::EntityName(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What records are kept under, and what ARNs end with. Two names that differ in case alone
    /// have the same ARN, so they are the same resource.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// Letters, digits and inner hyphens.
pub fn fits_entity_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=ENTITY_NAME_CHARS_MAX).contains(&text.len())
        && text.bytes().all(allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// `arn:aws:iam::123456789012:role/path/name`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleArn(String);

impl RoleArn {
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if fits_role_arn(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Invalid::RoleArn(text.to_owned()))
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The twelve digits.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

/// `arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+`, 20 to 2048 characters.
pub fn fits_role_arn(text: &str) -> bool {
    let mut parts = text.splitn(6, ':');
    let mut next = || parts.next().unwrap_or_default();
    let (arn, partition, service, region, account, resource) =
        (next(), next(), next(), next(), next(), next());
    let partition_fits = partition
        .strip_prefix("aws")
        .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
    let role_fits = resource.strip_prefix("role").is_some_and(|rest| {
        let name = rest.strip_prefix('/').unwrap_or(rest);
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte))
    });
    (ROLE_ARN_CHARS_MIN..=ROLE_ARN_CHARS_MAX).contains(&text.len())
        && arn == "arn"
        && partition_fits
        && service == "iam"
        && region.is_empty()
        && account.len() == 12
        && account.bytes().all(|byte| byte.is_ascii_digit())
        && role_fits
}

/// A bucket with a key or a key prefix in it: `s3://bucket/key`. The key may be empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct S3Location {
    pub bucket: String,
    pub key: String,
}

impl S3Location {
    pub fn parse(uri: &str) -> Result<Self, Invalid> {
        let place = Self::split(uri)?;
        if !fits_bucket_name(&place.bucket) {
            return Err(Invalid::Bucket(uri.to_owned()));
        }
        Ok(place)
    }

    /// The parts alone. Records of before may hold buckets that no request names any more.
    fn split(uri: &str) -> Result<Self, Invalid> {
        let invalid = || Invalid::S3Uri(uri.to_owned());
        let rest = uri.strip_prefix("s3://").ok_or_else(invalid)?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() || uri.chars().count() > S3_URI_CHARS_MAX {
            return Err(invalid());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// `key` taken as a directory, with `name` in it; one slash between them whether or not the
    /// key ends with one.
    pub fn child(&self, name: &str) -> Self {
        let parent = self.key.strip_suffix('/').unwrap_or(&self.key);
        let key = if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") };
        Self { bucket: self.bucket.clone(), key }
    }
}

impl std::fmt::Display for S3Location {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "s3://{}/{}", self.bucket, self.key)
    }
}

/// `[a-z0-9.-]{3,63}`: whatever a bucket can be called, and nothing that a policy would read as a
/// pattern.
fn fits_bucket_name(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    BUCKET_NAME_CHARS.contains(&text.len()) && text.bytes().all(allowed)
}

/// The `Resource` of a policy that means this bucket.
pub(crate) fn bucket_resource(bucket: &str) -> String {
    format!("arn:aws:s3:::{}", literal(bucket))
}

/// The `Resource` of a policy that means this object.
pub(crate) fn object_resource(bucket: &str, key: &str) -> String {
    format!("{}/{}", bucket_resource(bucket), literal(key))
}

/// The narrowest pattern that matches this text. Policies know no escape for a star, so that `?`,
/// any one character, stands for it; likewise for the `$` of `${`, which would begin a variable.
/// A `?` stands for itself.
fn literal(text: &str) -> String {
    text.replace('*', "?").replace("${", "?{")
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("`{0}` is not a resource name")]
    EntityName(String),
    #[error("`{0}` is not the ARN of a role")]
    RoleArn(String),
    #[error("`{0}` is not an S3 URI")]
    S3Uri(String),
    #[error(
        "`{0}` is not an S3 URI: the name of a bucket has 3 to 63 characters, lower-case letters, \
         digits, dots and hyphens"
    )]
    Bucket(String),
}

impl TryFrom<String> for EntityName {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<EntityName> for String {
    fn from(name: EntityName) -> Self {
        name.0
    }
}

impl TryFrom<String> for RoleArn {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<RoleArn> for String {
    fn from(arn: RoleArn) -> Self {
        arn.0
    }
}

impl TryFrom<String> for S3Location {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::split(&text)
    }
}

impl From<S3Location> for String {
    fn from(location: S3Location) -> Self {
        location.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_names_follow_the_pattern() {
        for good in ["a", "A-1", "a--b", &"x".repeat(63)] {
            assert!(fits_entity_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "a.b", "../a", "ä", &"x".repeat(64)] {
            assert!(!fits_entity_name(bad), "{bad}");
        }
    }

    #[test]
    fn names_that_differ_in_case_are_one_resource() {
        assert_eq!(
            EntityName::parse("Dogs-1").unwrap().key(),
            EntityName::parse("dogs-1").unwrap().key()
        );
    }

    #[test]
    fn role_arns_follow_the_pattern() {
        let good = "arn:aws:iam::123456789012:role/service-role/Kennel+1";
        assert_eq!(RoleArn::parse(good).unwrap().account(), "123456789012");
        for bad in [
            "",
            "arn:aws:iam::123456789012:user/someone",
            "arn:aws:iam:us-east-1:123456789012:role/x",
            "arn:aws:iam::12345678901:role/xxxxxxx",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
            "arn:aws:s3:::bucket-of-some-length",
        ] {
            assert!(RoleArn::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn s3_uris_are_split_at_the_first_slash() {
        let root = S3Location::parse("s3://bucket").unwrap();
        assert_eq!((root.bucket.as_str(), root.key.as_str()), ("bucket", ""));
        let odd = S3Location::parse("s3://bucket//valid/x").unwrap();
        assert_eq!(odd.key, "/valid/x");
        assert!(S3Location::parse("s3:///key").is_err());
        assert!(S3Location::parse("https://bucket/key").is_err());
    }

    #[test]
    fn children_have_one_slash_before_them() {
        let child = |uri: &str| S3Location::parse(uri).unwrap().child("job").to_string();
        for uri in ["s3://dogs/out", "s3://dogs/out/"] {
            assert_eq!(child(uri), "s3://dogs/out/job");
        }
        assert_eq!(child("s3://dogs"), "s3://dogs/job");
    }

    #[test]
    fn buckets_are_called_what_buckets_can_be_called() {
        let longest = "x".repeat(63);
        for good in ["abc", "my.bucket-1", "123", &longest] {
            assert!(S3Location::parse(&format!("s3://{good}/key*")).is_ok(), "{good}");
        }
        let too_long = "x".repeat(64);
        for bad in ["*", "***", "dog?", "do*s", "ab", "Dogs", "my_bucket", "hündin", &too_long] {
            let uri = format!("s3://{bad}/key");
            assert_eq!(S3Location::parse(&uri), Err(Invalid::Bucket(uri)));
        }
    }

    #[test]
    fn a_recorded_place_is_read_whatever_its_bucket_is_called() {
        let place: S3Location = serde_json::from_str("\"s3://My_Bucket/out\"").unwrap();
        assert_eq!((place.bucket.as_str(), place.key.as_str()), ("My_Bucket", "out"));
    }

    #[test]
    fn no_star_of_a_name_becomes_one_of_a_policy() {
        assert_eq!(object_resource("dogs", "a*b?c"), "arn:aws:s3:::dogs/a?b?c");
        assert_eq!(object_resource("*", "${x}$"), "arn:aws:s3:::?/?{x}$");
        assert_eq!(bucket_resource("d*"), "arn:aws:s3:::d?");
    }
}

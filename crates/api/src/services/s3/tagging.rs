//! Tags of objects and buckets, with AWS's rules.

use kennel_platform::objects::Tags;
use s3s::dto::Tag;
use s3s::{S3Error, S3Result, s3_error};

use super::errors;
use super::listing::decoded;

/// AWS's limits.
pub(super) const OBJECT_TAGS_MAX: usize = 10;
pub(super) const BUCKET_TAGS_MAX: usize = 50;
const KEY_CHARACTERS_MAX: usize = 128;
const VALUE_CHARACTERS_MAX: usize = 256;

pub(super) fn read(set: Vec<Tag>, max: usize) -> S3Result<Tags> {
    let pairs = set.into_iter().map(|tag| {
        let missing = || errors::custom("MalformedXML", http::StatusCode::BAD_REQUEST, "The XML you provided was not well-formed or did not validate against our published schema");
        Ok((tag.key.ok_or_else(missing)?, tag.value.ok_or_else(missing)?))
    });
    collect(pairs, max)
}

/// The header `x-amz-tagging`: a query string.
pub(super) fn read_header(header: Option<&str>) -> S3Result<Tags> {
    let pairs = header.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        match (decoded(&key.replace('+', " ")), decoded(&value.replace('+', " "))) {
            (Some(key), Some(value)) => Ok((key, value)),
            _ => Err(errors::invalid_argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query \
                 parameters without tag name duplicates.",
            )),
        }
    });
    collect(pairs, OBJECT_TAGS_MAX)
}

pub(super) fn write(tags: Tags) -> Vec<Tag> {
    tags.into_iter().map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect()
}

fn collect(
    pairs: impl Iterator<Item = Result<(String, String), S3Error>>,
    max: usize,
) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for pair in pairs {
        let (key, value) = pair?;
        if !(1..=KEY_CHARACTERS_MAX).contains(&key.chars().count()) || !is_allowed(&key) {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > VALUE_CHARACTERS_MAX || !is_allowed(&value) {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if key.starts_with("aws:") {
            let message = "System tags cannot be added/updated by requester";
            return Err(s3_error!(InvalidTag, "{message}"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > max {
        let what = if max == OBJECT_TAGS_MAX { "Object" } else { "Bucket" };
        return Err(errors::custom(
            "BadRequest",
            http::StatusCode::BAD_REQUEST,
            format!("{what} tags cannot be greater than {max}"),
        ));
    }
    Ok(tags)
}

fn is_allowed(text: &str) -> bool {
    text.chars().all(|each| each.is_alphanumeric() || " +-=._:/@".contains(each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tagging_header_is_a_query_string() {
        let tags = read_header(Some("breed=Great%20pyrenees&good=")).unwrap();
        let expected = [("breed", "Great pyrenees"), ("good", "")];
        assert_eq!(tags, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        assert!(read_header(None).unwrap().is_empty());
    }

    #[test]
    fn tags_outside_the_rules_are_refused() {
        let code = |header: &str| read_header(Some(header)).unwrap_err().code().as_str().to_owned();
        assert_eq!(code("a=1&a=2"), "InvalidTag");
        assert_eq!(code("aws:a=1"), "InvalidTag");
        assert_eq!(code("=1"), "InvalidTag");
        assert_eq!(code("a=%00"), "InvalidTag");
        assert_eq!(code("a=%f"), "InvalidArgument");
        let many: Vec<String> = (0..11).map(|number| format!("k{number}=v")).collect();
        assert_eq!(code(&many.join("&")), "BadRequest");
    }
}

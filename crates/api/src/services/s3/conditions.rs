//! Conditional requests: `If-Match`, `If-None-Match`, `If-Modified-Since`, `If-Unmodified-Since`.

use http::header::{ETAG, LAST_MODIFIED};
use http::{HeaderMap, HeaderValue, StatusCode};
use kennel_platform::objects::{Condition, ObjectMeta};
use s3s::dto::{ETagCondition, Timestamp, TimestampFormat};
use s3s::{S3Error, S3ErrorCode, S3Result};

use super::attributes::timestamp;
use super::errors;

/// The conditions of a read, or on the source of a copy.
#[derive(Default)]
pub(super) struct Reading {
    pub if_match: Option<ETagCondition>,
    pub if_none_match: Option<ETagCondition>,
    pub if_modified_since: Option<Timestamp>,
    pub if_unmodified_since: Option<Timestamp>,
}

enum Outcome {
    Holds,
    Modified,
    NotModified,
}

impl Reading {
    /// Fails with 412 or 304.
    pub fn check(&self, meta: &ObjectMeta) -> S3Result<()> {
        match self.outcome(meta) {
            Outcome::Holds => Ok(()),
            Outcome::Modified => Err(errors::precondition_failed("If-Match")),
            Outcome::NotModified => Err(not_modified(meta)),
        }
    }

    /// Fails with 412 alone: a copy has nothing to leave unmodified.
    pub fn check_source(&self, meta: &ObjectMeta) -> S3Result<()> {
        match self.outcome(meta) {
            Outcome::Holds => Ok(()),
            Outcome::Modified | Outcome::NotModified => {
                Err(errors::precondition_failed("x-amz-copy-source-if"))
            }
        }
    }

    /// An ETag condition decides over the date condition beside it.
    fn outcome(&self, meta: &ObjectMeta) -> Outcome {
        // Dates have whole seconds.
        let modified = timestamp(meta.modified_ms / 1000 * 1000);
        let is_modified = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => !matches(condition, meta),
            (None, Some(since)) => modified > *since,
            (None, None) => false,
        };
        if is_modified {
            return Outcome::Modified;
        }
        let is_unmodified = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition, meta),
            (None, Some(since)) => modified <= *since,
            (None, None) => false,
        };
        if is_unmodified { Outcome::NotModified } else { Outcome::Holds }
    }
}

/// The condition of a write.
pub(super) fn writing(
    if_match: Option<&ETagCondition>,
    if_none_match: Option<&ETagCondition>,
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::None),
        (None, Some(ETagCondition::Any)) => Ok(Condition::Absent),
        (Some(ETagCondition::Any), None) => Ok(Condition::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Condition::Etag(etag.value().to_owned())),
        (_, Some(_)) => Err(errors::not_implemented("If-None-Match")),
    }
}

fn matches(condition: &ETagCondition, meta: &ObjectMeta) -> bool {
    match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == meta.etag,
    }
}

fn not_modified(meta: &ObjectMeta) -> S3Error {
    let mut error = S3Error::new(S3ErrorCode::Custom("NotModified".into()));
    error.set_status_code(StatusCode::NOT_MODIFIED);
    let mut headers = HeaderMap::new();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", meta.etag)) {
        headers.insert(ETAG, etag);
    }
    let mut date = Vec::new();
    if timestamp(meta.modified_ms).format(TimestampFormat::HttpDate, &mut date).is_ok()
        && let Ok(date) = HeaderValue::try_from(date)
    {
        headers.insert(LAST_MODIFIED, date);
    }
    error.set_headers(headers);
    error
}

#[cfg(test)]
mod tests {
    use kennel_platform::objects::{Attributes, Tags};

    use super::*;

    fn meta() -> ObjectMeta {
        ObjectMeta {
            size: 1,
            etag: "abc".into(),
            modified_ms: 1_700_000_000_750,
            checksum: None,
            parts: None,
            attributes: Attributes::default(),
            tags: Tags::new(),
        }
    }

    fn etag(value: &str) -> Option<ETagCondition> {
        ETagCondition::parse_http_header(value.as_bytes()).ok()
    }

    fn status(reading: &Reading) -> u16 {
        let checked = reading.check(&meta());
        checked.err().and_then(|error| error.status_code()).map_or(200, |status| status.as_u16())
    }

    #[test]
    fn reads_are_answered_as_http_says() {
        let at = |seconds: i64| Some(timestamp(seconds * 1000));
        let same = 1_700_000_000;
        let cases = [
            (Reading::default(), 200),
            (Reading { if_match: etag("\"abc\""), ..Reading::default() }, 200),
            (Reading { if_match: etag("*"), ..Reading::default() }, 200),
            (Reading { if_match: etag("\"other\""), ..Reading::default() }, 412),
            (Reading { if_none_match: etag("\"abc\""), ..Reading::default() }, 304),
            (Reading { if_none_match: etag("\"other\""), ..Reading::default() }, 200),
            (Reading { if_modified_since: at(same), ..Reading::default() }, 304),
            (Reading { if_modified_since: at(same - 1), ..Reading::default() }, 200),
            (Reading { if_unmodified_since: at(same), ..Reading::default() }, 200),
            (Reading { if_unmodified_since: at(same - 1), ..Reading::default() }, 412),
            (
                Reading {
                    if_match: etag("\"abc\""),
                    if_unmodified_since: at(same - 1),
                    ..Reading::default()
                },
                200,
            ),
            (
                Reading {
                    if_none_match: etag("\"other\""),
                    if_modified_since: at(same),
                    ..Reading::default()
                },
                200,
            ),
        ];
        for (number, (reading, expected)) in cases.iter().enumerate() {
            assert_eq!(status(reading), *expected, "case {number}");
        }
    }

    #[test]
    fn a_write_may_want_absence_presence_or_an_etag() {
        let any = etag("*");
        assert_eq!(writing(None, any.as_ref()).unwrap(), Condition::Absent);
        assert_eq!(writing(any.as_ref(), None).unwrap(), Condition::Present);
        let abc = etag("\"abc\"");
        assert_eq!(writing(abc.as_ref(), None).unwrap(), Condition::Etag("abc".into()));
        assert!(writing(None, abc.as_ref()).is_err());
    }
}

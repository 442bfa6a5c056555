//! Which bytes of an object a read is about.

use std::ops;

use http::{HeaderMap, HeaderValue, StatusCode};
use kennel_platform::objects::{Algorithm, Download, Kind, ObjectMeta};
use s3s::dto::Range;
use s3s::{S3Error, S3Result, s3_error};

use super::errors;

pub(super) enum Selection {
    Everything { size: u64 },
    Range(ops::Range<u64>),
    Part { range: ops::Range<u64>, checksum: Option<(Algorithm, String)> },
}

impl Selection {
    pub fn range(&self) -> ops::Range<u64> {
        match self {
            Self::Everything { size } => 0..*size,
            Self::Range(range) | Self::Part { range, .. } => range.clone(),
        }
    }

    pub fn length(&self) -> u64 {
        let range = self.range();
        range.end - range.start
    }

    pub fn is_everything(&self, size: u64) -> bool {
        self.range() == (0..size)
    }

    /// Absent where the answer is the whole object because nothing less was asked for.
    pub fn content_range(&self, size: u64) -> Option<String> {
        let range = match self {
            Self::Everything { .. } => return None,
            Self::Range(range) | Self::Part { range, .. } => range,
        };
        // The empty part of an empty object has no last byte to name.
        let last = range.end.checked_sub(1).filter(|last| *last >= range.start)?;
        Some(format!("bytes {}-{last}/{size}", range.start))
    }

    pub fn parts_count(&self, meta: &ObjectMeta) -> Option<i32> {
        match self {
            Self::Part { .. } => meta.parts.and_then(|parts| i32::try_from(parts).ok()),
            Self::Everything { .. } | Self::Range(_) => None,
        }
    }
}

pub(super) fn select(
    download: &Download,
    range: Option<Range>,
    part_number: Option<i32>,
) -> S3Result<Selection> {
    let size = download.meta.size;
    match (range, part_number) {
        (None, None) => Ok(Selection::Everything { size }),
        (Some(range), None) => clipped(range, size).map(Selection::Range),
        (None, Some(number)) => part(download, number),
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "Cannot specify both Range header and partNumber query parameter"
        )),
    }
}

pub(super) fn clipped(range: Range, size: u64) -> S3Result<ops::Range<u64>> {
    let clipped = match range {
        Range::Int { first, last } => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            first..end
        }
        Range::Suffix { length } => size.saturating_sub(length)..size,
    };
    if clipped.start < clipped.end { Ok(clipped) } else { Err(not_satisfiable(size)) }
}

fn part(download: &Download, number: i32) -> S3Result<Selection> {
    let invalid = || {
        errors::custom(
            "InvalidPartNumber",
            StatusCode::RANGE_NOT_SATISFIABLE,
            "The requested partnumber is not satisfiable",
        )
    };
    let number = u32::try_from(number).map_err(|_| invalid())?;
    let part = download.parts().into_iter().find(|part| part.number == number);
    let part = part.ok_or_else(invalid)?;
    // Of a whole object's CRC the parts' are not to be had on AWS either.
    let whole = download.meta.checksum.as_ref();
    let of_parts = whole.filter(|checksum| checksum.kind == Kind::Composite);
    let checksum = of_parts.map(|checksum| checksum.algorithm).zip(part.checksum);
    Ok(Selection::Part { range: part.range, checksum })
}

fn not_satisfiable(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{size}")) {
        error.set_headers(HeaderMap::from_iter([(http::header::CONTENT_RANGE, value)]));
    }
    error
}

/// Says in an output what of the object was selected. GetObject and HeadObject have outputs of
/// different types with the same members, and must never differ in them.
macro_rules! describe_selection {
    ($output:ident, $meta:ident, $selection:ident, $with_checksum:expr) => {
        $output.content_length = Some(length($selection.length()));
        $output.content_range = $selection.content_range($meta.size);
        $output.parts_count = $selection.parts_count($meta);
        if $with_checksum {
            match &$selection {
                Selection::Part { checksum: Some((algorithm, value)), .. } => {
                    set_checksum!($output, *algorithm, value.clone());
                }
                selection if selection.is_everything($meta.size) => {
                    set_object_checksum!($output, &$meta.checksum);
                }
                _ => {}
            }
        }
    };
}

pub(super) use describe_selection;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: &str, size: u64) -> Option<ops::Range<u64>> {
        clipped(Range::parse(header).unwrap(), size).ok()
    }

    #[test]
    fn ranges_are_clipped_to_the_object() {
        assert_eq!(of("bytes=0-8388607", 10), Some(0..10));
        assert_eq!(of("bytes=3-5", 10), Some(3..6));
        assert_eq!(of("bytes=9-", 10), Some(9..10));
        assert_eq!(of("bytes=-4", 10), Some(6..10));
        assert_eq!(of("bytes=-40", 10), Some(0..10));
    }

    #[test]
    fn ranges_outside_the_object_are_not_satisfiable() {
        for (header, size) in [("bytes=10-", 10), ("bytes=0-", 0), ("bytes=-0", 10)] {
            assert_eq!(of(header, size), None, "{header} of {size}");
        }
        let error = clipped(Range::Int { first: 10, last: None }, 10).unwrap_err();
        assert_eq!(error.status_code(), Some(StatusCode::RANGE_NOT_SATISFIABLE));
        assert_eq!(error.headers().unwrap()["content-range"], "bytes */10");
    }

    #[test]
    fn the_answer_names_its_range_unless_everything_was_asked_for() {
        assert_eq!(Selection::Everything { size: 10 }.content_range(10), None);
        let range = Selection::Range(0..10).content_range(10);
        assert_eq!(range.as_deref(), Some("bytes 0-9/10"));
        let empty = Selection::Part { range: 0..0, checksum: None };
        assert_eq!(empty.content_range(0), None);
    }
}

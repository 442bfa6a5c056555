//! A moment, written as each protocol writes one.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Names the type to this crate's XML writer and query reader; JSON ignores it.
pub(crate) const MARK: &str = "$kennel::Timestamp";

/// Milliseconds since 1970-01-01 UTC. A number of seconds in JSON, ISO-8601 in XML and queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// `2026-11-22T15:04:05Z`, with a fraction where there is one.
    pub fn to_iso(self) -> Option<String> {
        let nanoseconds = i128::from(self.0) * 1_000_000;
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
        at.format(&Rfc3339).ok()
    }

    /// Accepts what [`Timestamp::to_iso`] writes, and offsets from UTC.
    pub fn from_iso(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().map(Self)
    }

    pub(crate) fn from_epoch_seconds(seconds: f64) -> Option<Self> {
        let milliseconds = (seconds * 1000.0).round();
        // Beyond 2^53 a double no longer names a millisecond.
        (milliseconds.abs() < 9_007_199_254_740_992.0).then_some(Self(milliseconds as i64))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(MARK, &(self.0 as f64 / 1000.0))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(MARK, TimestampVisitor)
    }
}

struct TimestampVisitor;

impl<'de> Visitor<'de> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a timestamp")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Timestamp::from_epoch_seconds(seconds)
            .ok_or_else(|| de::Error::custom("timestamp out of range"))
    }

    /// Only the query reader comes here: a JSON string is not a timestamp.
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::from_iso(text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not an ISO-8601 timestamp")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_carries_seconds_with_milliseconds() {
        assert_eq!(serde_json::to_string(&Timestamp(1_732_288_959_123)).unwrap(), "1732288959.123");
        assert_eq!(serde_json::to_string(&Timestamp(1_732_288_959_000)).unwrap(), "1732288959.0");
    }

    #[test]
    fn every_millisecond_survives_json() {
        for milliseconds in (1_732_288_959_000..1_732_288_961_000).chain([0, -1, -1500]) {
            let text = serde_json::to_string(&Timestamp(milliseconds)).unwrap();
            assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), Timestamp(milliseconds));
        }
    }

    #[test]
    fn json_takes_whole_numbers_and_refuses_text() {
        assert_eq!(serde_json::from_str::<Timestamp>("17").unwrap(), Timestamp(17_000));
        assert!(serde_json::from_str::<Timestamp>("\"2024-01-01T00:00:00Z\"").is_err());
        assert!(serde_json::from_str::<Timestamp>("1e300").is_err());
    }

    #[test]
    fn iso_text_goes_both_ways() {
        assert_eq!(Timestamp(1_732_288_959_123).to_iso().unwrap(), "2024-11-22T15:22:39.123Z");
        assert_eq!(Timestamp(1_732_288_959_000).to_iso().unwrap(), "2024-11-22T15:22:39Z");
        assert_eq!(
            Timestamp::from_iso("2024-11-22T16:22:39.123+01:00"),
            Some(Timestamp(1_732_288_959_123))
        );
        assert_eq!(Timestamp::from_iso("yesterday"), None);
        assert_eq!(Timestamp(i64::MAX).to_iso(), None);
    }
}

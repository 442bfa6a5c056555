//! Bytes inside a document: base64 in JSON, XML and queries.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A blob member of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Bytes);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(BlobVisitor)
    }
}

struct BlobVisitor;

impl Visitor<'_> for BlobVisitor {
    type Value = Blob;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64 text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Blob, E> {
        let bytes = STANDARD.decode(text).map_err(|_| de::Error::custom("not valid base64"))?;
        Ok(Blob(bytes.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_carries_base64() {
        let blob = Blob(Bytes::from_static(b"\x00\xff?"));
        assert_eq!(serde_json::to_string(&blob).unwrap(), "\"AP8/\"");
        assert_eq!(serde_json::from_str::<Blob>("\"AP8/\"").unwrap(), blob);
        assert!(serde_json::from_str::<Blob>("\"%%\"").is_err());
    }
}

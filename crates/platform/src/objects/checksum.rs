//! The checksums S3 keeps beside an object, computed while the body streams.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use crc_fast::CrcAlgorithm;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// Stored under AWS's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    pub const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// AWS's name: `CRC64NVME`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a value, before base64.
    pub const fn length(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The kind a multipart upload gets when its creator names none.
    pub const fn default_kind(self) -> Kind {
        match self {
            Self::Crc64Nvme => Kind::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => Kind::Composite,
        }
    }

    /// A whole object's CRC follows from those of its parts, a hash does not; and AWS offers
    /// CRC64NVME for whole objects only.
    pub const fn allows(self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Crc32 | Self::Crc32c, _)
            | (Self::Crc64Nvme, Kind::FullObject)
            | (Self::Sha1 | Self::Sha256, Kind::Composite) => true,
            (Self::Crc64Nvme, Kind::Composite) | (Self::Sha1 | Self::Sha256, Kind::FullObject) => {
                false
            }
        }
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

/// Whether a multipart object's checksum covers its bytes or its parts' checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    FullObject,
    Composite,
}

impl Kind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// A checksum as AWS shows it: base64, a composite one followed by `-` and the number of parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    pub algorithm: Algorithm,
    pub kind: Kind,
    pub value: String,
}

impl Checksum {
    pub fn full(algorithm: Algorithm, raw: &[u8]) -> Self {
        Self { algorithm, kind: Kind::FullObject, value: BASE64.encode(raw) }
    }
}

/// The raw bytes of a base64 value, where it has the algorithm's length.
pub fn decode(algorithm: Algorithm, value: &str) -> Option<Vec<u8>> {
    BASE64.decode(value).ok().filter(|raw| raw.len() == algorithm.length())
}

/// One checksum under way.
pub struct Hasher {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Crc(crc_fast::Digest),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    pub fn new(algorithm: Algorithm) -> Self {
        let state = match (algorithm.crc(), algorithm) {
            (Some(crc), _) => State::Crc(crc_fast::Digest::new(crc)),
            (None, Algorithm::Sha1) => State::Sha1(Sha1::new()),
            (None, _) => State::Sha256(Sha256::new()),
        };
        Self { algorithm, state }
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
        }
    }

    pub fn finish(self) -> Vec<u8> {
        match self.state {
            State::Crc(digest) => big_endian(self.algorithm, digest.finalize()),
            State::Sha1(digest) => digest.finalize().to_vec(),
            State::Sha256(digest) => digest.finalize().to_vec(),
        }
    }
}

/// The checksum of a multipart object from its parts' raw values and lengths, in order.
pub fn combine(algorithm: Algorithm, kind: Kind, parts: &[(Vec<u8>, u64)]) -> Checksum {
    match (kind, algorithm.crc()) {
        (Kind::FullObject, Some(crc)) => {
            let mut whole = None;
            for (raw, length) in parts {
                let part = number(raw);
                whole = Some(match whole {
                    None => part,
                    Some(before) => crc_fast::checksum_combine(crc, before, part, *length),
                });
            }
            let value = whole.unwrap_or_else(|| crc_fast::checksum(crc, b""));
            Checksum::full(algorithm, &big_endian(algorithm, value))
        }
        (Kind::FullObject | Kind::Composite, _) => {
            let mut hasher = Hasher::new(algorithm);
            for (raw, _) in parts {
                hasher.update(raw);
            }
            let value = format!("{}-{}", BASE64.encode(hasher.finish()), parts.len());
            Checksum { algorithm, kind: Kind::Composite, value }
        }
    }
}

fn big_endian(algorithm: Algorithm, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let skipped = bytes.len().saturating_sub(algorithm.length());
    bytes.into_iter().skip(skipped).collect()
}

fn number(raw: &[u8]) -> u64 {
    raw.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    #[test]
    fn check_values_of_the_published_test_string() {
        let expected = [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (Algorithm::Sha256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"),
        ];
        for (algorithm, value) in expected {
            assert_eq!(hex::encode(of(algorithm, b"123456789")), value, "{}", algorithm.name());
        }
    }

    #[test]
    fn full_object_crc_follows_from_those_of_the_parts() {
        let body: Vec<u8> = (0..100_000_u32).map(|value| (value % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let parts: Vec<_> = [&body[..60_000], &body[60_000..99_999], &body[99_999..]]
                .into_iter()
                .map(|part| (of(algorithm, part), part.len() as u64))
                .collect();
            let combined = combine(algorithm, Kind::FullObject, &parts);
            assert_eq!(combined, Checksum::full(algorithm, &of(algorithm, &body)));
        }
    }

    #[test]
    fn composite_is_the_checksum_of_checksums_and_counts_the_parts() {
        let parts = [(of(Algorithm::Sha256, b"a"), 1), (of(Algorithm::Sha256, b"b"), 1)];
        let joined = [parts[0].0.as_slice(), parts[1].0.as_slice()].concat();
        let combined = combine(Algorithm::Sha256, Kind::Composite, &parts);
        let expected = format!("{}-2", BASE64.encode(of(Algorithm::Sha256, &joined)));
        assert_eq!(combined.value, expected);
    }

    #[test]
    fn names_are_read_in_any_case_and_unknown_ones_refused() {
        assert_eq!(Algorithm::parse("crc64nvme"), Some(Algorithm::Crc64Nvme));
        assert_eq!(Algorithm::parse("MD4"), None);
        assert_eq!(decode(Algorithm::Crc32, "AAAAAA=="), Some(vec![0; 4]));
        assert_eq!(decode(Algorithm::Crc32, "AAAA"), None);
    }
}

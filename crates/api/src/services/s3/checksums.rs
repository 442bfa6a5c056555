//! The checksums a client announces in headers, trailers and XML.

use http::HeaderMap;
use kennel_platform::objects::{Algorithm, Error, Kind, Received, checksum};
use md5::{Digest as _, Md5};
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3Error, S3Result, TrailingHeaders, s3_error};

use super::errors;

const TRAILER_HEADER: &str = "x-amz-trailer";
const SDK_ALGORITHM_HEADER: &str = "x-amz-sdk-checksum-algorithm";

/// What is known of a body's checksum before the body comes.
pub(super) struct Announced {
    pub algorithm: Option<Algorithm>,
    /// Absent where it comes after the body.
    value: Option<Vec<u8>>,
    md5: Option<Vec<u8>>,
}

impl Announced {
    pub fn read(headers: &HeaderMap) -> S3Result<Self> {
        let mut given = Algorithm::ALL
            .into_iter()
            .filter_map(|algorithm| Some((algorithm, headers.get(header_name(algorithm))?)));
        let first = given.next();
        if given.next().is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not \
                 allowed."
            ));
        }
        let trailer = trailer(headers)?;
        let (algorithm, value) = match (first, trailer) {
            (Some((algorithm, value)), None) => {
                let value = value.to_str().ok().and_then(|text| checksum::decode(algorithm, text));
                let value = value.ok_or_else(|| invalid(header_name(algorithm)))?;
                (Some(algorithm), Some(value))
            }
            (None, trailer) => (trailer, None),
            (Some(_), Some(_)) => {
                return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header"));
            }
        };
        if algorithm.is_none() && headers.contains_key(SDK_ALGORITHM_HEADER) {
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                 x-amz-trailer headers were found."
            ));
        }
        Ok(Self { algorithm, value, md5: content_md5(headers)? })
    }

    /// Compares what was announced, in the end behind the body, with what arrived.
    pub fn verify(&self, received: &Received, trailers: Option<&TrailingHeaders>) -> S3Result<()> {
        if let Some(md5) = &self.md5 {
            received.check_md5(md5).map_err(errors::of)?;
        }
        let Some(algorithm) = self.algorithm else { return Ok(()) };
        let behind = match &self.value {
            Some(value) => return received.check(algorithm, value).map_err(errors::of),
            None => trailers.and_then(|trailers| {
                trailers.read(|trailers| {
                    trailers.get(header_name(algorithm))?.to_str().ok().map(str::to_owned)
                })
            }),
        };
        let Some(value) = behind.flatten() else {
            return Err(errors::custom(
                "MalformedTrailerError",
                http::StatusCode::BAD_REQUEST,
                "The request contained trailing data that was not well-formed or did not conform \
                 to our published schema.",
            ));
        };
        let value = checksum::decode(algorithm, &value);
        let value = value.ok_or_else(|| invalid(header_name(algorithm)))?;
        received.check(algorithm, &value).map_err(errors::of)
    }
}

/// Compares a body that is gathered elsewhere with what was announced, while it passes.
#[derive(Default)]
pub(super) struct Passing {
    checksum: Option<(checksum::Hasher, Vec<u8>)>,
    md5: Option<(Md5, Vec<u8>)>,
}

impl Passing {
    pub fn of(announced: Announced) -> Self {
        let hashed = announced.algorithm.zip(announced.value);
        Self {
            checksum: hashed.map(|(algorithm, value)| (checksum::Hasher::new(algorithm), value)),
            md5: announced.md5.map(|md5| (Md5::new(), md5)),
        }
    }

    pub fn update(&mut self, bytes: &[u8]) {
        if let Some((hasher, _)) = &mut self.checksum {
            hasher.update(bytes);
        }
        if let Some((md5, _)) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub fn finish(self) -> Result<(), Error> {
        if let Some((md5, expected)) = self.md5
            && md5.finalize().as_slice() != expected
        {
            return Err(Error::BadMd5);
        }
        if let Some((hasher, expected)) = self.checksum {
            let algorithm = hasher.algorithm();
            if hasher.finish() != expected {
                return Err(Error::BadChecksum(algorithm));
            }
        }
        Ok(())
    }
}

pub(super) const fn header_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Crc32 => "x-amz-checksum-crc32",
        Algorithm::Crc32c => "x-amz-checksum-crc32c",
        Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
        Algorithm::Sha1 => "x-amz-checksum-sha1",
        Algorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

fn trailer(headers: &HeaderMap) -> S3Result<Option<Algorithm>> {
    let Some(names) = headers.get(TRAILER_HEADER) else { return Ok(None) };
    let names = names.to_str().unwrap_or_default();
    let mut found = None;
    for name in names.split(',').map(str::trim) {
        let Some(suffix) = name.strip_prefix("x-amz-checksum-") else { continue };
        let algorithm = Algorithm::parse(suffix);
        found = Some(algorithm.ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "The value specified in the x-amz-trailer header is not supported"
            )
        })?);
    }
    Ok(found)
}

fn content_md5(headers: &HeaderMap) -> S3Result<Option<Vec<u8>>> {
    use base64::Engine as _;
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.as_bytes()).ok();
    match decoded.filter(|md5| md5.len() == 16) {
        Some(md5) => Ok(Some(md5)),
        None => Err(s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid.")),
    }
}

fn invalid(header: &str) -> S3Error {
    s3_error!(InvalidRequest, "Value for {header} header is invalid.")
}

pub(super) fn algorithm(named: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    let Some(named) = named else { return Ok(None) };
    match Algorithm::parse(named.as_str()) {
        Some(algorithm) => Ok(Some(algorithm)),
        None => Err(s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported. Please try again with any of the valid \
             types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
        )),
    }
}

/// The kind of checksum an upload gets.
pub(super) fn kind(algorithm: Algorithm, named: Option<&ChecksumType>) -> S3Result<Kind> {
    let kind = match named.map(ChecksumType::as_str) {
        None => algorithm.default_kind(),
        Some("FULL_OBJECT") => Kind::FullObject,
        Some("COMPOSITE") => Kind::Composite,
        Some(_) => {
            return Err(s3_error!(
                InvalidRequest,
                "Value for x-amz-checksum-type header is invalid."
            ));
        }
    };
    if algorithm.allows(kind) {
        return Ok(kind);
    }
    Err(s3_error!(
        InvalidRequest,
        "The {} checksum type cannot be used with the {} checksum algorithm.",
        kind.name(),
        algorithm.name().to_ascii_lowercase()
    ))
}

/// Sets the one of an output's checksum members that has a value.
macro_rules! set_checksum {
    ($output:expr, $algorithm:expr, $value:expr) => {
        match $algorithm {
            kennel_platform::objects::Algorithm::Crc32 => $output.checksum_crc32 = Some($value),
            kennel_platform::objects::Algorithm::Crc32c => $output.checksum_crc32c = Some($value),
            kennel_platform::objects::Algorithm::Crc64Nvme => {
                $output.checksum_crc64nvme = Some($value);
            }
            kennel_platform::objects::Algorithm::Sha1 => $output.checksum_sha1 = Some($value),
            kennel_platform::objects::Algorithm::Sha256 => $output.checksum_sha256 = Some($value),
        }
    };
}
pub(super) use set_checksum;

/// As [`set_checksum`], with the type of an object's checksum.
macro_rules! set_object_checksum {
    ($output:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            $crate::services::s3::checksums::set_checksum!(
                $output,
                checksum.algorithm,
                checksum.value.clone()
            );
            $output.checksum_type = Some(s3s::dto::ChecksumType::from_static(checksum.kind.name()));
        }
    };
}
pub(super) use set_object_checksum;

/// The one checksum among an input's members, with its algorithm.
macro_rules! given_checksum {
    ($input:expr) => {
        [
            (kennel_platform::objects::Algorithm::Crc32, $input.checksum_crc32.clone()),
            (kennel_platform::objects::Algorithm::Crc32c, $input.checksum_crc32c.clone()),
            (kennel_platform::objects::Algorithm::Crc64Nvme, $input.checksum_crc64nvme.clone()),
            (kennel_platform::objects::Algorithm::Sha1, $input.checksum_sha1.clone()),
            (kennel_platform::objects::Algorithm::Sha256, $input.checksum_sha256.clone()),
        ]
        .into_iter()
        .find_map(|(algorithm, value)| Some((algorithm, value?)))
    };
}
pub(super) use given_checksum;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (http::HeaderName::from_static(name), http::HeaderValue::from_static(value))
            })
            .collect()
    }

    fn refused(pairs: &[(&'static str, &'static str)]) -> String {
        let error = Announced::read(&headers(pairs)).err().unwrap();
        error.code().as_str().to_owned()
    }

    #[test]
    fn a_checksum_is_announced_in_a_header_or_as_a_trailer() {
        let none = Announced::read(&HeaderMap::new()).unwrap();
        assert_eq!(none.algorithm, None);
        let header = headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")]);
        let header = Announced::read(&header).unwrap();
        assert_eq!((header.algorithm, header.value.unwrap().len()), (Some(Algorithm::Crc32), 4));
        let trailer = headers(&[("x-amz-trailer", "x-amz-checksum-crc64nvme")]);
        let trailer = Announced::read(&trailer).unwrap();
        assert_eq!((trailer.algorithm, trailer.value), (Some(Algorithm::Crc64Nvme), None));
    }

    #[test]
    fn announcements_that_make_no_sense_are_refused() {
        assert_eq!(
            refused(&[("x-amz-checksum-crc32", "y/Q5Jg=="), ("x-amz-checksum-sha1", "AA==")]),
            "InvalidRequest"
        );
        assert_eq!(refused(&[("x-amz-checksum-crc32", "short")]), "InvalidRequest");
        assert_eq!(refused(&[("x-amz-sdk-checksum-algorithm", "CRC32")]), "InvalidRequest");
        assert_eq!(refused(&[("x-amz-trailer", "x-amz-checksum-md4")]), "InvalidRequest");
        assert_eq!(refused(&[("content-md5", "not base64")]), "InvalidDigest");
    }

    #[test]
    fn kinds_fit_their_algorithms() {
        let full = ChecksumType::from_static("FULL_OBJECT");
        assert_eq!(kind(Algorithm::Crc32, None).unwrap(), Kind::Composite);
        assert_eq!(kind(Algorithm::Crc32, Some(&full)).unwrap(), Kind::FullObject);
        assert_eq!(kind(Algorithm::Crc64Nvme, None).unwrap(), Kind::FullObject);
        assert!(kind(Algorithm::Sha256, Some(&full)).is_err());
    }
}

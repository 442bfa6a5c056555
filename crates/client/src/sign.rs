//! Signature Version 4 on a request that is about to be sent.

use std::time::SystemTime;

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::Request;
use sha2::{Digest, Sha256};

use crate::credentials::Credentials;

/// Scope of a signature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub region: &'a str,
    pub service: &'static str,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The digest of a body, as the signature and the `x-amz-content-sha256` header name it.
pub(crate) fn body_digest(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Adds the headers of the signature. `body_sha256` is [`body_digest`] of the body.
pub(crate) fn apply(
    request: &mut Request<http_body_util::Full<Bytes>>,
    body_sha256: &str,
    scope: Scope<'_>,
    credentials: &Credentials,
    at: SystemTime,
) -> Result<(), BoxError> {
    let identity = aws_credential_types::Credentials::new(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.clone(),
        credentials.session_token.clone(),
        None,
        "kennel",
    )
    .into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(scope.region)
        .name(scope.service)
        .time(at)
        .settings(settings(scope.service))
        .build()?;
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| Ok((name.as_str(), value.to_str()?)))
        .collect::<Result<Vec<_>, http::header::ToStrError>>()?;
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.into_iter(),
        SignableBody::Precomputed(body_sha256.to_owned()),
    )?;
    let (instructions, _signature) = sign(signable, &params.into())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}

/// S3 takes the path as it is on the wire and wants the digest as a header.
fn settings(service: &str) -> SigningSettings {
    let mut settings = SigningSettings::default();
    if service == "s3" {
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    settings
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    /// The `post-vanilla` case of AWS's published test suite.
    #[test]
    fn signs_as_the_published_vector_says() {
        let mut request = Request::post("http://example.amazonaws.com/")
            .header("host", "example.amazonaws.com")
            .body(http_body_util::Full::new(Bytes::new()))
            .unwrap();
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session_token: None,
        };
        let at = UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        let scope = Scope { region: "us-east-1", service: "service" };
        apply(&mut request, &body_digest(b""), scope, &credentials, at).unwrap();
        assert_eq!(
            request.headers()["authorization"].to_str().unwrap(),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
    }
}

//! Whose request it is: Signature Version 4 in the header or in the query string.
//!
//! What can be checked before the body is: a stranger's body is never read. Then the body, up to
//! the service's limit; then the signature over it. S3 verifies its own requests (`s3_route`).

use bytes::Bytes;
use http::request::Parts;
use kennel_platform::Platform;
use kennel_platform::identity::Key;
use kennel_wire::Protocol;
use kennel_wire::sigv4::{self, Claim, Form, PathStyle, Rejection};

use crate::body::{self, Body};
use crate::context::Caller;
use crate::failure::Failure;
use crate::limits;
use crate::registry::Service;

/// A request whose claim holds as far as it can be known without the body.
pub(crate) struct Presented {
    claim: Claim,
    key: Key,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error(transparent)]
    Body(#[from] body::Error),
    #[error("keys cannot be looked up")]
    Identity(#[from] kennel_platform::identity::Error),
    #[error("the server stops")]
    Stopped(#[source] tokio::task::JoinError),
}

/// Everything before the body: form, scope, time, key and token; and the signature itself where
/// the client declared its body's hash in a header.
pub(crate) async fn check_head(
    platform: &Platform,
    service: Option<&Service>,
    parts: &Parts,
) -> Result<Presented, Error> {
    let claim = Claim::read(parts)?;
    check_scope(platform, service, &claim)?;
    let now_ms = platform.clock.now_ms();
    claim.check_time(now_ms)?;
    let key = platform.identity.find_key(&claim.scope.access_key_id).await?;
    let key = key.ok_or(Rejection::UnknownToken)?;
    check_token(&claim, &key, now_ms)?;
    if let (Form::Header, Some(declared)) = (claim.form, &claim.declared_hash) {
        claim.verify(parts, declared, &key.secret, PathStyle::Normalized)?;
    }
    Ok(Presented { claim, key })
}

/// Reads the body and verifies it, and with it the signature.
pub(crate) async fn check_body(
    presented: Presented,
    parts: &Parts,
    body: Body,
    bytes_max: usize,
) -> Result<(Caller, Bytes), Error> {
    let Presented { claim, key } = presented;
    let body = body::collect(body, bytes_max).await?;
    let hash = hash(&body).await?;
    match (claim.form, claim.declared_hash.as_deref()) {
        (Form::Header, Some(declared)) => {
            // The signature over the declared hash was verified with the head.
            if !sigv4::secrets_equal(declared.as_bytes(), hash.as_bytes()) {
                return Err(Rejection::mismatch().into());
            }
        }
        (Form::Presigned { .. }, Some(sigv4::UNSIGNED_PAYLOAD)) => {
            claim.verify(parts, sigv4::UNSIGNED_PAYLOAD, &key.secret, PathStyle::Normalized)?;
        }
        _ => claim.verify(parts, &hash, &key.secret, PathStyle::Normalized)?,
    }
    Ok((Caller::from_key(&claim.scope.access_key_id, &key), body))
}

/// A large body is hashed beside the requests that only wait.
async fn hash(body: &Bytes) -> Result<String, Error> {
    if body.len() <= limits::HASH_INLINE_BYTES_MAX {
        return Ok(sigv4::body_hash(body));
    }
    let body = body.clone();
    let hashed = tokio::task::spawn_blocking(move || sigv4::body_hash(&body)).await;
    hashed.map_err(Error::Stopped)
}

fn check_scope(
    platform: &Platform,
    service: Option<&Service>,
    claim: &Claim,
) -> Result<(), Rejection> {
    let Some(service) = service else { return Ok(()) };
    if claim.scope.service != service.scope {
        return Err(Rejection::Invalid(format!(
            "Credential should be scoped to correct service: '{}'.",
            service.scope
        )));
    }
    if !service.any_region && claim.scope.region != platform.config.region {
        return Err(Rejection::Invalid(format!(
            "Credential should be scoped to a valid region, not '{}'.",
            claim.scope.region
        )));
    }
    Ok(())
}

fn check_token(claim: &Claim, key: &Key, now_ms: i64) -> Result<(), Rejection> {
    let given = claim.session_token.as_deref().unwrap_or_default();
    let expected = key.session_token.as_deref().unwrap_or_default();
    if !sigv4::secrets_equal(given.as_bytes(), expected.as_bytes()) {
        return Err(Rejection::UnknownToken);
    }
    if key.expires_at_ms.is_some_and(|expires_at_ms| expires_at_ms <= now_ms) {
        return Err(Rejection::ExpiredToken);
    }
    Ok(())
}

impl Error {
    /// The same refusal has another code, and another status, in each family of protocols.
    pub(crate) fn into_failure(self, protocol: Protocol) -> Failure {
        let rejection = match self {
            Self::Rejected(rejection) => rejection,
            Self::Body(error) => return body_failure(&error),
            Self::Identity(error) => return Failure::internal(&error),
            Self::Stopped(error) => return Failure::internal(&error),
        };
        let is_query = matches!(protocol, Protocol::Query | Protocol::RestXml);
        let code = match (&rejection, is_query) {
            (Rejection::Missing, false) => "MissingAuthenticationTokenException",
            (Rejection::Missing, true) => "MissingAuthenticationToken",
            (Rejection::Incomplete(_), false) => "IncompleteSignatureException",
            (Rejection::Incomplete(_), true) => "IncompleteSignature",
            (Rejection::Invalid(_), false) => "InvalidSignatureException",
            (Rejection::Invalid(_), true) => "SignatureDoesNotMatch",
            (Rejection::UnknownToken, false) => "UnrecognizedClientException",
            (Rejection::UnknownToken, true) => "InvalidClientTokenId",
            (Rejection::ExpiredToken, false) => "ExpiredTokenException",
            (Rejection::ExpiredToken, true) => "ExpiredToken",
        };
        let status = match protocol {
            Protocol::Query | Protocol::RestXml | Protocol::RestJson => 403,
            Protocol::Json10 | Protocol::Json11 | Protocol::RpcV2Cbor => 400,
        };
        Failure::new(status, code, rejection.to_string())
    }
}

fn body_failure(error: &body::Error) -> Failure {
    match error {
        body::Error::TooLarge(_) => {
            Failure::new(413, "RequestEntityTooLargeException", error.to_string())
        }
        body::Error::Stalled => Failure::new(408, "RequestTimeoutException", error.to_string()),
        body::Error::Broken(_) => Failure::new(400, "IncompleteBodyException", error.to_string()),
    }
}

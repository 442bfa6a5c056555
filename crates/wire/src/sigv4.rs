//! Signature Version 4, the server's side: read what a request claims, and verify it by signing
//! the request again.
//!
//! The arithmetic is `aws-sigv4`'s; here stands what it leaves to a server: which parts of the
//! request were signed, how old the signature may be, and the comparison in constant time.
//! S3's own forms (chunk signatures, Signature Version 2) are verified where S3 is.

mod claim;
#[cfg(test)]
mod vectors;

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest,
    SignatureLocation, SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

pub use claim::{Claim, Form, Scope};

/// What AWS allows a client's clock to be off by, either way.
pub const SKEW_SECS_MAX: i64 = 15 * 60;

/// The longest a presigned request may be good for: seven days.
pub const PRESIGN_SECS_MAX: i64 = 7 * 24 * 60 * 60;

/// Stands for a body that was not hashed; only a presigned request may say so outside S3.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Why a request's signature is not accepted. The sentences are AWS's own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("Missing Authentication Token")]
    Missing,
    /// Part of the authorization is absent or cannot be read.
    #[error("{0}")]
    Incomplete(String),
    /// The signature is complete but does not hold for this request, now and here.
    #[error("{0}")]
    Invalid(String),
    #[error("The security token included in the request is invalid.")]
    UnknownToken,
    #[error("The security token included in the request is expired")]
    ExpiredToken,
}

impl Rejection {
    pub fn mismatch() -> Self {
        Self::Invalid(
            "The request signature we calculated does not match the signature you provided. Check \
             your AWS Secret Access Key and signing method. Consult the service documentation for \
             details."
                .to_owned(),
        )
    }
}

/// Lower-case hexadecimal SHA-256, as `x-amz-content-sha256` carries it.
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}

/// Whether two secrets are equal, in a time that does not depend on where they differ.
pub fn secrets_equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// How a service canonicalizes the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathStyle {
    /// Normalized and encoded twice: every service but one.
    Normalized,
    /// As it is, encoded once: S3.
    Verbatim,
}

impl Claim {
    /// Signs the request again with `secret` and compares. `payload_hash` is that of the bytes
    /// received, or what the client declared in a signed header while the bytes are yet to come.
    pub fn verify(
        &self,
        parts: &Parts,
        payload_hash: &str,
        secret: &str,
        path_style: PathStyle,
    ) -> Result<(), Rejection> {
        let computed = self.sign_again(parts, payload_hash, secret, path_style)?;
        if secrets_equal(computed.as_bytes(), self.signature.as_bytes()) {
            return Ok(());
        }
        Err(Rejection::mismatch())
    }

    /// Whether the signature is of now: within the skew, or within its own validity.
    pub fn check_time(&self, now_ms: i64) -> Result<(), Rejection> {
        let now = now_ms.div_euclid(1000);
        let signed = self.signed_at_secs;
        let lifetime = match self.form {
            Form::Header => SKEW_SECS_MAX,
            Form::Presigned { expires_secs } => expires_secs,
        };
        let text = |at| claim::amz_date(at).unwrap_or_default();
        let earliest = now.saturating_sub(lifetime);
        if signed < earliest {
            let allowance = match self.form {
                Form::Header => "15 min.".to_owned(),
                Form::Presigned { expires_secs } => format!("{expires_secs} s"),
            };
            return Err(Rejection::Invalid(format!(
                "Signature expired: {} is now earlier than {} ({} - {allowance})",
                text(signed),
                text(earliest),
                text(now),
            )));
        }
        let latest = now.saturating_add(SKEW_SECS_MAX);
        if signed > latest {
            return Err(Rejection::Invalid(format!(
                "Signature not yet current: {} is still later than {} ({} + 15 min.)",
                text(signed),
                text(latest),
                text(now),
            )));
        }
        Ok(())
    }

    fn sign_again(
        &self,
        parts: &Parts,
        payload_hash: &str,
        secret: &str,
        path_style: PathStyle,
    ) -> Result<String, Rejection> {
        let unsignable = |_| Rejection::mismatch();
        let credentials =
            Credentials::new(&self.scope.access_key_id, secret, None, None, "kennel").into();
        let seconds = u64::try_from(self.signed_at_secs).map_err(|_| Rejection::mismatch())?;
        let params = v4::SigningParams::builder()
            .identity(&credentials)
            .region(&self.scope.region)
            .name(&self.scope.service)
            .time(UNIX_EPOCH + Duration::from_secs(seconds))
            .settings(self.settings(path_style))
            .build()
            .map_err(|_| Rejection::mismatch())?
            .into();
        let request = SignableRequest::new(
            parts.method.as_str(),
            self.signed_uri(parts),
            self.signed_headers(&parts.headers)?.into_iter(),
            SignableBody::Precomputed(payload_hash.to_owned()),
        )
        .map_err(unsignable)?;
        let output = sign(request, &params).map_err(unsignable)?;
        Ok(output.signature().to_owned())
    }

    fn settings(&self, path_style: PathStyle) -> SigningSettings {
        let mut settings = SigningSettings::default();
        // What the client signed is signed again, whatever clients should rather leave out. A
        // session token is one more header or parameter of the request.
        settings.excluded_headers = None;
        settings.session_token_mode = SessionTokenMode::Include;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        (settings.percent_encoding_mode, settings.uri_path_normalization_mode) = match path_style {
            PathStyle::Normalized => {
                (PercentEncodingMode::Double, UriPathNormalizationMode::Enabled)
            }
            PathStyle::Verbatim => {
                (PercentEncodingMode::Single, UriPathNormalizationMode::Disabled)
            }
        };
        if let Form::Presigned { expires_secs } = self.form {
            settings.signature_location = SignatureLocation::QueryParams;
            let seconds = u64::try_from(expires_secs).unwrap_or_default();
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        settings
    }

    /// The request's own path and query, less what the signing adds again.
    fn signed_uri(&self, parts: &Parts) -> String {
        let path = parts.uri.path();
        let query = parts.uri.query().unwrap_or_default();
        let kept: Vec<&str> = match self.form {
            Form::Header => query.split('&').filter(|pair| !pair.is_empty()).collect(),
            Form::Presigned { .. } => query
                .split('&')
                .filter(|pair| !pair.is_empty() && !claim::is_added_by_signing(pair))
                .collect(),
        };
        // The authority is never signed from here: the Host header is, and claims require it.
        if kept.is_empty() {
            format!("http://host{path}")
        } else {
            format!("http://host{path}?{}", kept.join("&"))
        }
    }

    fn signed_headers<'a>(
        &'a self,
        headers: &'a HeaderMap,
    ) -> Result<Vec<(&'a str, &'a str)>, Rejection> {
        let mut signed = Vec::with_capacity(self.signed_headers.len());
        for name in &self.signed_headers {
            let mut present = false;
            for value in headers.get_all(name.as_str()) {
                present = true;
                let value =
                    std::str::from_utf8(value.as_bytes()).map_err(|_| Rejection::mismatch())?;
                signed.push((name.as_str(), value));
            }
            if !present {
                return Err(Rejection::mismatch());
            }
        }
        Ok(signed)
    }
}

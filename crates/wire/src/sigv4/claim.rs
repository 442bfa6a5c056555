//! What a request claims about its signature, from its headers or its query string.

use std::borrow::Cow;

use http::HeaderMap;
use http::request::Parts;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::{PRESIGN_SECS_MAX, Rejection};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// A signature as presented, not yet verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    pub scope: Scope,
    pub form: Form,
    pub signed_at_secs: i64,
    /// Lower case, in the client's order.
    pub signed_headers: Vec<String>,
    pub session_token: Option<String>,
    /// A hash that is itself covered by the signature: `x-amz-content-sha256`.
    pub declared_hash: Option<String>,
    pub(super) signature: String,
}

/// `AKID/20150830/us-east-1/iam/aws4_request`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub access_key_id: String,
    pub date: String,
    pub region: String,
    pub service: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Header,
    Presigned { expires_secs: i64 },
}

/// Neither the signature nor a token is for a log.
impl std::fmt::Debug for Claim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Claim({:?}, {:?})", self.scope, self.form)
    }
}

impl Scope {
    /// Only where the request seems to be meant for; nothing is verified by reading it.
    pub fn peek(parts: &Parts) -> Option<Self> {
        if let Some(header) = text(&parts.headers, "authorization") {
            let fields = header.strip_prefix(ALGORITHM)?;
            return Self::parse(field(fields, "Credential")?);
        }
        Self::parse(&parameter(parts, "X-Amz-Credential")?)
    }

    fn parse(credential: &str) -> Option<Self> {
        // An access key id holds no slash, but the other four parts are counted from the end.
        let mut parts = credential.rsplitn(5, '/');
        if parts.next()? != "aws4_request" {
            return None;
        }
        let service = parts.next()?.to_owned();
        let region = parts.next()?.to_owned();
        let date = parts.next()?.to_owned();
        let access_key_id = parts.next()?.to_owned();
        let complete = [&service, &region, &date, &access_key_id].iter().all(|p| !p.is_empty());
        complete.then_some(Self { access_key_id, date, region, service })
    }
}

impl Claim {
    /// Reads the `Authorization` header, or else the query parameters of a presigned request.
    pub fn read(parts: &Parts) -> Result<Self, Rejection> {
        let claim = if let Some(header) = text(&parts.headers, "authorization") {
            Self::from_header(parts, header)?
        } else if parameter(parts, "X-Amz-Algorithm").is_some()
            || parameter(parts, "X-Amz-Signature").is_some()
        {
            Self::from_query(parts)?
        } else {
            return Err(Rejection::Missing);
        };
        claim.check_shape(parts)?;
        Ok(claim)
    }

    fn from_header(parts: &Parts, header: &str) -> Result<Self, Rejection> {
        let fields =
            header.strip_prefix(ALGORITHM).ok_or_else(|| unsupported(first_word(header)))?;
        let required = |name: &str| {
            field(fields, name).ok_or_else(|| {
                Rejection::Incomplete(format!("Authorization header requires '{name}' parameter."))
            })
        };
        let date = text(&parts.headers, "x-amz-date").ok_or_else(|| {
            Rejection::Incomplete(
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header."
                    .to_owned(),
            )
        })?;
        let signed_headers = header_names(required("SignedHeaders")?);
        let declared_hash = signed_headers
            .iter()
            .any(|name| name == "x-amz-content-sha256")
            .then(|| text(&parts.headers, "x-amz-content-sha256"))
            .flatten();
        Ok(Self {
            scope: scope(required("Credential")?)?,
            form: Form::Header,
            signed_at_secs: signed_at(date)?,
            signed_headers,
            session_token: text(&parts.headers, "x-amz-security-token").map(str::to_owned),
            declared_hash: declared_hash.map(str::to_owned),
            signature: required("Signature")?.to_owned(),
        })
    }

    fn from_query(parts: &Parts) -> Result<Self, Rejection> {
        let required = |name: &str| {
            parameter(parts, name).ok_or_else(|| {
                Rejection::Incomplete(format!(
                    "AWS query-string parameters must include '{name}'. Re-examine the query-string \
                     parameters."
                ))
            })
        };
        let algorithm = required("X-Amz-Algorithm")?;
        if algorithm != ALGORITHM {
            return Err(unsupported(&algorithm));
        }
        let expires = required("X-Amz-Expires")?;
        let expires_secs =
            expires.parse().ok().filter(|secs| (0..=PRESIGN_SECS_MAX).contains(secs));
        let expires_secs = expires_secs.ok_or_else(|| {
            Rejection::Incomplete(format!(
                "X-Amz-Expires must be a number of seconds between 0 and {PRESIGN_SECS_MAX}"
            ))
        })?;
        let declared_hash = parameter(parts, "X-Amz-Content-Sha256").map(Cow::into_owned);
        Ok(Self {
            scope: scope(&required("X-Amz-Credential")?)?,
            form: Form::Presigned { expires_secs },
            signed_at_secs: signed_at(&required("X-Amz-Date")?)?,
            signed_headers: header_names(&required("X-Amz-SignedHeaders")?),
            session_token: parameter(parts, "X-Amz-Security-Token").map(Cow::into_owned),
            declared_hash,
            signature: required("X-Amz-Signature")?.into_owned(),
        })
    }

    /// What the signature must cover, or the request could be changed beneath it.
    fn check_shape(&self, parts: &Parts) -> Result<(), Rejection> {
        let is_signed = |name: &str| self.signed_headers.iter().any(|signed| signed == name);
        if !is_signed("host") {
            return Err(Rejection::Invalid(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
                    .to_owned(),
            ));
        }
        if parts.headers.contains_key("x-amz-target") && !is_signed("x-amz-target") {
            return Err(Rejection::Invalid(
                "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
            ));
        }
        let date = amz_date(self.signed_at_secs).unwrap_or_default();
        let day = date.get(..8).unwrap_or_default();
        if self.scope.date != day {
            return Err(Rejection::Invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{}' != '{day}', from '{date}'.",
                self.scope.date
            )));
        }
        Ok(())
    }
}

/// `20150830T123600Z`
pub(super) fn amz_date(seconds: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(AMZ_DATE).ok()
}

/// Whether a raw `name=value` of a query string is one that signing writes itself.
pub(super) fn is_added_by_signing(pair: &str) -> bool {
    const ADDED: [&str; 6] = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ];
    ADDED.contains(&pair.split('=').next().unwrap_or_default())
}

fn signed_at(date: &str) -> Result<i64, Rejection> {
    let parsed = PrimitiveDateTime::parse(date, AMZ_DATE);
    parsed.map(|at| at.assume_utc().unix_timestamp()).map_err(|_| {
        Rejection::Incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{date}'. See \
             http://en.wikipedia.org/wiki/ISO_8601"
        ))
    })
}

fn scope(credential: &str) -> Result<Scope, Rejection> {
    Scope::parse(credential).ok_or_else(|| {
        Rejection::Incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. \
             keyid/date/region/service/term"
                .to_owned(),
        )
    })
}

fn header_names(list: &str) -> Vec<String> {
    list.split(';').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase).collect()
}

/// `Name=value` in the comma-separated fields of an Authorization header.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    fields.split(',').find_map(|field| {
        let (found, value) = field.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

fn unsupported(algorithm: &str) -> Rejection {
    Rejection::Incomplete(format!("Unsupported AWS 'algorithm': '{algorithm}'"))
}

fn first_word(header: &str) -> &str {
    header.split_whitespace().next().unwrap_or_default()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn parameter<'a>(parts: &'a Parts, name: &str) -> Option<Cow<'a, str>> {
    let query = parts.uri.query()?.as_bytes();
    form_urlencoded::parse(query).find(|(found, _)| found == name).map(|(_, value)| value)
}

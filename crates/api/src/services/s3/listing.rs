//! What the listings share: encoding, page sizes, tokens; and reading a raw query.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use kennel_platform::objects::After;
use s3s::S3Result;
use s3s::dto::EncodingType;

use super::errors;

/// AWS's largest page.
pub(super) const PAGE_MAX: i32 = 1000;

/// How keys are to be written into the answer.
#[derive(Clone, Copy)]
pub(super) struct Encoding {
    is_url: bool,
}

impl Encoding {
    pub fn read(encoding: Option<&EncodingType>) -> S3Result<Self> {
        match encoding.map(EncodingType::as_str) {
            None | Some("") => Ok(Self { is_url: false }),
            Some("url") => Ok(Self { is_url: true }),
            Some(_) => {
                Err(errors::invalid_argument("Invalid Encoding Method specified in Request"))
            }
        }
    }

    pub fn of(self, text: &str) -> String {
        if self.is_url { encoded(text) } else { text.to_owned() }
    }
}

/// Percent-encoded as S3 does it: letters, digits and `-_.*/` stay.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.*/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// The page size to use for what was asked.
pub(super) fn page_size(asked: Option<i32>, member: &str) -> S3Result<i32> {
    let asked = asked.unwrap_or(PAGE_MAX);
    if asked < 0 {
        return Err(errors::invalid_argument(format!(
            "Argument {member} must be an integer between 0 and 2147483647"
        )));
    }
    Ok(asked.min(PAGE_MAX))
}

pub(super) fn limit(size: i32) -> usize {
    usize::try_from(size).unwrap_or_default()
}

/// Opaque to clients: where a listing goes on, and whether that is a key or a common prefix.
pub(super) fn token(next: &After) -> String {
    let text = match next {
        After::Nothing => String::new(),
        After::Key(key) => format!("k{key}"),
        After::CommonPrefix(prefix) => format!("p{prefix}"),
    };
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn after(token: &str) -> S3Result<After> {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|raw| String::from_utf8(raw).ok());
    let text = text.unwrap_or_default();
    if let Some(key) = text.strip_prefix('k') {
        return Ok(After::Key(key.to_owned()));
    }
    match text.strip_prefix('p') {
        Some(prefix) => Ok(After::CommonPrefix(prefix.to_owned())),
        None => Err(errors::invalid_argument("The continuation token provided is incorrect")),
    }
}

/// The names in a query, as they stand there.
pub(super) fn query_names(uri: &Uri) -> impl Iterator<Item = &str> {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
}

/// The names in a query as `s3s` reads them, repetitions included.
pub(super) fn decoded_names(uri: &Uri) -> impl Iterator<Item = String> {
    query_names(uri).map(decoded_name)
}

/// The first value of a name in a query, both decoded: `s3s` obeys a name however it is written.
pub(super) fn query_value(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = uri.query().unwrap_or_default().split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((decoded_name(name), value))
    });
    decoded(pairs.find(|(found, _)| found == name)?.1)
}

/// What is not well-formed stays as it is, and so equals nothing that has a meaning.
fn decoded_name(raw: &str) -> String {
    decoded(&raw.replace('+', " ")).unwrap_or_else(|| raw.to_owned())
}

/// Undoes percent-encoding; `None` where it is not UTF-8 or not well-formed.
pub(super) fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_so_that_clients_get_them_back() {
        assert_eq!(encoded("/a b/é+&<%\n"), "/a%20b/%C3%A9%2B%26%3C%25%0A");
        assert_eq!(decoded(&encoded("/a b/é+&<%\n")).as_deref(), Some("/a b/é+&<%\n"));
        assert_eq!(decoded("%zz"), None);
        assert_eq!(decoded("%f"), None);
    }

    #[test]
    fn a_query_name_is_found_however_it_is_written() {
        let uri = Uri::from_static("/b?&%61=1%2B2&b&c%zz=3&a+b=4&a=5");
        assert_eq!(query_value(&uri, "a").as_deref(), Some("1+2"));
        assert_eq!(query_value(&uri, "b"), None);
        let names: Vec<_> = decoded_names(&uri).collect();
        assert_eq!(names, ["a", "b", "c%zz", "a b", "a"]);
    }

    #[test]
    fn tokens_come_back_and_others_are_refused() {
        for next in [After::Key("/a".into()), After::CommonPrefix("é/".into())] {
            assert_eq!(after(&token(&next)).unwrap(), next);
        }
        assert!(after("AAAA").is_err());
        assert!(after("not a token").is_err());
    }

    #[test]
    fn page_sizes_have_bounds() {
        assert_eq!(page_size(None, "max-keys").unwrap(), 1000);
        assert_eq!(page_size(Some(5000), "max-keys").unwrap(), 1000);
        assert_eq!(page_size(Some(0), "max-keys").unwrap(), 0);
        assert!(page_size(Some(-1), "max-keys").is_err());
    }
}

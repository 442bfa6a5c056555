//! NextToken: where a listing goes on, bound to the listing it belongs to.
//!
//! Clients see an opaque text. A token that was altered, or given to a listing with other
//! filters, is refused instead of leading somewhere wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Results of a page where the request names no number: AWS's default of its listings.
pub const RESULTS_DEFAULT: usize = 10;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token<P> {
    /// What was asked for, apart from the token and the size of the page.
    of: String,
    at: P,
}

/// A token for the page after `position`. `listing` is any text that differs between listings
/// whose positions must not be mixed: the operation and its filters.
pub fn encode<P: Serialize>(listing: &str, position: &P) -> Result<String, Failure> {
    let token = Token { of: digest(listing), at: position };
    let json = serde_json::to_vec(&token).map_err(|error| Failure::internal(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The position a token of this listing holds.
pub fn decode<P: DeserializeOwned>(
    listing: &str,
    token: Option<&str>,
) -> Result<Option<P>, Failure> {
    let Some(text) = token else { return Ok(None) };
    let invalid = || Failure::validation("The value of the parameter NextToken is invalid.");
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
    let token: Token<P> = serde_json::from_slice(&json).map_err(|_| invalid())?;
    if token.of == digest(listing) { Ok(Some(token.at)) } else { Err(invalid()) }
}

/// FNV-1a, 64 bits: tells listings apart, keeps no secret.
fn digest(listing: &str) -> String {
    let hash = listing.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_position() {
        let token = encode("jobs", &("dogs", 7)).unwrap();
        assert_eq!(
            decode::<(String, i32)>("jobs", Some(&token)).unwrap(),
            Some(("dogs".to_owned(), 7))
        );
        assert_eq!(decode::<(String, i32)>("jobs", None).unwrap(), None);
    }

    #[test]
    fn altered_and_foreign_tokens_are_refused() {
        let token = encode("jobs", &7).unwrap();
        assert!(decode::<i32>("jobs that failed", Some(&token)).is_err());
        assert!(decode::<i32>("jobs", Some(&token[1..])).is_err());
        for bad in ["", "abc", "!", "{}"] {
            assert!(decode::<i32>("jobs", Some(bad)).is_err(), "{bad}");
        }
    }
}

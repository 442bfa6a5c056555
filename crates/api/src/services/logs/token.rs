//! Page tokens: text that clients hand back as it was.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kennel_platform::telemetry::Position;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::errors::invalid;
use crate::failure::Failure;

/// A token that holds a small value.
pub fn encode<T: Serialize>(value: &T) -> Result<String, Failure> {
    let text = serde_json::to_vec(value).map_err(|error| Failure::internal(&error))?;
    Ok(URL_SAFE_NO_PAD.encode(text))
}

pub fn decode<T: DeserializeOwned>(token: &str) -> Result<T, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let value = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    value.ok_or_else(|| invalid("The specified nextToken is invalid."))
}

/// `f/` or `b/` and 56 digits, the form GetLogEvents is known for.
pub fn encode_position(position: Position) -> String {
    match position {
        Position::Forward(sequence) => format!("f/{sequence:056}"),
        Position::Backward(sequence) => format!("b/{sequence:056}"),
    }
}

pub fn decode_position(token: &str) -> Result<Position, Failure> {
    let number = |digits: &str| digits.parse::<u64>().ok();
    let position = match token.split_once('/') {
        Some(("f", digits)) => number(digits).map(Position::Forward),
        Some(("b", digits)) => number(digits).map(Position::Backward),
        _ => None,
    };
    position.ok_or_else(|| invalid("The specified nextToken is invalid."))
}

//! The secret of one run: who shows it is that run's supervisor.
//!
//! It must never be printed, put into an argument, an environment or a file by this crate.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const TOKEN_BYTES: usize = 32;

/// 256 random bits, wiped when dropped.
#[derive(Clone)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub fn from_bytes(bytes: [u8; TOKEN_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads what [`Token::to_hex`] wrote; anything else is `None`.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    pub fn expose(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &[u8; TOKEN_BYTES]) -> bool {
        self.0.ct_eq(other).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_survives_hex_and_is_not_printed() {
        let token = Token::generate().unwrap();
        let again = Token::from_hex(&token.to_hex()).unwrap();
        assert!(again.matches(token.expose()));
        assert!(!again.matches(&[0; TOKEN_BYTES]));
        assert_eq!(format!("{token:?}"), "Token(..)");
        assert!(Token::from_hex("ab").is_none());
    }
}

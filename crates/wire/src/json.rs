//! The document of the JSON protocols.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::decode::{self, DecodeError};

/// An empty body stands for `{}`, as clients of operations without input send it.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    // Shapes are checked while the text is read; what is no JSON at all is told apart afterwards.
    let decoded = decode::decode(&mut deserializer);
    let decoded = match decoded {
        Err(error) => match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Ok(_) => return Err(error),
            Err(syntax) => return Err(DecodeError::Malformed(syntax.to_string())),
        },
        Ok(decoded) => decoded,
    };
    deserializer.end().map_err(|error| DecodeError::Malformed(error.to_string()))?;
    Ok(decoded)
}

/// `()` has no document.
pub fn encode<T: Serialize>(output: &T) -> Result<Vec<u8>, serde_json::Error> {
    let text = serde_json::to_vec(output)?;
    Ok(if text == b"null" { Vec::new() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Outer {
        name: Option<String>,
        inner: Option<Vec<Inner>>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Inner {
        count: Option<i64>,
    }

    fn refusal(text: &str) -> DecodeError {
        decode::<Outer>(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn an_empty_body_is_an_empty_input() {
        assert_eq!(decode::<Outer>(b"").unwrap(), Outer { name: None, inner: None });
    }

    #[test]
    fn null_is_absent() {
        let decoded = decode::<Outer>(br#"{"Name": null}"#).unwrap();
        assert_eq!(decoded.name, None);
    }

    #[test]
    fn a_wrong_type_is_named_by_its_path() {
        let DecodeError::WrongType { member, problem } = refusal(r#"{"Inner":[{"Count":"x"}]}"#)
        else {
            panic!("told otherwise");
        };
        assert_eq!(member, "Inner[0].Count");
        assert!(problem.contains("expected i64"), "{problem}");
    }

    #[test]
    fn an_unknown_member_is_named_by_its_path() {
        assert_eq!(
            refusal(r#"{"Inner":[{"Cuont":1}]}"#),
            DecodeError::UnknownMember("Inner[0].Cuont".to_owned())
        );
        assert_eq!(refusal(r#"{"Nmae":1}"#), DecodeError::UnknownMember("Nmae".to_owned()));
    }

    #[test]
    fn what_is_no_json_is_malformed() {
        for text in ["{", "{\"Name\":", "not json", "{} trailing", "\u{1}"] {
            assert!(matches!(refusal(text), DecodeError::Malformed(_)), "{text}");
        }
        assert!(matches!(refusal("[]"), DecodeError::WrongType { .. } | DecodeError::Malformed(_)));
    }

    #[test]
    fn nesting_has_a_bound() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(matches!(
            refusal(&deep),
            DecodeError::Malformed(_) | DecodeError::WrongType { .. }
        ));
    }
}

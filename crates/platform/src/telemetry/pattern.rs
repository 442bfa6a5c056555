//! Filter patterns: terms and quoted phrases, all of which an event must hold.
//!
//! `?term` asks for one of several, `-term` for its absence. The patterns that look into JSON, into
//! columns or for regular expressions are refused by name.

/// A filter pattern, read. Matches everything if it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pattern {
    all: Vec<String>,
    any: Vec<String>,
    none: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("{0} filter patterns are not supported")]
    Unsupported(&'static str),
    #[error("Invalid character(s) in term '{0}'")]
    BadTerm(String),
    #[error("a quoted phrase is not closed")]
    Unclosed,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut pattern = Self::default();
        let mut rest = text.trim_start();
        match rest.chars().next() {
            Some('{') => return Err(PatternError::Unsupported("JSON")),
            Some('[') => return Err(PatternError::Unsupported("space-delimited")),
            Some('%') => return Err(PatternError::Unsupported("regular expression")),
            _ => {}
        }
        while !rest.is_empty() {
            let (list, from) = match rest.chars().next() {
                Some('?') => (&mut pattern.any, rest.get(1..).unwrap_or_default()),
                Some('-') => (&mut pattern.none, rest.get(1..).unwrap_or_default()),
                _ => (&mut pattern.all, rest),
            };
            let (term, after) = term(from)?;
            list.push(term);
            rest = after.trim_start();
        }
        Ok(pattern)
    }

    pub fn matches(&self, message: &str) -> bool {
        let holds = |term: &String| message.contains(term.as_str());
        self.all.iter().all(holds)
            && !self.none.iter().any(holds)
            && (self.any.is_empty() || self.any.iter().any(holds))
    }
}

/// The first term or phrase of `text`, and what follows it.
fn term(text: &str) -> Result<(String, &str), PatternError> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, after) = text.split_at_checked(end).unwrap_or((text, ""));
        let plain = |character: char| character.is_alphanumeric() || character == '_';
        if word.is_empty() || !word.chars().all(plain) {
            return Err(PatternError::BadTerm(word.to_owned()));
        }
        return Ok((word.to_owned(), after));
    };
    let mut phrase = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((phrase, quoted.get(at + 1..).unwrap_or_default())),
            '\\' => phrase.extend(characters.next().map(|(_, escaped)| escaped)),
            character => phrase.push(character),
        }
    }
    Err(PatternError::Unclosed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_select_messages() {
        let cases = [
            ("", "anything", true),
            ("  ", "anything", true),
            ("ERROR", "an ERROR here", true),
            ("ERROR", "an error here", false),
            ("ERROR disk", "disk: ERROR", true),
            ("ERROR disk", "ERROR", false),
            ("\"disk full\"", "the disk full", true),
            ("\"disk full\"", "full disk", false),
            ("\"a \\\"b\\\"\"", "a \"b\" c", true),
            ("?ERROR ?WARN", "WARN x", true),
            ("?ERROR ?WARN", "INFO x", false),
            ("ERROR -retry", "ERROR", true),
            ("ERROR -retry", "ERROR retry", false),
            ("-\"will retry\"", "ERROR will retry", false),
        ];
        for (pattern, message, expected) in cases {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(message), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_supported_is_refused_by_name() {
        let refusal = |text| Pattern::parse(text).unwrap_err().to_string();
        assert_eq!(refusal("{ $.a = 1 }"), "JSON filter patterns are not supported");
        assert_eq!(refusal("[a, b]"), "space-delimited filter patterns are not supported");
        assert_eq!(refusal("%x.*%"), "regular expression filter patterns are not supported");
        assert_eq!(refusal("a:b"), "Invalid character(s) in term 'a:b'");
        assert_eq!(refusal("-"), "Invalid character(s) in term ''");
        assert_eq!(refusal("\"open"), "a quoted phrase is not closed");
    }
}

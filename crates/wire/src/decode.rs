//! Why an input could not be read, with the member's path.

/// One of the three ways in which a client's input does not fit an operation's shape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("{0}")]
    Malformed(String),
    #[error("{member}: {problem}")]
    WrongType { member: String, problem: String },
    /// Nothing reads this member; to drop it silently would be to lie.
    #[error("{0}")]
    UnknownMember(String),
}

/// Reads `T`, keeping track of where in the document the reader is.
pub(crate) fn decode<'de, T, D>(deserializer: D) -> Result<T, DecodeError>
where
    T: serde::Deserialize<'de>,
    D: serde::Deserializer<'de>,
    D::Error: std::fmt::Display,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner().to_string();
        if let Some(name) = unknown_field(&problem) {
            return DecodeError::UnknownMember(member_path(&path, name));
        }
        DecodeError::WrongType { member: path, problem }
    })
}

/// The name in serde's sentence, the only place where it stands.
fn unknown_field(problem: &str) -> Option<&str> {
    problem.strip_prefix("unknown field `")?.split('`').next()
}

fn member_path(path: &str, name: &str) -> String {
    let path = path.strip_suffix(name).unwrap_or(path).trim_end_matches('.');
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

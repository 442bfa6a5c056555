//! The error an AWS client sees: code, message, status, and members of its own.

/// An operation's error, independent of the protocol that will carry it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub status: u16,
    /// The code clients match on: `ValidationException`, `ResourceNotFound`, ...
    pub code: &'static str,
    pub message: String,
    /// Further members of the error shape (`OriginalStatusCode`, ...).
    pub members: serde_json::Map<String, serde_json::Value>,
}

impl Failure {
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), members: serde_json::Map::new() }
    }

    /// 400 ValidationException, the answer to most bad input of the JSON services.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationException", message)
    }

    /// 500 InternalFailure. The cause goes to the server's log, never to the client.
    pub fn internal(cause: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = cause, "internal failure");
        Self::new(500, "InternalFailure", "An internal failure occurred.")
    }

    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }
}

//! What can go wrong between a call and its answer.

use std::error::Error as StdError;
use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service answered with an error of its own.
    #[error("An error occurred ({code}) when calling the {operation} operation: {message}")]
    Service {
        operation: String,
        code: String,
        message: String,
        status: u16,
        request_id: Option<String>,
    },
    #[error("could not connect to `{endpoint}`")]
    Connect { endpoint: String, source: Box<dyn StdError + Send + Sync> },
    #[error("{operation} had no answer within {} s", .after.as_secs())]
    Timeout { operation: String, after: Duration },
    #[error("the connection broke during {operation}")]
    Transport { operation: String, source: Box<dyn StdError + Send + Sync> },
    #[error("the answer to {operation} could not be understood")]
    Decode { operation: String, source: Box<dyn StdError + Send + Sync> },
    #[error("the answer to {operation} is larger than {bytes_max} bytes")]
    TooLarge { operation: String, bytes_max: u64 },
    #[error("`{bucket}/{key}` ended after {received} of {expected} bytes")]
    Truncated { bucket: String, key: String, received: u64, expected: u64 },
    #[error("`{0}` is not an http:// endpoint")]
    Endpoint(String),
    #[error("could not build the {operation} request")]
    Build { operation: String, source: Box<dyn StdError + Send + Sync> },
    #[error("could not read or write the file of {operation}")]
    File { operation: String, source: std::io::Error },
}

impl Error {
    /// The error code of the service, `NoSuchBucket`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Service { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The service's own sentence.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Service { message, .. } => Some(message),
            _ => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Service { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// No answer came: the server is away, or the connection was lost.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Timeout { .. } | Self::Transport { .. })
    }

    /// The same request may succeed later, unchanged.
    pub fn is_passing(&self) -> bool {
        const THROTTLED: [&str; 4] =
            ["Throttling", "ThrottlingException", "TooManyRequestsException", "SlowDown"];
        match self {
            Self::Service { code, status, .. } => {
                *status >= 500 || *status == 429 || THROTTLED.contains(&code.as_str())
            }
            Self::Truncated { .. } => true,
            other => other.is_unreachable(),
        }
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

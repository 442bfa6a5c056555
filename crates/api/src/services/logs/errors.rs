//! What becomes of the platform's errors about logs.

use kennel_platform::telemetry::Error;

use crate::failure::Failure;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::GroupAbsent(_) => not_found("The specified log group does not exist."),
            Error::StreamAbsent(_) => not_found("The specified log stream does not exist."),
            Error::GroupExists(_) => exists("The specified log group already exists"),
            Error::StreamExists(_) => exists("The specified log stream already exists"),
            Error::BadName(_) => invalid(error.to_string()),
            Error::TooManyStreams => Self::new(400, "LimitExceededException", error.to_string()),
            Error::Random(_) | Error::Corrupt(_) | Error::Records(_) | Error::Streams(_) => {
                Self::internal(&error)
            }
        }
    }
}

pub fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(400, "InvalidParameterException", message)
}

fn not_found(message: &str) -> Failure {
    Failure::new(400, "ResourceNotFoundException", message)
}

fn exists(message: &str) -> Failure {
    Failure::new(400, "ResourceAlreadyExistsException", message)
}

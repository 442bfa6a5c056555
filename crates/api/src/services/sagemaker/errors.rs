//! Errors of the domain in AWS's words.

use kennel_platform::{tags, training};

use crate::failure::Failure;

impl From<training::Error> for Failure {
    fn from(error: training::Error) -> Self {
        match error {
            training::Error::Exists { arn } => Self::new(
                400,
                "ResourceInUse",
                format!(
                    "Training job names must be unique within an AWS account and region, and a \
                     training job with this name already exists ({arn})"
                ),
            ),
            training::Error::Unknown(_) => no_such_job(),
            training::Error::AlreadyEnded { status, .. } => Self::validation(format!(
                "The request was rejected because the training job is in status {}.",
                status.as_str()
            )),
            training::Error::CannotRun(refused) => {
                Self::validation(format!("The training job cannot run on this host: {refused}"))
            }
            training::Error::UnknownInstanceType(name) => Self::validation(format!(
                "1 validation error detected: Value '{name}' at 'resourceConfig.instanceType' \
                 failed to satisfy constraint: Member must be an instance type that this version \
                 knows"
            )),
            training::Error::TooManyPlaces => Self::validation(
                "The S3 URIs of inputDataConfig, outputDataConfig and checkpointConfig are together \
                 too long for the session policy of the training job",
            ),
            training::Error::Contended(_)
            | training::Error::RunId(_)
            | training::Error::Record(_)
            | training::Error::Outside(_)
            | training::Error::TimedOut
            | training::Error::Store(_) => Self::internal(&error),
        }
    }
}

/// What Describe and Stop say of a job that is not there.
pub fn no_such_job() -> Failure {
    Failure::validation("Requested resource not found.")
}

impl From<tags::Error> for Failure {
    fn from(error: tags::Error) -> Self {
        match error {
            tags::Error::TooMany { .. } => Self::new(
                400,
                "ResourceLimitExceeded",
                "The resource would have more tags than the 50 that a resource can have.",
            ),
            tags::Error::Unreadable { .. } | tags::Error::Store(_) => Self::internal(&error),
        }
    }
}

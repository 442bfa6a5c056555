//! Errors of models and endpoints in AWS's words, which name resources by their ARN.

use kennel_platform::{endpoint, model};

use crate::context::Context;
use crate::failure::Failure;

pub fn of_model(context: &Context, error: model::Error) -> Failure {
    let models = &context.platform.models;
    match error {
        model::Error::Exists(name) => Failure::validation(format!(
            "Cannot create already existing model \"{}\".",
            models.arn(&name)
        )),
        model::Error::Absent(name) => no_model(&models.arn(&name)),
        model::Error::Image(image) => Failure::validation(format!(
            "1 validation error detected: Value '{image}' at 'primaryContainer.image' failed to \
             satisfy constraint: {}",
            kennel_platform::image::SUPPORTED
        )),
        model::Error::ArtifactRequired => Failure::validation(
            "1 validation error detected: Value null at 'primaryContainer.modelDataUrl' failed to \
             satisfy constraint: Member must not be null for this image",
        ),
        model::Error::ArtifactAbsent { location, role } => Failure::validation(format!(
            "Could not access model data at {location}. Please ensure that the role \"{}\" exists \
             and that its trust relationship policy allows the action \"sts:AssumeRole\" for the \
             service principal \"sagemaker.amazonaws.com\". Also ensure that the role has \
             \"s3:GetObject\" permissions and that the object is located in {}.",
            role.as_str(),
            context.region()
        )),
        model::Error::Refused(refused) => Failure::validation(format!(
            "1 validation error detected: Value at 'primaryContainer.image' failed to satisfy \
             constraint: Member must name an image that this host can run: {refused}"
        )),
        model::Error::Objects(_) | model::Error::Table(_) => Failure::internal(&error),
    }
}

pub fn of_endpoint(context: &Context, error: endpoint::Error) -> Failure {
    use endpoint::Error;
    let endpoints = &context.platform.endpoints;
    match error {
        Error::Exists(name) => Failure::validation(format!(
            "Cannot create already existing endpoint \"{}\".",
            endpoints.arn(&name)
        )),
        Error::Absent(name) => {
            Failure::validation(format!("Could not find endpoint \"{}\".", endpoints.arn(&name)))
        }
        Error::ConfigExists(name) => Failure::validation(format!(
            "Cannot create already existing endpoint configuration \"{}\".",
            endpoints.config_arn(&name)
        )),
        Error::ConfigAbsent(name) => Failure::validation(format!(
            "Could not find endpoint configuration \"{}\".",
            endpoints.config_arn(&name)
        )),
        Error::ModelAbsent(name) => no_model(&endpoints.model_arn(&name)),
        Error::VariantAbsent(name) => Failure::validation(format!(
            "The variant name(s) \"{}\" is/are not present within endpoint configuration.",
            name.as_str()
        )),
        Error::InProgress(name) => Failure::validation(format!(
            "Cannot update in-progress endpoint \"{}\".",
            endpoints.arn(&name)
        )),
        Error::NotInService(name) => Failure::validation(format!(
            "Cannot update endpoint \"{}\" because it is not in service.",
            endpoints.arn(&name)
        )),
        Error::Random | Error::Runs(_) | Error::Table(_) => Failure::internal(&error),
    }
}

fn no_model(arn: &str) -> Failure {
    Failure::validation(format!("Could not find model \"{arn}\"."))
}

//! Names that verbs choose where the person did not.

use kennel_client::Client;
use kennel_platform::clock::{Clock, SystemClock};

use crate::connect::refused;
use crate::failure::Failure;

/// `image-classification-<milliseconds since 1970>`: new at each call, sorts by time.
pub fn timestamped_name() -> String {
    format!("image-classification-{}", SystemClock.now_ms())
}

/// The role given, else the account's SageMaker execution role.
pub async fn role_arn(client: &Client, given: Option<String>) -> Result<String, Failure> {
    match given {
        Some(arn) => Ok(arn),
        None => {
            let account = account(client).await?;
            Ok(format!("arn:aws:iam::{account}:role/service-role/AmazonSageMaker-ExecutionRole"))
        }
    }
}

/// The bucket the SageMaker SDK takes by default: `sagemaker-<region>-<account>`.
pub async fn default_bucket(client: &Client) -> Result<String, Failure> {
    Ok(format!("sagemaker-{}-{}", client.region(), account(client).await?))
}

async fn account(client: &Client) -> Result<String, Failure> {
    let identity = client.caller_identity().await;
    identity
        .map(|identity| identity.account)
        .map_err(|error| refused("GetCallerIdentity failed", &error))
}

//! Which resources have tags: what an ARN of SageMaker names, and whether it exists.

use kennel_platform::names::EntityName;

use super::endpoint_failure::{of_endpoint, of_model};
use super::errors::no_such_job;
use crate::context::Context;
use crate::failure::Failure;
use crate::validate::Violations;

const PATTERN: &str = "arn:aws[a-z-]*:sagemaker:[a-z0-9-]*:[0-9]{12}:.+";

/// The required ARN of the three operations on tags.
pub fn validate_arn(violations: &mut Violations, arn: Option<&str>) {
    violations.required("resourceArn", arn.as_ref());
    violations.text("resourceArn", arn, 0..=256, PATTERN, |arn| Parts::of(arn).is_some());
}

/// The ARN under which the resource's tags are kept, where the resource exists.
pub async fn existing(context: &Context, arn: &str) -> Result<String, Failure> {
    let unknown = || Failure::validation(format!("Could not find resource \"{arn}\"."));
    let parts = Parts::of(arn).ok_or_else(unknown)?;
    if parts.region != context.region() || parts.account != context.account() {
        return Err(unknown());
    }
    let (kind, name) = parts.resource.split_once('/').ok_or_else(unknown)?;
    let name = EntityName::parse(name).map_err(|_| unknown())?;
    let platform = &context.platform;
    let exists = match kind {
        "training-job" => platform.training.get(&name).await?.is_some(),
        "model" => {
            platform.models.exists(name.as_str()).await.map_err(|error| of_model(context, error))?
        }
        "endpoint-config" => platform
            .endpoints
            .config_exists(name.as_str())
            .await
            .map_err(|error| of_endpoint(context, error))?,
        "endpoint" => platform
            .endpoints
            .exists(name.as_str())
            .await
            .map_err(|error| of_endpoint(context, error))?,
        _ => return Err(unknown()),
    };
    if exists {
        Ok(context.arn("sagemaker", &format!("{kind}/{}", name.key())))
    } else if kind == "training-job" {
        Err(no_such_job())
    } else {
        Err(unknown())
    }
}

struct Parts<'a> {
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Parts<'a> {
    fn of(arn: &'a str) -> Option<Self> {
        let mut parts = arn.splitn(6, ':');
        let (prefix, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let partition_fits = partition
            .strip_prefix("aws")
            .is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        let region_fits = region
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let account_fits = account.len() == 12 && account.bytes().all(|it| it.is_ascii_digit());
        let fits = prefix == "arn"
            && partition_fits
            && service == "sagemaker"
            && region_fits
            && account_fits
            && !resource.is_empty();
        fits.then_some(Self { region, account, resource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_sagemaker_are_taken_apart() {
        let parts = Parts::of("arn:aws:sagemaker:us-east-1:123456789012:training-job/a:b").unwrap();
        assert_eq!(
            (parts.region, parts.account, parts.resource),
            ("us-east-1", "123456789012", "training-job/a:b")
        );
        for bad in [
            "",
            "arn:aws:s3:::bucket",
            "arn:aws:sagemaker:us-east-1:12:model/x",
            "arn:aws:sagemaker:us-east-1:123456789012:",
            "arn:AWS:sagemaker:us-east-1:123456789012:model/x",
        ] {
            assert!(Parts::of(bad).is_none(), "{bad}");
        }
    }
}

//! ModelError: what is said of an answer that is no success, in AWS's words.

use kennel_platform::endpoint::Lease;

use crate::context::Context;
use crate::failure::Failure;

/// Bytes of a container's message that are passed on: AWS's bound of the member.
pub(super) const MESSAGE_BYTES_MAX: usize = 2_048;

/// What AWS says when a container does not answer in time.
pub(super) const TIMED_OUT: &str = "Your invocation timed out while waiting for a response from \
     container primary. Review the latency metrics for each container in Amazon CloudWatch, \
     resolve the issue, and try again.";

/// What AWS says when a container's process ends during a request.
pub(super) const BROKE_OFF: &str =
    "An error occurred while handling request as the model process exited.";

/// `status` is the container's, or 0 where it sent none. A message that is too long or no text is
/// not passed on.
pub(super) fn model_error(
    context: &Context,
    endpoint: &str,
    lease: &Lease,
    status: u16,
    message: Option<&str>,
) -> Failure {
    let counts = lease.counts();
    let (counter, side) = match status {
        400..=499 => (&counts.errors_4xx, "client"),
        _ => (&counts.errors_5xx, "server"),
    };
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let group = format!("/aws/sagemaker/Endpoints/{endpoint}");
    let said = match message {
        Some(message) => format!("with message \"{message}\""),
        None => "and could not load the entire response body".to_owned(),
    };
    let region = context.region();
    let text = format!(
        "Received {side} error ({status}) from primary {said}. See \
         https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}\
         #logEventViewer:group={group} in account {} for more information.",
        context.account(),
    );
    Failure::new(424, "ModelError", text)
        .with_member("OriginalStatusCode", status)
        .with_member("OriginalMessage", message.unwrap_or_default())
        .with_member("LogStreamArn", context.arn("logs", &format!("log-group:{group}")))
}

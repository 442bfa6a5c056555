//! InvokeEndpoint.
//!
//! The request's body goes to the container as it is, with Content-Type, Accept, the custom
//! attributes and the inference id; no other header does. The container's answer streams back.
//! Headers of multi-model, multi-container, stateful and explained endpoints are refused by name.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use kennel_platform::endpoint::{Lease, NoRoute};
use kennel_platform::names::EntityName;

use super::model_error::{BROKE_OFF, MESSAGE_BYTES_MAX, TIMED_OUT, model_error};
use super::transport::{self, ANSWER_BYTES_MAX, Answer, Broken};
use crate::body::{self, Body};
use crate::context::Context;
use crate::failure::Failure;
use crate::limits::INVOCATION_BODY_BYTES_MAX;
use crate::operation::Access;
use crate::registry::RawOperation;
use crate::validate::Violations;

const TARGET_VARIANT: HeaderName = HeaderName::from_static("x-amzn-sagemaker-target-variant");
const CUSTOM_ATTRIBUTES: HeaderName = HeaderName::from_static("x-amzn-sagemaker-custom-attributes");
const INFERENCE_ID: HeaderName = HeaderName::from_static("x-amzn-sagemaker-inference-id");
const INVOKED_VARIANT: HeaderName = HeaderName::from_static("x-amzn-invoked-production-variant");

/// What a container is told.
const PASSED_ON: [HeaderName; 4] =
    [header::CONTENT_TYPE, header::ACCEPT, CUSTOM_ATTRIBUTES, INFERENCE_ID];

/// Headers with a meaning that this version has no behaviour for.
const REFUSED: [&str; 6] = [
    "x-amzn-sagemaker-target-model",
    "x-amzn-sagemaker-target-container-hostname",
    "x-amzn-sagemaker-enable-explanations",
    "x-amzn-sagemaker-inference-component",
    "x-amzn-sagemaker-session-id",
    "x-amzn-sagemaker-prefix-aware-id",
];

/// AWS's bound of the headers of this operation.
const HEADER_BYTES_MAX: usize = 1_024;

/// How long an error's message may take to arrive.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// Replicas that are tried where the ones before could not be reached.
const TRIES_MAX: usize = 4;

pub struct InvokeEndpoint;

/// The endpoint's name as the path has it.
pub struct Route {
    pub(super) endpoint_name: String,
}

#[async_trait]
impl RawOperation for InvokeEndpoint {
    const NAME: &'static str = "InvokeEndpoint";
    const BODY_BYTES_MAX: usize = INVOCATION_BODY_BYTES_MAX;
    type Route = Route;

    fn route(method: &Method, path: &str) -> Option<Route> {
        let name = path.strip_prefix("/endpoints/")?.strip_suffix("/invocations")?;
        let fits = method == Method::POST && !name.contains('/');
        fits.then(|| Route { endpoint_name: name.to_owned() })
    }

    fn authorize(context: &Context, route: &Route, _parts: &Parts) -> Vec<Access> {
        let name = route.endpoint_name.to_ascii_lowercase();
        let endpoint = context.arn("sagemaker", &format!("endpoint/{name}"));
        vec![Access::new("sagemaker:InvokeEndpoint", endpoint)]
    }

    /// Violations would be told as a ValidationException; this API has a ValidationError, which
    /// `handle` answers.
    fn validate(_route: &Route, _request: &Request<Bytes>, _violations: &mut Violations) {}

    async fn handle(
        context: &Context,
        route: Route,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        let name = check(&route, &parts.headers)?;
        let target = parts.headers.get(&TARGET_VARIANT).and_then(|value| value.to_str().ok());
        let mut avoid = Vec::new();
        loop {
            let lease = lease(context, &name, target, &avoid).await?;
            match transport::send(&lease, to_container(&parts.headers, body.clone())).await {
                Ok(answer) => return answered(context, &name, lease, answer).await,
                Err(Broken::Unreached(error)) if avoid.len() + 1 < TRIES_MAX => {
                    let run = lease.run_id();
                    tracing::info!(run, error = &*error as &dyn std::error::Error, "no answer");
                    avoid.push(run.to_owned());
                }
                Err(Broken::Unreached(_)) => return Err(unavailable()),
                Err(Broken::TimedOut) => {
                    return Err(model_error(context, &name, &lease, 0, Some(TIMED_OUT)));
                }
                Err(Broken::BrokeOff(_)) => {
                    return Err(model_error(context, &name, &lease, 0, Some(BROKE_OFF)));
                }
            }
        }
    }
}

/// The endpoint's name, where the request is one this version can serve.
fn check(route: &Route, headers: &HeaderMap) -> Result<String, Failure> {
    let name = &route.endpoint_name;
    if EntityName::parse(name).is_err() {
        return Err(validation_error(format!(
            "1 validation error detected: Value '{name}' at 'endpointName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: \
             ^[a-zA-Z0-9](-*[a-zA-Z0-9])*"
        )));
    }
    for refused in REFUSED {
        if headers.contains_key(refused) {
            return Err(validation_error(format!(
                "The header {refused} is not supported by this version of Kennel."
            )));
        }
    }
    for known in PASSED_ON.iter().chain([&TARGET_VARIANT]) {
        if headers.get(known).is_some_and(|value| value.len() > HEADER_BYTES_MAX) {
            return Err(validation_error(format!(
                "1 validation error detected: Value at '{known}' failed to satisfy constraint: \
                 Member must have length less than or equal to {HEADER_BYTES_MAX}"
            )));
        }
    }
    Ok(name.clone())
}

async fn lease(
    context: &Context,
    name: &str,
    target: Option<&str>,
    avoid: &[String],
) -> Result<Lease, Failure> {
    let leased = context.platform.endpoints.lease(name, target, avoid).await;
    match leased.map_err(|error| Failure::internal(&error))? {
        Ok(lease) => Ok(lease),
        Err(NoRoute::Endpoint) => Err(validation_error(format!(
            "Endpoint {name} of account {} not found.",
            context.account()
        ))),
        Err(NoRoute::Variant) => Err(validation_error(format!(
            "Variant {} not found for Request {}",
            target.unwrap_or_default(),
            context.request_id
        ))),
        Err(NoRoute::Replica | NoRoute::Busy) => Err(unavailable()),
    }
}

fn to_container(headers: &HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/invocations");
    let given = request.headers_mut();
    given.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
    for name in PASSED_ON {
        if let Some(value) = headers.get(&name) {
            given.insert(name, value.clone());
        }
    }
    request
}

async fn answered(
    context: &Context,
    name: &str,
    lease: Lease,
    answer: Answer,
) -> Result<Response<Body>, Failure> {
    if !answer.response.status().is_success() {
        return Err(refused(context, name, lease, answer).await);
    }
    if http_body::Body::size_hint(answer.response.body()).lower() > ANSWER_BYTES_MAX as u64 {
        return Err(model_error(context, name, &lease, answer.response.status().as_u16(), None));
    }
    let variant = HeaderValue::from_str(lease.variant());
    let (parts, body) = answer.into_body(lease);
    let mut response = Response::new(body::boxed(body));
    let headers = response.headers_mut();
    for passed in [header::CONTENT_TYPE, header::CONTENT_LENGTH, CUSTOM_ATTRIBUTES] {
        if let Some(value) = parts.headers.get(&passed) {
            headers.insert(passed, value.clone());
        }
    }
    if let Ok(variant) = variant {
        headers.insert(INVOKED_VARIANT, variant);
    }
    Ok(response)
}

/// The container answered with an error of its own.
async fn refused(context: &Context, name: &str, lease: Lease, answer: Answer) -> Failure {
    let status = answer.response.status().as_u16();
    let body = Limited::new(answer.response.into_body(), MESSAGE_BYTES_MAX);
    let whole = tokio::time::timeout(MESSAGE_TIMEOUT, body.collect()).await;
    let bytes = whole.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes);
    let message = bytes.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
    model_error(context, name, &lease, status, message)
}

fn validation_error(message: String) -> Failure {
    Failure::new(400, "ValidationError", message)
}

/// No replica takes the request now; clients try again.
fn unavailable() -> Failure {
    Failure::new(503, "ServiceUnavailable", "The service is unavailable. Try your call again.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str) -> Option<String> {
        InvokeEndpoint::route(&Method::POST, path).map(|route| route.endpoint_name)
    }

    fn checked(name: &str, headers: &[(&'static str, &str)]) -> Result<String, Failure> {
        let headers = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        });
        check(&Route { endpoint_name: name.to_owned() }, &headers.collect())
    }

    #[test]
    fn only_its_own_path_is_taken() {
        assert_eq!(route("/endpoints/dogs/invocations").as_deref(), Some("dogs"));
        assert_eq!(route("/endpoints/a/b/invocations"), None);
        assert_eq!(route("/endpoints/dogs/async-invocations"), None);
        assert_eq!(route("/endpoints/dogs/invocations-response-stream"), None);
        assert!(InvokeEndpoint::route(&Method::GET, "/endpoints/dogs/invocations").is_none());
    }

    #[test]
    fn names_and_headers_that_cannot_be_are_refused() {
        assert_eq!(checked("dogs", &[("accept", "*/*")]).unwrap(), "dogs");
        for name in ["", "-dogs", "do_gs", "%2e%2e", &"x".repeat(64)] {
            assert_eq!(checked(name, &[]).unwrap_err().code, "ValidationError");
        }
        let model = checked("dogs", &[("x-amzn-sagemaker-target-model", "a")]).unwrap_err();
        assert!(model.message.contains("target-model"));
        let long = "x".repeat(HEADER_BYTES_MAX + 1);
        assert!(checked("dogs", &[("x-amzn-sagemaker-custom-attributes", &long)]).is_err());
    }

    #[test]
    fn a_container_is_told_what_aws_tells_it_and_nothing_else() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "x-amzn-sagemaker-custom-attributes", "authorization"] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        }
        let request = to_container(&headers, Bytes::from_static(b"body"));
        let mut told: Vec<&str> = request.headers().keys().map(HeaderName::as_str).collect();
        told.sort_unstable();
        assert_eq!(told, ["content-type", "host", "x-amzn-sagemaker-custom-attributes"]);
        assert_eq!(request.uri().path(), "/invocations");
    }
}

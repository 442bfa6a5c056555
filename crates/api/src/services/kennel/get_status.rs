//! `GET /_kennel/status`: the server, its host, and how it isolates and limits workloads.

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use serde::Serialize;

use crate::body::{Body, full};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::Access;
use crate::registry::RawOperation;
use crate::validate::Violations;

pub struct GetStatus;

/// The answer, as JSON.
#[derive(Serialize)]
struct Status<'a> {
    version: &'a str,
    account: &'a str,
    region: &'a str,
    cpus: u32,
    memory_bytes: u64,
    isolation: String,
    isolation_reason: String,
    limiter: String,
    limiter_reason: String,
}

#[async_trait]
impl RawOperation for GetStatus {
    const NAME: &'static str = "GetStatus";

    const BODY_BYTES_MAX: usize = 0;

    type Route = ();

    fn route(method: &Method, path: &str) -> Option<()> {
        (*method == Method::GET && path == "/_kennel/status").then_some(())
    }

    fn authorize(_context: &Context, _route: &(), _parts: &Parts) -> Vec<Access> {
        vec![Access::new("kennel:GetStatus", "*")]
    }

    fn validate(_route: &(), _request: &Request<Bytes>, _violations: &mut Violations) {}

    async fn handle(
        context: &Context,
        _route: (),
        _request: Request<Bytes>,
    ) -> Result<Response<Body>, Failure> {
        let capability = context.platform.runs.capability();
        let status = Status {
            version: env!("CARGO_PKG_VERSION"),
            account: context.account(),
            region: context.region(),
            cpus: capability.cpus,
            memory_bytes: capability.memory_bytes,
            isolation: capability.isolation.to_string(),
            isolation_reason: capability.isolation_reason,
            limiter: capability.limiter.to_string(),
            limiter_reason: capability.limiter_reason,
        };
        let body = serde_json::to_vec(&status).map_err(|error| Failure::internal(&error))?;
        let mut response = Response::new(full(body));
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().insert(http::header::CONTENT_TYPE, json);
        Ok(response)
    }
}

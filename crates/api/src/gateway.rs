//! The path of one request, from its head to its audit line.
//!
//! ```text
//! route            scope of the signature, then target or path        route
//! check_head       form, scope, time, key, token                       authenticate
//! check_body       size, hash, signature                               authenticate
//! perform          syntax -> authorize -> validate -> handle -> encode here
//! answer           encode errors in the client's protocol, id, audit   here
//! ```
//!
//! The order is the contract: an unsigned request has no body, an unauthorized caller learns
//! nothing of validation, and nothing reaches `handle` without `authorize`.

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response};
use kennel_platform::Platform;
use kennel_wire::protocol::{Encoded, Envelope, ErrorAnswer, Payload};
use kennel_wire::query::Form;
use kennel_wire::{DecodeError, Protocol};
use tokio::sync::Semaphore;

use crate::body::{self, Body};
use crate::context::Context;
use crate::failure::Failure;
use crate::operation::Operation;
use crate::registry::{Call, Entry, RawCall, RawEntry, RawOperation, Service};
use crate::request_id::RequestId;
use crate::route::{Route, route};
use crate::s3_route::S3Handler;
use crate::validate::Violations;
use crate::{audit, authenticate, authorize, limits, services};

/// Takes requests to the platform. Cheap to share behind an `Arc`.
pub struct Gateway {
    platform: Arc<Platform>,
    s3: Arc<dyn S3Handler>,
    slots: Semaphore,
}

impl Gateway {
    pub fn new(platform: Arc<Platform>, s3: Arc<dyn S3Handler>) -> Self {
        Self { platform, s3, slots: Semaphore::new(limits::REQUESTS_MAX) }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let exchange = Exchange { id: RequestId::random(), audit: audit::Entry::default() };
        let (parts, body) = request.into_parts();
        let route = route(services::ALL, &parts);
        let slot = self.slots.try_acquire();
        let answer = match route {
            Route::Health => return exchange.health(),
            route if slot.is_err() => return exchange.too_busy(&route, &parts),
            Route::S3 => return self.s3(exchange, parts, body).await,
            Route::Operation { service, protocol, operation } => {
                let done = self.operation(&exchange, service, operation, protocol, &parts, body);
                (protocol, service.xml_namespace, operation.name, done.await)
            }
            Route::Query { service } => {
                let (name, done) = self.query(&exchange, service, &parts, body).await;
                (Protocol::Query, service.xml_namespace, name, done)
            }
            Route::Raw { service, operation } => {
                let done = self.raw(&exchange, service, operation, &parts, body);
                (Protocol::RestJson, None, operation.name, done.await)
            }
            Route::Unknown { service, protocol, what } => {
                let failure = self.unknown(&exchange, service, protocol, &what, &parts, body);
                (protocol, None, "", Err(failure.await))
            }
        };
        exchange.finish(answer, &parts)
    }

    async fn operation(
        &self,
        exchange: &Exchange,
        service: &'static Service,
        operation: &'static Entry,
        protocol: Protocol,
        parts: &Parts,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        exchange.audit.operation(service.name, operation.name);
        let bytes_max = service.body_bytes_max;
        let verified = self.authenticate(exchange, Some(service), parts, body, bytes_max).await;
        let (context, body) = verified.map_err(|error| error.into_failure(protocol))?;
        let (audit, payload) = (&exchange.audit, Payload::Document(&body));
        let call = Call { context: &context, audit, service, protocol, payload };
        (operation.perform)(call).await.map(response)
    }

    async fn query(
        &self,
        exchange: &Exchange,
        service: &'static Service,
        parts: &Parts,
        body: Body,
    ) -> (&'static str, Result<Response<Body>, Failure>) {
        let protocol = Protocol::Query;
        let bytes_max = service.body_bytes_max;
        let verified = self.authenticate(exchange, Some(service), parts, body, bytes_max).await;
        let (context, body) = match verified {
            Ok(verified) => verified,
            Err(error) => return ("", Err(error.into_failure(protocol))),
        };
        let (form, operation) = match find_query(service, parts, &body) {
            Ok(found) => found,
            Err(failure) => return ("", Err(failure)),
        };
        exchange.audit.operation(service.name, operation.name);
        let (audit, payload) = (&exchange.audit, Payload::Form(&form));
        let call = Call { context: &context, audit, service, protocol, payload };
        (operation.name, (operation.perform)(call).await.map(response))
    }

    async fn raw(
        &self,
        exchange: &Exchange,
        service: &'static Service,
        operation: &'static RawEntry,
        parts: &Parts,
        body: Body,
    ) -> Result<Response<Body>, Failure> {
        exchange.audit.operation(service.name, operation.name);
        let bytes_max = operation.body_bytes_max;
        let verified = self.authenticate(exchange, Some(service), parts, body, bytes_max).await;
        let (context, body) = verified.map_err(|error| error.into_failure(Protocol::RestJson))?;
        let request = Request::from_parts(parts.clone(), body);
        let call = RawCall { context: &context, audit: &exchange.audit, request };
        (operation.perform)(call).await
    }

    /// Even what is not here is only told to those whose signature holds.
    async fn unknown(
        &self,
        exchange: &Exchange,
        service: Option<&'static Service>,
        protocol: Protocol,
        what: &str,
        parts: &Parts,
        body: Body,
    ) -> Failure {
        let bytes_max = limits::JSON_BODY_BYTES_MAX;
        match self.authenticate(exchange, None, parts, body, bytes_max).await {
            Err(error) => error.into_failure(protocol),
            Ok((_, body)) if protocol == Protocol::Query => {
                let form = form(parts, &body).unwrap_or_default();
                let action = form.action.unwrap_or_default();
                unknown_operation(protocol, service, &format!("{what}: {action}"))
            }
            Ok(_) => unknown_operation(protocol, service, what),
        }
    }

    async fn authenticate(
        &self,
        exchange: &Exchange,
        service: Option<&Service>,
        parts: &Parts,
        body: Body,
        bytes_max: usize,
    ) -> Result<(Context, Bytes), authenticate::Error> {
        let presented = authenticate::check_head(&self.platform, service, parts).await?;
        let (caller, body) = authenticate::check_body(presented, parts, body, bytes_max).await?;
        exchange.audit.caller(&caller);
        Ok((Context::new(self.platform.clone(), caller, &*exchange.id.0), body))
    }

    async fn s3(&self, exchange: Exchange, parts: Parts, body: Body) -> Response<Body> {
        let mut request = Request::from_parts(parts, body);
        request.extensions_mut().insert(exchange.id.clone());
        request.extensions_mut().insert(exchange.audit.clone());
        let mut response = self.s3.call(request).await;
        set_header(&mut response, "x-amz-request-id", &exchange.id.0);
        exchange.close(response)
    }
}

/// The steps of an ordinary operation, in the order that is the contract.
pub(crate) async fn perform<O: Operation>(call: Call<'_>) -> Result<Encoded, Failure> {
    let Call { context, audit, service, protocol, payload } = call;
    let input: O::Input = payload.decode().map_err(|error| undecodable(&error, protocol))?;
    allow(context, audit, protocol, &O::authorize(context, &input))?;
    let mut violations = Violations::default();
    O::validate(&input, &mut violations);
    violations.finish()?;
    let output = O::handle(context, input).await?;
    let envelope = Envelope {
        operation: O::NAME,
        xml_namespace: service.xml_namespace,
        request_id: &context.request_id,
    };
    protocol.encode(envelope, &output).map_err(|error| Failure::internal(&error))
}

/// The same for an operation with a raw body.
pub(crate) async fn perform_raw<O: RawOperation>(
    call: RawCall<'_>,
) -> Result<Response<Body>, Failure> {
    let RawCall { context, audit, request } = call;
    let (parts, body) = request.into_parts();
    let route = O::route(&parts.method, parts.uri.path())
        .ok_or_else(|| unknown_operation(Protocol::RestJson, None, O::NAME))?;
    allow(context, audit, Protocol::RestJson, &O::authorize(context, &route, &parts))?;
    let request = Request::from_parts(parts, body);
    let mut violations = Violations::default();
    O::validate(&route, &request, &mut violations);
    violations.finish()?;
    O::handle(context, route, request).await
}

fn allow(
    context: &Context,
    audit: &audit::Entry,
    protocol: Protocol,
    access: &[crate::operation::Access],
) -> Result<(), Failure> {
    audit.access(access);
    authorize::check(context, access).map_err(|denied| {
        audit.denied();
        match protocol {
            Protocol::Query => Failure::new(403, "AccessDenied", denied.message),
            Protocol::RestJson => Failure::new(403, "AccessDeniedException", denied.message),
            _ => Failure::from(denied),
        }
    })
}

fn find_query(
    service: &'static Service,
    parts: &Parts,
    body: &[u8],
) -> Result<(Form, &'static Entry), Failure> {
    let form = form(parts, body).map_err(|error| undecodable(&error, Protocol::Query))?;
    let Some(action) = form.action.as_deref() else {
        return Err(Failure::new(
            400,
            "MissingAction",
            "The request must contain the parameter Action",
        ));
    };
    if let Some(version) = form.version.as_deref().filter(|version| *version != service.version) {
        let message = format!("Could not find operation {action} for version {version}");
        return Err(Failure::new(400, "InvalidAction", message));
    }
    match service.find(action) {
        Some(operation) => Ok((form, operation)),
        None => Err(unknown_operation(Protocol::Query, Some(service), action)),
    }
}

/// A presigned or plain GET has its parameters in the query string, a POST in the body.
fn form(parts: &Parts, body: &[u8]) -> Result<Form, DecodeError> {
    let query = parts.uri.query().unwrap_or_default().as_bytes();
    Form::parse(if body.is_empty() { query } else { body })
}

fn unknown_operation(protocol: Protocol, service: Option<&Service>, what: &str) -> Failure {
    let at = service.map(|service| format!(" of {}", service.name)).unwrap_or_default();
    match protocol {
        Protocol::Query => Failure::new(
            400,
            "InvalidAction",
            format!("The action {what}{at} is not valid for this endpoint."),
        ),
        Protocol::RestJson => Failure::new(
            404,
            "UnknownOperationException",
            format!("The operation {what}{at} is not known to this server."),
        ),
        _ => Failure::new(
            400,
            "UnknownOperationException",
            format!("The operation {what}{at} is not known to this server."),
        ),
    }
}

fn undecodable(error: &DecodeError, protocol: Protocol) -> Failure {
    match (error, protocol) {
        (DecodeError::UnknownMember(member), Protocol::Query) => Failure::new(
            400,
            "InvalidParameter",
            format!("The parameter {member} is not supported by this server."),
        ),
        (DecodeError::UnknownMember(member), _) => Failure::validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: \
             Member is not supported by this server"
        )),
        (error, Protocol::Query) => Failure::new(400, "MalformedInput", error.to_string()),
        (error, _) => Failure::new(400, "SerializationException", error.to_string()),
    }
}

/// What belongs to one request whatever becomes of it.
struct Exchange {
    id: RequestId,
    audit: audit::Entry,
}

type Answer = (Protocol, Option<&'static str>, &'static str, Result<Response<Body>, Failure>);

impl Exchange {
    fn finish(self, answer: Answer, parts: &Parts) -> Response<Body> {
        let (protocol, xml_namespace, operation, result) = answer;
        let response = result.unwrap_or_else(|failure| {
            self.audit.code(failure.code);
            self.failed(protocol, xml_namespace, operation, &failure, parts)
        });
        self.close(response)
    }

    fn failed(
        &self,
        protocol: Protocol,
        xml_namespace: Option<&str>,
        operation: &str,
        failure: &Failure,
        parts: &Parts,
    ) -> Response<Body> {
        let envelope = Envelope { operation, xml_namespace, request_id: &self.id.0 };
        let error = ErrorAnswer {
            status: failure.status,
            code: failure.code,
            message: &failure.message,
            members: &failure.members,
            query_mode: parts.headers.contains_key("x-amzn-query-mode"),
        };
        let mut response = response(protocol.encode_error(envelope, error));
        *response.status_mut() = http::StatusCode::from_u16(failure.status)
            .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        response
    }

    fn too_busy(self, route: &Route, parts: &Parts) -> Response<Body> {
        let (protocol, failure) = match route {
            Route::Operation { protocol, .. } | Route::Unknown { protocol, .. } => {
                (*protocol, Failure::new(400, "ThrottlingException", "Rate exceeded"))
            }
            Route::Query { .. } => {
                (Protocol::Query, Failure::new(400, "Throttling", "Rate exceeded"))
            }
            Route::Raw { .. } => {
                (Protocol::RestJson, Failure::new(429, "ThrottlingException", "Rate exceeded"))
            }
            Route::S3 | Route::Health => (
                Protocol::RestXml,
                Failure::new(503, "SlowDown", "Please reduce your request rate."),
            ),
        };
        self.finish((protocol, None, "", Err(failure)), parts)
    }

    fn health(self) -> Response<Body> {
        let text = concat!("{\"status\":\"ok\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}");
        let mut response = Response::new(body::full(text));
        set_header(&mut response, "content-type", "application/json");
        set_header(&mut response, "x-amzn-requestid", &self.id.0);
        response
    }

    fn close(self, mut response: Response<Body>) -> Response<Body> {
        set_header(&mut response, "x-amzn-requestid", &self.id.0);
        self.audit.finish(&self.id.0, response.status().as_u16());
        response
    }
}

fn response(encoded: Encoded) -> Response<Body> {
    let mut response = Response::new(body::full(encoded.body));
    set_header(&mut response, "content-type", encoded.content_type);
    for (name, value) in encoded.headers {
        set_header(&mut response, name, &value);
    }
    response
}

/// What cannot be a header's value is left out rather than sent broken.
fn set_header(response: &mut Response<Body>, name: &'static str, value: &str) {
    let name = HeaderName::try_from(name);
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
        response.headers_mut().insert(name, value);
    }
}

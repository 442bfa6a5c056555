//! Services and their operations. One list a service, written with [`operations!`], is everything
//! the gateway knows of it.

use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response};
use kennel_wire::Protocol;
use kennel_wire::protocol::{Encoded, Payload};
use kennel_wire::shape::{self, Shape};

use crate::audit;
use crate::body::Body;
use crate::context::Context;
use crate::failure::Failure;
use crate::gateway;
use crate::operation::{Access, Operation};
use crate::validate::Violations;

/// One AWS API: what its requests look like and what it can do.
pub struct Service {
    /// For people and the audit line.
    pub name: &'static str,
    /// The service in the credential scope of a signature. Two APIs may share one.
    pub scope: &'static str,
    /// What stands before the dot in `X-Amz-Target`; `None` where no JSON protocol is spoken.
    pub target: Option<&'static str>,
    /// The API's version, which query requests name.
    pub version: &'static str,
    pub xml_namespace: Option<&'static str>,
    pub protocols: &'static [Protocol],
    /// Signatures for any region are good: the API is global.
    pub any_region: bool,
    pub body_bytes_max: usize,
    pub operations: &'static [Entry],
    pub raw: &'static [RawEntry],
}

impl Service {
    pub fn find(&self, operation: &str) -> Option<&'static Entry> {
        self.operations.iter().find(|entry| entry.name == operation)
    }
}

pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// An [`Operation`] as the gateway holds it.
pub struct Entry {
    pub name: &'static str,
    /// What the operation reads of a request.
    pub input_shape: fn() -> Shape,
    pub(crate) perform: for<'a> fn(Call<'a>) -> Pending<'a, Encoded>,
}

/// A verified request for an operation.
pub(crate) struct Call<'a> {
    pub context: &'a Context,
    pub audit: &'a audit::Entry,
    pub service: &'static Service,
    pub protocol: Protocol,
    pub payload: Payload<'a>,
}

impl Entry {
    pub const fn of<O: Operation>() -> Self {
        Self {
            name: O::NAME,
            input_shape: shape::of::<O::Input>,
            perform: |call| Box::pin(gateway::perform::<O>(call)),
        }
    }
}

/// An operation of a REST API whose body is not a document, or whose answer streams.
#[async_trait]
pub trait RawOperation: Send + Sync + 'static {
    const NAME: &'static str;

    /// The largest body it takes; AWS's own bound where there is one.
    const BODY_BYTES_MAX: usize;

    /// What the path names.
    type Route: Send + Sync;

    /// `None` where method and path are not this operation's. The path is as it was sent.
    fn route(method: &Method, path: &str) -> Option<Self::Route>;

    /// As [`Operation::authorize`].
    fn authorize(context: &Context, route: &Self::Route, parts: &Parts) -> Vec<Access>;

    /// As [`Operation::validate`].
    fn validate(route: &Self::Route, request: &Request<Bytes>, violations: &mut Violations);

    /// Does it. The body is whole and its hash verified.
    async fn handle(
        context: &Context,
        route: Self::Route,
        request: Request<Bytes>,
    ) -> Result<Response<Body>, Failure>;
}

/// A [`RawOperation`] as the gateway holds it.
pub struct RawEntry {
    pub name: &'static str,
    pub(crate) body_bytes_max: usize,
    pub(crate) matches: fn(&Method, &str) -> bool,
    pub(crate) perform: for<'a> fn(RawCall<'a>) -> Pending<'a, Response<Body>>,
}

/// A verified request for a raw operation.
pub(crate) struct RawCall<'a> {
    pub context: &'a Context,
    pub audit: &'a audit::Entry,
    pub request: Request<Bytes>,
}

impl RawEntry {
    pub const fn of<O: RawOperation>() -> Self {
        Self {
            name: O::NAME,
            body_bytes_max: O::BODY_BYTES_MAX,
            matches: |method, path| O::route(method, path).is_some(),
            perform: |call| Box::pin(gateway::perform_raw::<O>(call)),
        }
    }
}

/// `operations![create_model::CreateModel, ...]`: everything a service can do.
macro_rules! operations {
    ($($operation:ty),* $(,)?) => {
        &[$($crate::registry::Entry::of::<$operation>()),*]
    };
}

/// As [`operations!`], for [`RawOperation`]s.
macro_rules! raw_operations {
    ($($operation:ty),* $(,)?) => {
        &[$($crate::registry::RawEntry::of::<$operation>()),*]
    };
}

pub(crate) use {operations, raw_operations};

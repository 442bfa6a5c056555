//! Which API a request is for: the credential scope of its signature first, then its target or
//! its path. A bucket may be named like a path of another service; a signature is for one service.

use http::request::Parts;
use http::{HeaderMap, Method};
use kennel_wire::Protocol;
use kennel_wire::sigv4::Scope;

use crate::registry::{Entry, RawEntry, Service};

/// Where a request goes.
pub(crate) enum Route {
    /// The gateway itself: is the server there?
    Health,
    S3,
    /// A JSON operation, named by `X-Amz-Target`.
    Operation {
        service: &'static Service,
        protocol: Protocol,
        operation: &'static Entry,
    },
    /// A query operation; its name is a parameter that may stand in the body.
    Query {
        service: &'static Service,
    },
    Raw {
        service: &'static Service,
        operation: &'static RawEntry,
    },
    /// Something that is not here, with the service if that at least is.
    Unknown {
        service: Option<&'static Service>,
        protocol: Protocol,
        what: String,
    },
}

const HEALTH_PATH: &str = "/_kennel/health";

pub(crate) fn route(services: &[&'static Service], parts: &Parts) -> Route {
    if parts.uri.path() == HEALTH_PATH && parts.method == Method::GET {
        return Route::Health;
    }
    let scope = Scope::peek(parts).map(|scope| scope.service);
    let protocol = spoken(parts);
    match (scope.as_deref(), protocol) {
        (Some("s3"), _) => Route::S3,
        (Some(scope), _) => within(services, scope, parts, protocol),
        // No readable signature: only the gateway can say so in the protocol of a service.
        (None, Some(protocol)) => anonymous(services, parts, protocol),
        (None, None) => match raw(services.iter().copied(), parts) {
            Some((service, operation)) if !is_s3_signed(parts) => Route::Raw { service, operation },
            _ => Route::S3,
        },
    }
}

/// Inside the services of one scope.
fn within(
    services: &[&'static Service],
    scope: &str,
    parts: &Parts,
    protocol: Option<Protocol>,
) -> Route {
    let candidates = || services.iter().copied().filter(|service| service.scope == scope);
    let service = candidates().next();
    match protocol {
        Some(protocol @ (Protocol::Json10 | Protocol::Json11)) => {
            json(candidates(), service, parts, protocol, scope)
        }
        Some(protocol @ Protocol::RpcV2Cbor) => {
            let what = format!("{scope}: rpc-v2-cbor {}", parts.uri.path());
            Route::Unknown { service, protocol, what }
        }
        protocol => {
            if let Some((service, operation)) = raw(candidates(), parts) {
                return Route::Raw { service, operation };
            }
            if let Some(service) = candidates().find(|one| one.protocols.contains(&Protocol::Query))
            {
                return Route::Query { service };
            }
            let protocol = protocol.unwrap_or(Protocol::RestJson);
            // The gateway adds a query's action, which may stand in the body.
            let what = match protocol {
                Protocol::Query => scope.to_owned(),
                _ => format!("{scope}: {} {}", parts.method, parts.uri.path()),
            };
            Route::Unknown { service, protocol, what }
        }
    }
}

fn json(
    mut candidates: impl Iterator<Item = &'static Service>,
    first: Option<&'static Service>,
    parts: &Parts,
    protocol: Protocol,
    scope: &str,
) -> Route {
    let target = header(&parts.headers, "x-amz-target").unwrap_or_default();
    let (prefix, name) = target.rsplit_once('.').unwrap_or(("", target));
    let service = candidates.find(|service| service.target == Some(prefix));
    let Some(service) = service else {
        let what = format!("{scope}: {target}");
        return Route::Unknown { service: first, protocol, what };
    };
    match service.find(name) {
        Some(operation) if service.protocols.contains(&protocol) => {
            Route::Operation { service, protocol, operation }
        }
        _ => Route::Unknown { service: Some(service), protocol, what: target.to_owned() },
    }
}

fn anonymous(services: &[&'static Service], parts: &Parts, protocol: Protocol) -> Route {
    if matches!(protocol, Protocol::Json10 | Protocol::Json11) {
        return json(services.iter().copied(), None, parts, protocol, "unsigned");
    }
    let what = format!("{} {}", parts.method, parts.uri.path());
    Route::Unknown { service: None, protocol, what }
}

fn raw(
    mut services: impl Iterator<Item = &'static Service>,
    parts: &Parts,
) -> Option<(&'static Service, &'static RawEntry)> {
    services.find_map(|service| {
        let matches = |entry: &&RawEntry| (entry.matches)(&parts.method, parts.uri.path());
        service.raw.iter().find(matches).map(|operation| (service, operation))
    })
}

/// The protocol a request shows by itself. REST requests show none.
fn spoken(parts: &Parts) -> Option<Protocol> {
    let content_type = header(&parts.headers, "content-type").unwrap_or_default();
    if header(&parts.headers, "smithy-protocol") == Some("rpc-v2-cbor") {
        Some(Protocol::RpcV2Cbor)
    } else if parts.headers.contains_key("x-amz-target")
        || (content_type.starts_with("application/x-amz-json-") && parts.uri.path() == "/")
    {
        let is_1_0 = content_type.starts_with("application/x-amz-json-1.0");
        Some(if is_1_0 { Protocol::Json10 } else { Protocol::Json11 })
    } else if content_type.starts_with("application/x-www-form-urlencoded")
        || has_parameter(parts, "Action")
    {
        Some(Protocol::Query)
    } else {
        None
    }
}

/// Signature Version 2, which only S3 takes.
fn is_s3_signed(parts: &Parts) -> bool {
    let header = header(&parts.headers, "authorization").unwrap_or_default();
    header.starts_with("AWS ") || has_parameter(parts, "AWSAccessKeyId")
}

fn has_parameter(parts: &Parts, name: &str) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    query.split('&').any(|pair| pair.split('=').next() == Some(name))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

//! What must hold of every operation there is, whoever wrote it.

use std::collections::HashSet;

use http::StatusCode;
use kennel_api::registry::Service;
use kennel_api::services;
use kennel_wire::Protocol;
use serde_json::json;

use crate::support::{Bench, Call};

/// Operations that any authenticated caller may call, as on AWS.
const FREE: &[&str] = &["GetCallerIdentity"];

fn call(service: &Service, operation: &str) -> Call {
    if service.protocols.contains(&Protocol::Query) {
        let form = format!("Action={operation}&Version={}", service.version);
        return Call::query(service.scope, &form);
    }
    let target = format!("{}.{operation}", service.target.unwrap());
    Call::json(service.scope, &target, &json!({}))
}

#[tokio::test]
async fn no_operation_does_anything_for_a_session_without_a_grant() {
    let bench = Bench::new().await;
    let session = bench.session(&[json!({"Statement": []})]).await;
    for service in services::ALL {
        for entry in service.operations {
            let answer = bench.send(session.sign(call(service, entry.name))).await;
            let code = answer.header("x-amzn-errortype").to_owned() + answer.text();
            if FREE.contains(&entry.name) {
                assert_eq!(answer.status, StatusCode::OK, "{}: {code}", entry.name);
            } else {
                assert!(code.contains("AccessDenied"), "{}: {code}", entry.name);
            }
        }
    }
}

#[tokio::test]
async fn a_replicas_session_cannot_invoke_an_endpoint_without_a_grant() {
    let bench = Bench::new().await;
    let session = bench.session(&[json!({"Statement": []})]).await;
    let invoke = Call::new("sagemaker", "POST", "/endpoints/absent/invocations").body("x");
    let answer = bench.send(session.sign(invoke)).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.header("x-amzn-errortype"), "AccessDeniedException");
}

#[tokio::test]
async fn every_operation_is_found_under_its_name_and_no_other() {
    let mut seen = HashSet::new();
    for service in services::ALL {
        for entry in service.operations {
            assert!(seen.insert((service.scope, entry.name)), "{} twice", entry.name);
            assert_eq!(service.find(entry.name).unwrap().name, entry.name);
        }
    }
    assert!(seen.len() > 20, "{}", seen.len());
}

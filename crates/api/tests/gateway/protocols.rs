//! What is said about what is not here, in each client's own words.

use http::StatusCode;
use serde_json::json;

use crate::support::{Bench, Call};

#[tokio::test]
async fn every_answer_has_a_request_id() {
    let bench = Bench::new().await;
    let calls = [
        Call::json("logs", "Logs_20140328.DescribeLogGroups", &json!({})),
        Call::query("sts", "Action=Nonsense"),
        Call::new("s3", "GET", "/bucket/key"),
        Call::new("s3", "GET", "/_kennel/health"),
    ];
    for call in calls {
        for request in [bench.root.sign(call.clone()), call.unsigned()] {
            let answer = bench.send(request).await;
            assert_eq!(answer.header("x-amzn-requestid").len(), 36, "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn health_needs_no_signature() {
    let bench = Bench::new().await;
    let answer = bench.send(Call::new("", "GET", "/_kennel/health").unsigned()).await;
    assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &json!("ok")));
}

#[tokio::test]
async fn an_unknown_operation_is_named_in_the_clients_own_shape() {
    let bench = Bench::new().await;
    let json = Call::json("logs", "Logs_20140328.StartQuery", &json!({}));
    let answer = bench.send(bench.root.sign(json)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["__type"], "UnknownOperationException");
    assert!(answer.text().contains("Logs_20140328.StartQuery"), "{}", answer.text());

    let query = Call::query("sts", "Action=DecodeAuthorizationMessage&Version=2011-06-15");
    let answer = bench.send(bench.root.sign(query)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("<Code>InvalidAction</Code>"), "{}", answer.text());
    assert!(answer.text().contains("DecodeAuthorizationMessage"), "{}", answer.text());

    let rest = Call::new("lambda", "GET", "/2015-03-31/functions");
    let answer = bench.send(bench.root.sign(rest)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.header("x-amzn-errortype"), "UnknownOperationException");
    assert!(answer.text().contains("lambda: GET /2015-03-31/functions"), "{}", answer.text());

    let cbor =
        Call::new("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/X")
            .header("smithy-protocol", "rpc-v2-cbor")
            .header("content-type", "application/cbor");
    let answer = bench.send(bench.root.sign(cbor)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.header("content-type"), "application/cbor");
    assert_eq!(answer.header("smithy-protocol"), "rpc-v2-cbor");
}

#[tokio::test]
async fn an_unknown_service_is_named_too() {
    let bench = Bench::new().await;
    let call = Call::json("dynamodb", "DynamoDB_20120810.ListTables", &json!({}));
    let answer = bench.send(bench.root.sign(call.clone())).await;
    assert_eq!(answer.json()["__type"], "UnknownOperationException");
    assert!(answer.text().contains("dynamodb: DynamoDB_20120810.ListTables"));
    let answer = bench.send(call.unsigned()).await;
    assert_eq!(answer.json()["__type"], "MissingAuthenticationTokenException");
    let call = Call::query("iam", "Action=GetRole&Version=2010-05-08&RoleName=x");
    let answer = bench.send(bench.root.sign(call)).await;
    assert!(answer.text().contains("The action iam: GetRole is not valid"), "{}", answer.text());
}

#[tokio::test]
async fn a_query_mode_client_finds_the_code_in_its_header() {
    let bench = Bench::new().await;
    let call = Call::json("logs", "Logs_20140328.StartQuery", &json!({}))
        .header("x-amzn-query-mode", "true");
    let answer = bench.send(bench.root.sign(call)).await;
    assert_eq!(answer.header("x-amzn-query-error"), "UnknownOperationException;Sender");
}

#[tokio::test]
async fn an_input_that_does_not_fit_names_the_member() {
    let bench = Bench::new().await;
    let target = "Logs_20140328.DescribeLogGroups";
    let (status, error) = bench.json(target, json!({"limit": "many"})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(error["__type"], "SerializationException");
    assert!(error["message"].as_str().unwrap().starts_with("limit: invalid type"), "{error}");

    let (_, error) = bench.json(target, json!({"colour": "red"})).await;
    assert_eq!(error["__type"], "ValidationException");
    assert!(error["message"].as_str().unwrap().contains("'colour'"), "{error}");

    let mut call = Call::json("logs", target, &json!({}));
    call.body = b"{\"limit\":".to_vec();
    let answer = bench.send(bench.root.sign(call)).await;
    assert_eq!(answer.json()["__type"], "SerializationException");

    let (_, error) = bench.json(target, json!({"limit": 51})).await;
    assert_eq!(
        error["message"],
        "1 validation error detected: Value '51' at 'limit' failed to satisfy constraint: Member \
         must have value less than or equal to 50"
    );

    let call = Call::query("sts", "Action=GetCallerIdentity&Version=2011-06-15&Colour=red");
    let answer = bench.send(bench.root.sign(call)).await;
    assert!(answer.text().contains("<Code>InvalidParameter</Code>"), "{}", answer.text());
}

#[tokio::test]
async fn an_unauthorized_caller_learns_nothing_of_validation_or_existence() {
    let bench = Bench::new().await;
    let session = bench.session(&[json!({"Statement": []})]).await;
    for input in [json!({"logGroupName": "absent"}), json!({"logGroupName": ""}), json!({})] {
        let call = Call::json("logs", "Logs_20140328.DeleteLogGroup", &input);
        let answer = bench.send(session.sign(call)).await;
        assert_eq!(answer.json()["__type"], "AccessDeniedException", "{}", answer.text());
    }
    let call = Call::json("logs", "Logs_20140328.DeleteLogGroup", &json!({"logGroupName": "g"}));
    let answer = bench.send(session.sign(call)).await;
    assert_eq!(
        answer.json()["message"],
        "User: arn:aws:sts::123456789012:assumed-role/Trainer/job-1 is not authorized to perform: \
         logs:DeleteLogGroup on resource: arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream: \
         because no identity-based policy allows the logs:DeleteLogGroup action"
    );
}

#[tokio::test]
async fn a_session_may_do_what_every_policy_of_it_allows() {
    let bench = Bench::new().await;
    let allow = |action: &str, resource: &str| json!({"Statement": {"Effect": "Allow", "Action": action, "Resource": resource}});
    let group = "arn:aws:logs:us-east-1:123456789012:log-group:mine:*";
    let call =
        || Call::json("logs", "Logs_20140328.CreateLogGroup", &json!({"logGroupName": "mine"}));
    let narrow = [allow("logs:*", "*"), allow("logs:Create*", group)];
    let session = bench.session(&narrow).await;
    assert_eq!(bench.send(session.sign(call())).await.status, StatusCode::OK);
    for policies in [
        vec![],
        vec![allow("logs:*", "*"), allow("s3:*", "*")],
        vec![
            json!({"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}}),
        ],
    ] {
        let session = bench.session(&policies).await;
        let answer = bench.send(session.sign(call())).await;
        assert_eq!(answer.json()["__type"], "AccessDeniedException", "{policies:?}");
    }
}

#[tokio::test]
async fn s3_gets_what_is_signed_for_it_and_what_nobody_else_is_asked() {
    let bench = Bench::new().await;
    let to_s3 = [
        bench.root.sign(Call::new("s3", "GET", "/bucket//key")),
        bench.root.sign(Call::new("s3", "POST", "/endpoints/x/invocations")),
        bench.root.presign(Call::new("s3", "PUT", "/bucket/key"), 60),
        Call::new("", "GET", "/bucket/key").unsigned(),
        Call::new("", "GET", "/b/k?AWSAccessKeyId=A&Signature=B&Expires=1").unsigned(),
        Call::new("", "PUT", "/b/k").header("authorization", "AWS AKID:sig").unsigned(),
        Call::new("", "POST", "/b").header("content-type", "multipart/form-data").unsigned(),
    ];
    for request in to_s3 {
        let asked = format!("s3 {} {}", request.method(), request.uri());
        let answer = bench.send(request).await;
        assert!(answer.text().starts_with(&asked), "{asked}: {}", answer.text());
        assert!(answer.text().ends_with(answer.header("x-amz-request-id")));
    }
}

//! Who is let in.

use http::StatusCode;
use kennel_api::limits;
use serde_json::json;

use crate::support::{Bench, Call, Key, NOW_MS};

const WRONG_SIGNATURE: &str = "The request signature we calculated does not match the signature \
                               you provided. Check your AWS Secret Access Key and signing method. \
                               Consult the service documentation for details.";
const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";

fn describe() -> Call {
    Call::json("logs", "Logs_20140328.DescribeLogGroups", &json!({}))
}

/// The refusal of a call, in both families of protocols: code and message.
async fn refused(bench: &Bench, key: &Key, change: impl Fn(Call) -> Call) -> [(String, String); 2] {
    let answer = bench.send(key.sign(change(describe()))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    let document = answer.json();
    let text = |name: &str| document[name].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-amzn-errortype"), text("__type"));
    let json = (text("__type"), text("message"));
    let answer = bench.send(key.sign(change(Call::query("sts", WHO)))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text());
    let between = |start: &str, end: &str| {
        let (_, rest) = answer.text().split_once(start).unwrap();
        rest.split_once(end).unwrap().0.to_owned()
    };
    [json, (between("<Code>", "</Code>"), between("<Message>", "</Message>"))]
}

fn pair(codes: [&str; 2], message: &str) -> [(String, String); 2] {
    codes.map(|code| (code.to_owned(), message.to_owned()))
}

#[tokio::test]
async fn the_root_key_is_let_in() {
    let bench = Bench::new().await;
    assert_eq!(bench.send(bench.root.sign(describe())).await.status, StatusCode::OK);
    let answer = bench.send(bench.root.sign(Call::query("sts", WHO))).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let bench = Bench::new().await;
    let wrong = Key { secret: "not-the-secret-of-this-key".into(), ..bench.root.clone() };
    assert_eq!(
        refused(&bench, &wrong, |call| call).await,
        pair(["InvalidSignatureException", "SignatureDoesNotMatch"], WRONG_SIGNATURE)
    );
}

#[tokio::test]
async fn an_unknown_key_is_refused() {
    let bench = Bench::new().await;
    let unknown = Key { id: "AKIAEXAMPLEEXAMPLE12".into(), ..bench.root.clone() };
    assert_eq!(
        refused(&bench, &unknown, |call| call).await,
        pair(
            ["UnrecognizedClientException", "InvalidClientTokenId"],
            "The security token included in the request is invalid."
        )
    );
}

#[tokio::test]
async fn a_clock_may_be_off_by_fifteen_minutes() {
    let bench = Bench::new().await;
    for minutes in [-15, 15] {
        let call = describe().at_ms(NOW_MS + minutes * 60_000);
        assert_eq!(bench.send(bench.root.sign(call)).await.status, StatusCode::OK);
    }
    let codes = ["InvalidSignatureException", "SignatureDoesNotMatch"];
    assert_eq!(
        refused(&bench, &bench.root, |call| call.at_ms(NOW_MS - 16 * 60_000)).await,
        pair(
            codes,
            "Signature expired: 20241122T150639Z is now earlier than 20241122T150739Z \
             (20241122T152239Z - 15 min.)"
        )
    );
    assert_eq!(
        refused(&bench, &bench.root, |call| call.at_ms(NOW_MS + 16 * 60_000)).await,
        pair(
            codes,
            "Signature not yet current: 20241122T153839Z is still later than 20241122T153739Z \
             (20241122T152239Z + 15 min.)"
        )
    );
}

#[tokio::test]
async fn a_session_needs_its_own_token() {
    let bench = Bench::new().await;
    let session = bench.session(&[]).await;
    let answer = bench.send(session.sign(Call::query("sts", WHO))).await;
    assert_eq!(answer.status, StatusCode::OK);
    let invalid = pair(
        ["UnrecognizedClientException", "InvalidClientTokenId"],
        "The security token included in the request is invalid.",
    );
    for token in [None, Some("AnotherToken".to_owned())] {
        let key = Key { token, ..session.clone() };
        assert_eq!(refused(&bench, &key, |call| call).await, invalid);
    }
    let root = Key { token: session.token.clone(), ..bench.root.clone() };
    assert_eq!(refused(&bench, &root, |call| call).await, invalid);
}

#[tokio::test]
async fn an_expired_session_is_told_so() {
    let bench = Bench::new().await;
    let session = bench.session(&[]).await;
    bench.clock.advance_ms(3_600_000);
    assert_eq!(
        refused(&bench, &session, |call| call.at_ms(NOW_MS + 3_600_000)).await,
        pair(
            ["ExpiredTokenException", "ExpiredToken"],
            "The security token included in the request is expired"
        )
    );
}

#[tokio::test]
async fn a_revoked_session_is_unknown_at_once() {
    let bench = Bench::new().await;
    let session = bench.session(&[]).await;
    bench.platform.identity.revoke_session(&session.id).await.unwrap();
    let [json, _] = refused(&bench, &session, |call| call).await;
    assert_eq!(json.0, "UnrecognizedClientException");
}

#[tokio::test]
async fn no_signature_is_no_entry() {
    let bench = Bench::new().await;
    let answer = bench.send(describe().unsigned()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["__type"], "MissingAuthenticationTokenException");
    let answer = bench.send(Call::query("sts", WHO).unsigned()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("<Code>MissingAuthenticationToken</Code>"));
    let answer = bench.send(describe().header("authorization", "Basic x").unsigned()).await;
    assert_eq!(answer.json()["__type"], "IncompleteSignatureException");
}

#[tokio::test]
async fn a_signature_is_for_one_service_region_and_body() {
    let bench = Bench::new().await;
    let mut elsewhere = describe();
    elsewhere.region = "eu-west-1".into();
    let answer = bench.send(bench.root.sign(elsewhere)).await;
    assert_eq!(
        answer.json()["message"],
        "Credential should be scoped to a valid region, not 'eu-west-1'."
    );
    let mut global = Call::query("sts", WHO);
    global.region = "eu-west-1".into();
    assert_eq!(bench.send(bench.root.sign(global)).await.status, StatusCode::OK);
    let mut changed = bench.root.sign(describe());
    *changed.body_mut() = "{\"limit\":1}".into();
    assert_eq!(bench.send(changed).await.json()["message"], WRONG_SIGNATURE);
    let mut retargeted = bench.root.sign(describe());
    retargeted
        .headers_mut()
        .insert("x-amz-target", "Logs_20140328.DeleteLogGroup".parse().unwrap());
    assert_eq!(bench.send(retargeted).await.json()["message"], WRONG_SIGNATURE);
}

#[tokio::test]
async fn a_declared_hash_must_be_that_of_the_body() {
    let bench = Bench::new().await;
    let hash = kennel_wire::sigv4::body_hash(b"{}");
    let declared = describe().header("x-amz-content-sha256", &hash);
    let honest = bench.root.sign(declared.clone());
    assert_eq!(bench.send(honest).await.status, StatusCode::OK);
    let mut changed = bench.root.sign(declared);
    *changed.body_mut() = "{\"limit\":1}".into();
    assert_eq!(bench.send(changed).await.json()["message"], WRONG_SIGNATURE);
    let unsigned = describe().header("x-amz-content-sha256", "UNSIGNED-PAYLOAD");
    assert_eq!(
        bench.send(bench.root.sign(unsigned)).await.json()["__type"],
        "InvalidSignatureException"
    );
}

#[tokio::test]
async fn a_presigned_request_is_good_until_it_expires() {
    let bench = Bench::new().await;
    let call = Call::new("sts", "GET", &format!("/?{WHO}"));
    let answer = bench.send(bench.root.presign(call.clone(), 60)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let session = bench.session(&[]).await;
    let answer = bench.send(session.presign(call.clone(), 60)).await;
    assert!(answer.text().contains("assumed-role/Trainer/job-1"), "{}", answer.text());
    let old = bench.root.presign(call.clone().at_ms(NOW_MS - 61_000), 60);
    let answer = bench.send(old).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("Signature expired: 20241122T152138Z"), "{}", answer.text());
    let too_long = bench.send(bench.root.presign(call.clone(), 8 * 24 * 3600)).await;
    assert!(too_long.text().contains("<Code>IncompleteSignature</Code>"), "{}", too_long.text());
    let mut changed = bench.root.presign(call, 60);
    let uri = changed.uri().to_string().replace("2011-06-15", "2011-06-16");
    *changed.uri_mut() = uri.parse().unwrap();
    assert!(bench.send(changed).await.text().contains("<Code>SignatureDoesNotMatch</Code>"));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_size() {
    let bench = Bench::new().await;
    let large = "x".repeat(limits::QUERY_BODY_BYTES_MAX + 1);
    let answer = bench.send(bench.root.sign(Call::query("sts", &large))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text().contains("<Code>RequestEntityTooLargeException</Code>"));
}

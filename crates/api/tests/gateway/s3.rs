//! S3 behind the gateway: what a session may do, and what it learns.

use std::collections::BTreeSet;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode};
use kennel_api::services::s3;
use kennel_platform::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::audit::Collector;
use crate::support::{Answer, Bench, HOST, Key};

struct Storage {
    bench: Bench,
}

impl Storage {
    /// With `dogs/photos/1`, `dogs/photos/2` and `dogs/secret`.
    async fn new() -> Self {
        let bench = Bench::with_real_s3().await;
        let storage = Self { bench };
        let root = storage.bench.root.clone();
        storage.ask(&root, "PUT", "/dogs", "").await.expect(StatusCode::OK);
        for key in ["photos/1", "photos/2", "secret"] {
            storage.ask(&root, "PUT", &format!("/dogs/{key}"), key).await.expect(StatusCode::OK);
        }
        storage
    }

    async fn session(&self, statements: &[(&str, &str)]) -> Key {
        let statements: Vec<Value> = statements
            .iter()
            .map(|(action, on)| json!({"Effect": "Allow", "Action": action, "Resource": on}))
            .collect();
        self.bench.session(&[json!({"Version": "2012-10-17", "Statement": statements})]).await
    }

    async fn ask(&self, key: &Key, method: &'static str, target: &str, body: &str) -> Answer {
        self.ask_with(key, method, target, &[], body).await
    }

    async fn ask_with(
        &self,
        key: &Key,
        method: &'static str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let settings = SigningSettings::default();
        self.bench.send(signed(key, settings, method, target, headers, body)).await
    }
}

/// `s3s` reads the machine's clock, so that requests are signed by it.
pub fn signed(
    key: &Key,
    mut settings: SigningSettings,
    method: &'static str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Request<Bytes> {
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    if settings.signature_location == SignatureLocation::Headers {
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    }
    // Whoever makes a URL does not know the body.
    let signable = match settings.signature_location {
        SignatureLocation::QueryParams => SignableBody::UnsignedPayload,
        _ => SignableBody::Bytes(body.as_bytes()),
    };
    let credentials =
        Credentials::new(&key.id, &key.secret, key.token.clone(), None, "test").into();
    let now_ms = u64::try_from(SystemClock.now_ms()).unwrap();
    let params = v4::SigningParams::builder()
        .identity(&credentials)
        .region("us-east-1")
        .name("s3")
        .time(UNIX_EPOCH + Duration::from_millis(now_ms))
        .settings(settings)
        .build()
        .unwrap()
        .into();
    let uri = format!("http://{HOST}{target}");
    let given = headers.iter().copied();
    let signable = SignableRequest::new(method, &uri, given, signable).unwrap();
    let (instructions, _) = sign(signable, &params).unwrap().into_parts();
    let mut request = Request::builder().method(method).uri(&uri).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.header("content-length", body.len());
    }
    let mut request = request.body(Bytes::from(body.to_owned())).unwrap();
    instructions.apply_to_request_http1x(&mut request);
    let relative = request.uri().path_and_query().unwrap().as_str().parse().unwrap();
    *request.uri_mut() = relative;
    request
}

impl Answer {
    #[track_caller]
    fn expect(&self, status: StatusCode) -> &Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    #[track_caller]
    fn refused(&self, status: u16, code: &str) -> &Self {
        let expected = format!("<Code>{code}</Code>");
        assert!(
            self.status.as_u16() == status && self.text().contains(&expected),
            "{} {} instead of {status} {code}",
            self.status,
            self.text()
        );
        self
    }
}

#[tokio::test]
async fn a_session_does_what_its_policy_allows_and_learns_nothing_else() {
    let storage = Storage::new().await;
    let reader = storage.session(&[("s3:GetObject", "arn:aws:s3:::dogs/photos/*")]).await;
    let read = storage.ask(&reader, "GET", "/dogs/photos/1", "").await;
    assert_eq!(read.expect(StatusCode::OK).text(), "photos/1");
    for (method, target) in [
        ("GET", "/dogs/secret"),
        ("GET", "/dogs/none"),
        ("GET", "/nobucket/photos/1"),
        ("PUT", "/dogs/photos/3"),
        ("DELETE", "/dogs/photos/1"),
        ("GET", "/dogs?list-type=2"),
        ("GET", "/nobucket?list-type=2"),
        ("GET", "/"),
        ("PUT", "/newbucket"),
        ("GET", "/dogs?acl="),
    ] {
        let answer = storage.ask(&reader, method, target, "").await;
        answer.refused(403, "AccessDenied");
    }
    // Who may not list is not told that a key is absent.
    let hidden = storage.ask(&reader, "GET", "/dogs/photos/none", "").await;
    let sentence = "is not authorized to perform: s3:ListBucket on resource: arn:aws:s3:::dogs \
                    because no identity-based policy allows the s3:ListBucket action";
    assert!(hidden.refused(403, "AccessDenied").text().contains(sentence));
    let lister =
        [("s3:GetObject", "arn:aws:s3:::dogs/photos/*"), ("s3:ListBucket", "arn:aws:s3:::dogs")];
    let lister = storage.session(&lister).await;
    storage.ask(&lister, "GET", "/dogs/photos/none", "").await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_session_needs_its_token_and_ends() {
    let storage = Storage::new().await;
    let session = storage.session(&[("s3:*", "*")]).await;
    storage.ask(&session, "GET", "/dogs/secret", "").await.expect(StatusCode::OK);
    for token in [None, Some("made up".to_owned())] {
        let without = Key { token, ..session.clone() };
        storage.ask(&without, "GET", "/dogs/secret", "").await.refused(400, "InvalidToken");
    }
    storage.bench.clock.advance_ms(3_600_001);
    storage.ask(&session, "GET", "/dogs/secret", "").await.refused(400, "ExpiredToken");
    storage.bench.platform.identity.revoke_session(&session.id).await.unwrap();
    storage.ask(&session, "GET", "/dogs/secret", "").await.refused(403, "InvalidAccessKeyId");
}

#[tokio::test]
async fn a_sessions_presigned_url_carries_its_token() {
    let storage = Storage::new().await;
    let session = storage.session(&[("s3:GetObject", "arn:aws:s3:::dogs/photos/*")]).await;
    let url = signed(&session, in_query(), "GET", "/dogs/photos/1", &[], "");
    storage.bench.send(url).await.expect(StatusCode::OK);
    let other = signed(&session, in_query(), "GET", "/dogs/secret", &[], "");
    storage.bench.send(other).await.refused(403, "AccessDenied");
}

fn in_query() -> SigningSettings {
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(Duration::from_secs(60));
    settings
}

#[tokio::test]
async fn a_presigned_upload_cannot_be_turned_into_a_copy() {
    let storage = Storage::new().await;
    let root = storage.bench.root.clone();
    let upload = || signed(&root, in_query(), "PUT", "/dogs/new", &[], "");
    let copy = || {
        let mut request = upload();
        let source = HeaderValue::from_static("dogs/secret");
        request.headers_mut().insert("x-amz-copy-source", source);
        request
    };
    storage.bench.send(copy()).await.refused(403, "AccessDenied");
    // The name of the list written another way, which leaves the signature as it is.
    let mut request = copy();
    let other_spelling = request.uri().to_string().replace("SignedHeaders", "Signed%48eaders");
    *request.uri_mut() = other_spelling.parse().unwrap();
    storage.bench.send(request).await.refused(403, "AccessDenied");
    // A second list that claims the header.
    for authorization in ["x, SignedHeaders=x-amz-copy-source", "AWS x:y", ""] {
        let mut request = copy();
        let value = HeaderValue::from_static(authorization);
        request.headers_mut().insert("authorization", value);
        let answer = storage.bench.send(request).await;
        let sentence = "<Message>Only one auth mechanism allowed; only the X-Amz-Algorithm query";
        assert!(answer.refused(400, "InvalidArgument").text().contains(sentence));
    }
    storage.ask(&root, "HEAD", "/dogs/new", "").await.expect(StatusCode::NOT_FOUND);
    storage.bench.send(upload()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_presigned_request_with_a_name_twice_is_refused() {
    let storage = Storage::new().await;
    let key = &storage.bench.root;
    let target = format!("/dogs/secret?AWSAccessKeyId={}&Expires=9999999999&Signature=s", key.id);
    for (twice, status, code) in [
        ("", 403, "SignatureDoesNotMatch"),
        ("&tagging", 403, "SignatureDoesNotMatch"),
        ("&tagging&tagging", 400, "InvalidArgument"),
        ("&tagging=&%74agging=", 400, "InvalidArgument"),
    ] {
        let url = Request::builder().uri(format!("{target}{twice}")).header("host", HOST);
        storage.bench.send(url.body(Bytes::new()).unwrap()).await.refused(status, code);
    }
    let twice = signed(key, in_query(), "GET", "/dogs/secret?tagging=&tagging=", &[], "");
    storage.bench.send(twice).await.refused(400, "InvalidArgument");
}

#[tokio::test]
async fn of_many_keys_those_are_deleted_that_may_be() {
    let storage = Storage::new().await;
    let session = storage.session(&[("s3:DeleteObject", "arn:aws:s3:::dogs/photos/*")]).await;
    let body = "<Delete><Object><Key>photos/1</Key></Object><Object><Key>secret</Key></Object>\
                </Delete>";
    let answer = storage.ask(&session, "POST", "/dogs?delete=", body).await;
    let text = answer.expect(StatusCode::OK).text();
    assert!(text.contains("<Deleted><Key>photos/1</Key></Deleted>"), "{text}");
    assert!(text.contains("<Code>AccessDenied</Code>") && text.contains("<Key>secret</Key>"));
    let root = &storage.bench.root;
    storage.ask(root, "HEAD", "/dogs/secret", "").await.expect(StatusCode::OK);
    storage.ask(root, "HEAD", "/dogs/photos/1", "").await.expect(StatusCode::NOT_FOUND);
    // Whether a bucket exists is told to those alone who may delete in it.
    storage.ask(&session, "POST", "/nobucket?delete=", body).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_copy_needs_the_right_to_read_its_source() {
    let storage = Storage::new().await;
    let mover =
        [("s3:PutObject", "arn:aws:s3:::dogs/*"), ("s3:GetObject", "arn:aws:s3:::dogs/photos/*")];
    let mover = storage.session(&mover).await;
    let copy = |source| {
        let headers = [("x-amz-copy-source", source)];
        let (storage, mover) = (&storage, &mover);
        async move { storage.ask_with(mover, "PUT", "/dogs/copy", &headers, "").await }
    };
    copy("dogs/photos/1").await.expect(StatusCode::OK);
    copy("/dogs/secret").await.refused(403, "AccessDenied");
    copy("dogs/%73ecret").await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn the_log_holds_one_audit_line_a_request_and_no_secret() {
    let storage = Storage::new().await;
    let session = storage.session(&[("s3:GetObject", "arn:aws:s3:::dogs/photos/*")]).await;
    let collector = Collector::default();
    let guard = tracing::subscriber::set_default(collector.clone());
    storage.ask(&session, "GET", "/dogs/photos/1", "").await.expect(StatusCode::OK);
    storage.ask(&session, "GET", "/dogs/secret", "").await.refused(403, "AccessDenied");
    let wrong = Key { secret: "another secret".into(), ..session.clone() };
    storage.ask(&wrong, "GET", "/dogs/photos/1", "").await.refused(403, "SignatureDoesNotMatch");
    let body = "<Delete>not closed";
    let root = storage.bench.root.clone();
    storage.ask(&root, "POST", "/dogs?delete=", body).await.refused(400, "MalformedXML");
    drop(guard);
    let lines = collector.lines();
    let audit: Vec<Value> = lines
        .iter()
        .filter(|(target, _)| target == "kennel::audit")
        .map(|(_, line)| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = audit
        .iter()
        .map(|line| (line["operation"].as_str(), line["decision"].as_str(), line["code"].as_str()))
        .collect();
    let get = Some("GetObject");
    assert_eq!(told[0], (get, Some("allowed"), None));
    assert_eq!(told[1], (get, Some("denied"), Some("AccessDenied")));
    assert_eq!(told[2], (None, None, Some("SignatureDoesNotMatch")));
    assert_eq!(told[3], (Some("DeleteObjects"), Some("allowed"), Some("MalformedXML")));
    assert!(lines.iter().all(|(target, _)| !target.starts_with("s3s")));
    let token = session.token.unwrap();
    for (_, line) in &lines {
        let hidden = [session.secret.as_str(), &token, &root.secret, "Signature=", body];
        assert!(hidden.iter().all(|secret| !line.contains(secret)), "{line}");
    }
}

#[test]
fn the_documentation_names_every_operation() {
    let page = include_str!("../../../../docs/s3.md");
    let words: BTreeSet<&str> = page.split(|each: char| !each.is_alphanumeric()).collect();
    let missing: Vec<_> = s3::operations().filter(|name| !words.contains(name)).collect();
    assert!(missing.is_empty(), "docs/s3.md leaves out {missing:?}");
}

/// One request of every operation, as somebody without any right would send it.
const REQUESTS: [(&str, &str, &str); 27] = [
    ("AbortMultipartUpload", "DELETE", "/dogs/k?uploadId=u"),
    ("CompleteMultipartUpload", "POST", "/dogs/k?uploadId=u"),
    ("CopyObject", "PUT", "/dogs/k"),
    ("CreateBucket", "PUT", "/cats"),
    ("CreateMultipartUpload", "POST", "/dogs/k?uploads="),
    ("DeleteBucket", "DELETE", "/dogs"),
    ("DeleteBucketTagging", "DELETE", "/dogs?tagging="),
    ("DeleteObject", "DELETE", "/dogs/k"),
    ("DeleteObjectTagging", "DELETE", "/dogs/k?tagging="),
    ("GetBucketLocation", "GET", "/dogs?location="),
    ("GetBucketTagging", "GET", "/dogs?tagging="),
    ("GetBucketVersioning", "GET", "/dogs?versioning="),
    ("GetObject", "GET", "/dogs/k"),
    ("GetObjectAttributes", "GET", "/dogs/k?attributes="),
    ("GetObjectTagging", "GET", "/dogs/k?tagging="),
    ("HeadBucket", "HEAD", "/dogs"),
    ("HeadObject", "HEAD", "/dogs/k"),
    ("ListBuckets", "GET", "/"),
    ("ListMultipartUploads", "GET", "/dogs?uploads="),
    ("ListObjects", "GET", "/dogs"),
    ("ListObjectsV2", "GET", "/dogs?list-type=2"),
    ("ListParts", "GET", "/dogs/k?uploadId=u"),
    ("PutBucketTagging", "PUT", "/dogs?tagging="),
    ("PutObject", "PUT", "/dogs/k"),
    ("PutObjectTagging", "PUT", "/dogs/k?tagging="),
    ("UploadPart", "PUT", "/dogs/k?partNumber=1&uploadId=u"),
    ("UploadPartCopy", "PUT", "/dogs/k?partNumber=1&uploadId=u"),
];

#[tokio::test]
async fn every_operation_is_refused_to_a_session_without_rights() {
    let storage = Storage::new().await;
    let nobody = storage.session(&[("logs:*", "*")]).await;
    for (operation, method, target) in REQUESTS {
        let copies = operation.contains("Copy");
        let headers: &[_] = if copies { &[("x-amz-copy-source", "dogs/secret")] } else { &[] };
        let answer = storage.ask_with(&nobody, method, target, headers, "").await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{operation}: {}", answer.text());
    }
    // DeleteObjects answers for each key; see `of_many_keys_those_are_deleted_that_may_be`.
    let asked: BTreeSet<&str> = REQUESTS.iter().map(|request| request.0).collect();
    let known: BTreeSet<&str> = s3::operations().collect();
    let left: Vec<_> = known.difference(&asked).collect();
    assert_eq!(left, [&"DeleteObjects"]);
}

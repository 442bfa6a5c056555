//! A gateway on stores in memory, and a client that signs as SDKs do.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kennel_api::body::{self, Body};
use kennel_api::request_id::RequestId;
use kennel_api::{Gateway, S3Handler};
use kennel_exec::ScriptedExecutor;
use kennel_platform::clock::ManualClock;
use kennel_platform::identity::RootKey;
use kennel_platform::{Backends, Config, Platform};
use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};
use serde_json::Value;

pub const ACCOUNT: &str = "123456789012";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/Trainer";
pub const NOW_MS: i64 = 1_732_288_959_000;
pub const HOST: &str = "127.0.0.1:4566";

/// Everything but a socket.
pub struct Bench {
    pub gateway: Arc<Gateway>,
    pub platform: Arc<Platform>,
    pub clock: Arc<ManualClock>,
    pub root: Key,
    _data_dir: tempfile::TempDir,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with_s3(Arc::new(EchoS3)).await
    }

    /// With the S3 that is served.
    pub async fn with_real_s3() -> Self {
        let bench = Self::new().await;
        let s3 = Arc::new(kennel_api::services::s3::handler(bench.platform.clone()));
        Self { gateway: Arc::new(Gateway::new(bench.platform.clone(), s3)), ..bench }
    }

    pub async fn with_s3(s3: Arc<dyn S3Handler>) -> Self {
        let clock = Arc::new(ManualClock::at_ms(NOW_MS));
        let backends = Backends {
            records: Arc::new(MemoryRecords::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            streams: Arc::new(MemoryStreams::new()),
            clock: clock.clone(),
        };
        let data_dir = tempfile::tempdir().unwrap();
        let config = Config {
            account: ACCOUNT.into(),
            region: "us-east-1".into(),
            api_endpoint: format!("http://{HOST}"),
            data_dir: data_dir.path().to_path_buf(),
        };
        let root = RootKey::random().unwrap();
        let executor = Arc::new(ScriptedExecutor::new());
        let platform = Platform::open(config, backends, root.clone(), executor).await.unwrap();
        let platform = Arc::new(platform);
        let gateway = Arc::new(Gateway::new(platform.clone(), s3));
        let root = Key { id: root.access_key_id, secret: root.secret_access_key, token: None };
        Self { gateway, platform, clock, root, _data_dir: data_dir }
    }

    /// A session that every one of `policies` bounds.
    pub async fn session(&self, policies: &[Value]) -> Key {
        let policies = policies.iter().map(Value::to_string).collect();
        let created =
            self.platform.identity.create_session(ROLE, "job-1", policies, 3600).await.unwrap();
        Key {
            id: created.access_key_id,
            secret: created.secret_access_key,
            token: Some(created.session_token),
        }
    }

    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        Answer::of(self.gateway.respond(request.map(body::full)).await).await
    }

    /// A JSON 1.1 call by the root key: the answer's status and document.
    pub async fn json(&self, target: &str, input: Value) -> (StatusCode, Value) {
        let answer = self.send(self.root.sign(Call::json("logs", target, &input))).await;
        (answer.status, answer.json())
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn of<B>(response: Response<B>) -> Self
    where
        B: http_body::Body<Data = Bytes>,
        B::Error: std::fmt::Debug,
    {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        if self.body.is_empty() { Value::Null } else { serde_json::from_slice(&self.body).unwrap() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// A request before its signature.
#[derive(Clone)]
pub struct Call {
    pub service: String,
    pub region: String,
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub at_ms: i64,
}

impl Call {
    pub fn new(service: &str, method: &'static str, target: &str) -> Self {
        Self {
            service: service.into(),
            region: "us-east-1".into(),
            method,
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            at_ms: NOW_MS,
        }
    }

    pub fn json(service: &str, target: &str, input: &Value) -> Self {
        Self::new(service, "POST", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .body(&input.to_string())
    }

    pub fn query(service: &str, form: &str) -> Self {
        Self::new(service, "POST", "/")
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(form)
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    pub fn at_ms(mut self, at_ms: i64) -> Self {
        self.at_ms = at_ms;
        self
    }

    pub fn unsigned(self) -> Request<Bytes> {
        let mut request =
            Request::builder().method(self.method).uri(&self.target).header("host", HOST);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        request.body(self.body.into()).unwrap()
    }
}

#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

impl Key {
    /// In the Authorization header.
    pub fn sign(&self, call: Call) -> Request<Bytes> {
        self.apply(call, SigningSettings::default())
    }

    /// In the query string, good for `expires_secs`.
    pub fn presign(&self, call: Call, expires_secs: u64) -> Request<Bytes> {
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(expires_secs));
        self.apply(call, settings)
    }

    fn apply(&self, call: Call, settings: SigningSettings) -> Request<Bytes> {
        let credentials =
            Credentials::new(&self.id, &self.secret, self.token.clone(), None, "test").into();
        let time = UNIX_EPOCH + Duration::from_millis(call.at_ms.try_into().unwrap());
        let params = v4::SigningParams::builder()
            .identity(&credentials)
            .region(&call.region)
            .name(&call.service)
            .time(time)
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let uri = format!("http://{HOST}{}", call.target);
        let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let body = SignableBody::Bytes(&call.body);
        let signable = SignableRequest::new(call.method, &uri, headers, body).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut signed = call.unsigned();
        let mut with_authority = Request::builder().uri(uri).body(()).unwrap();
        instructions.apply_to_request_http1x(&mut with_authority);
        signed.headers_mut().extend(with_authority.headers().clone());
        *signed.uri_mut() =
            with_authority.uri().path_and_query().unwrap().as_str().parse().unwrap();
        signed
    }
}

/// Stands for S3: tells what the gateway handed over.
pub struct EchoS3;

#[async_trait]
impl S3Handler for EchoS3 {
    async fn call(&self, request: Request<Body>) -> Response<Body> {
        let id = request.extensions().get::<RequestId>().unwrap().clone();
        let text = format!("s3 {} {} {}", request.method(), request.uri(), id);
        Response::new(body::full(text))
    }
}

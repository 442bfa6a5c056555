//! One request from call to answer: build, sign, send, time out, try again.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::credentials::SharedCredentials;
use crate::error::Error;
use crate::s3::S3;
use crate::sign::{self, Scope};

/// A TCP connection to the same machine or network is there at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Shorter than the server keeps idle connections, so that ours is seldom the one just closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Parallel uploads and downloads use up to this many; more would only be kept for nothing.
const IDLE_CONNECTIONS_MAX: usize = 16;

/// Between chunks of a body: a peer that sends nothing for so long is gone.
pub(crate) const CHUNK_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers other than objects are documents of this size at the most.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long and how often a call is tried.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From sending one attempt until its answer's headers.
    pub attempt_timeout: Duration,
    /// Answers that say "not now" are tried this often.
    pub attempts: u32,
    /// While the server cannot be reached, attempts go on for this long.
    pub total: Duration,
}

impl Patience {
    /// For people who wait: a server that is not there is told at once.
    pub fn interactive() -> Self {
        Self { attempt_timeout: Duration::from_secs(60), attempts: 3, total: Duration::ZERO }
    }
}

/// A client of one endpoint. Clones share connections and credentials.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    patience: Patience,
}

struct Inner {
    endpoint: String,
    /// Host and port, as the `Host` header says them.
    authority: HeaderValue,
    region: String,
    credentials: SharedCredentials,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// A request before it is signed. `path` begins with `/` and is percent-encoded, with its query.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub operation: String,
    pub service: Option<&'static str>,
    pub method: Method,
    pub path: String,
    pub headers: Vec<(HeaderName, String)>,
    pub body: Bytes,
    /// To be sent again after a broken connection, when nobody knows whether it was received.
    pub repeatable: bool,
}

/// An answer whose status is a success; its body is still to be read.
pub(crate) struct Answer {
    pub headers: HeaderMap,
    pub body: Incoming,
}

impl Client {
    /// `endpoint` is `http://host:port`; requests are signed for `region`.
    pub fn new(
        endpoint: &str,
        region: &str,
        credentials: impl Into<SharedCredentials>,
    ) -> Result<Self, Error> {
        let trimmed = endpoint.trim_end_matches('/');
        let bad = || Error::Endpoint(endpoint.to_owned());
        let uri: Uri = trimmed.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") {
            return Err(bad());
        }
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .build(connector);
        let inner = Inner {
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| bad())?,
            endpoint: trimmed.to_owned(),
            region: region.to_owned(),
            credentials: credentials.into(),
            pool,
        };
        Ok(Self { inner: Arc::new(inner), patience: Patience::interactive() })
    }

    /// The same client, waiting differently.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    pub fn endpoint(&self) -> &str {
        &self.inner.endpoint
    }

    pub fn region(&self) -> &str {
        &self.inner.region
    }

    pub fn s3(&self) -> S3 {
        S3::new(self.clone())
    }

    /// Sends the call until it is answered with a success, an error that will not pass, or the
    /// patience is used up.
    pub(crate) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let started = now_monotonic();
        let mut attempt = 1_u32;
        let mut backoff = BACKOFF_FIRST;
        loop {
            let error = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let unsent = matches!(error, Error::Connect { .. });
            let answered = error.status().is_some();
            let worth_it = error.is_passing() && (call.repeatable || unsent || answered);
            let in_time = error.is_unreachable() && started.elapsed() < self.patience.total;
            let in_number = !unsent && attempt < self.patience.attempts;
            if !worth_it || !(in_time || in_number) {
                return Err(error);
            }
            tracing::debug!(operation = %call.operation, error = %error.chain(), attempt, "trying again");
            tokio::time::sleep(jittered(backoff)).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
            attempt = attempt.saturating_add(1);
        }
    }

    /// Sends the call and reads its whole answer.
    pub(crate) async fn fetch(&self, call: &Call) -> Result<(HeaderMap, Bytes), Error> {
        let answer = self.send(call).await?;
        let body = collect(answer.body, &call.operation, DOCUMENT_BYTES_MAX).await?;
        Ok((answer.headers, body))
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Error> {
        let request = self
            .build(call)
            .map_err(|source| Error::Build { operation: call.operation.clone(), source })?;
        let waited =
            tokio::time::timeout(self.patience.attempt_timeout, self.inner.pool.request(request));
        let response = match waited.await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) if error.is_connect() => {
                return Err(Error::Connect {
                    endpoint: self.inner.endpoint.clone(),
                    source: Box::new(error),
                });
            }
            Ok(Err(error)) => {
                let operation = call.operation.clone();
                return Err(Error::Transport { operation, source: Box::new(error) });
            }
            Err(_) => {
                let after = self.patience.attempt_timeout;
                return Err(Error::Timeout { operation: call.operation.clone(), after });
            }
        };
        let (parts, body) = response.into_parts();
        if parts.status.is_success() {
            return Ok(Answer { headers: parts.headers, body });
        }
        let body = collect(body, &call.operation, DOCUMENT_BYTES_MAX).await?;
        Err(service_error(&call.operation, parts.status, &parts.headers, &body))
    }

    fn build(
        &self,
        call: &Call,
    ) -> Result<Request<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let uri = format!("{}{}", self.inner.endpoint, call.path);
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(uri)
            .header(http::header::HOST, self.inner.authority.clone());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Full::new(call.body.clone()))?;
        if let Some(service) = call.service {
            let scope = Scope { region: &self.inner.region, service };
            let digest = sign::body_digest(&call.body);
            let credentials = self.inner.credentials.current();
            sign::apply(&mut request, &digest, scope, &credentials, now())?;
        }
        Ok(request)
    }
}

/// Reads a body to its end, at most `bytes_max` of it.
pub(crate) async fn collect(
    mut body: Incoming,
    operation: &str,
    bytes_max: u64,
) -> Result<Bytes, Error> {
    let mut gathered = BytesMut::new();
    while let Some(chunk) = next_chunk(&mut body, operation).await? {
        gathered.extend_from_slice(&chunk);
        if u64::try_from(gathered.len()).unwrap_or(u64::MAX) > bytes_max {
            return Err(Error::TooLarge { operation: operation.to_owned(), bytes_max });
        }
    }
    Ok(gathered.freeze())
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next_chunk(
    body: &mut Incoming,
    operation: &str,
) -> Result<Option<Bytes>, Error> {
    loop {
        let frame = match tokio::time::timeout(CHUNK_TIMEOUT, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => {
                let operation = operation.to_owned();
                return Err(Error::Transport { operation, source: Box::new(error) });
            }
            Err(_) => {
                return Err(Error::Timeout {
                    operation: operation.to_owned(),
                    after: CHUNK_TIMEOUT,
                });
            }
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

/// Reads the error shape of any of the protocols we speak.
fn service_error(operation: &str, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let typed = header("x-amzn-errortype");
    let shape = ErrorShape::parse(body);
    let code = typed.map(str::to_owned).or(shape.code);
    let code = code.map_or_else(|| code_of_status(status), |code| bare_code(&code));
    Error::Service {
        operation: operation.to_owned(),
        code,
        message: shape
            .message
            .unwrap_or_else(|| status.canonical_reason().unwrap_or("no message").to_owned()),
        status: status.as_u16(),
        request_id: header("x-amzn-requestid").or(header("x-amz-request-id")).map(str::to_owned),
    }
}

#[derive(Default)]
struct ErrorShape {
    code: Option<String>,
    message: Option<String>,
}

impl ErrorShape {
    fn parse(body: &[u8]) -> Self {
        if let Ok(serde_json::Value::Object(object)) = serde_json::from_slice(body) {
            let text = |names: [&str; 2]| {
                names.iter().find_map(|name| Some(object.get(*name)?.as_str()?.to_owned()))
            };
            return Self { code: text(["__type", "code"]), message: text(["message", "Message"]) };
        }
        let text = String::from_utf8_lossy(body);
        if let Ok(error) = quick_xml::de::from_str::<XmlError>(&text) {
            let inner = error.error.map(|error| *error).unwrap_or_default();
            return Self {
                code: error.code.or(inner.code),
                message: error.message.or(inner.message),
            };
        }
        Self::default()
    }
}

/// `<Error>` of S3, or `<ErrorResponse><Error>` of the query protocol.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct XmlError {
    code: Option<String>,
    message: Option<String>,
    error: Option<Box<XmlError>>,
}

/// `com.amazonaws.x#Name:http://...` is `Name`.
fn bare_code(code: &str) -> String {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code).to_owned()
}

/// HEAD answers have no body to say more.
fn code_of_status(status: StatusCode) -> String {
    match status.as_u16() {
        403 => "AccessDenied".to_owned(),
        404 => "NotFound".to_owned(),
        412 => "PreconditionFailed".to_owned(),
        416 => "InvalidRange".to_owned(),
        other => other.to_string(),
    }
}

/// Between half and all of `backoff`, so that parallel calls do not come back in step.
fn jittered(backoff: Duration) -> Duration {
    let nanos = now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    backoff / 2 + (backoff / 2).mul_f64(f64::from(nanos % 1000) / 1000.0)
}

#[expect(clippy::disallowed_methods, reason = "a signature carries the time it was made at")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[expect(clippy::disallowed_methods, reason = "measures how long a call has been tried")]
fn now_monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(status: u16, headers: &[(&'static str, &str)], body: &str) -> (String, String) {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let status = StatusCode::from_u16(status).unwrap();
        match service_error("Do", status, &headers, body.as_bytes()) {
            Error::Service { code, message, .. } => (code, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn error_shapes_of_all_protocols_are_understood() {
        let json = r#"{"__type":"com.amazonaws.sagemaker#ValidationException","message":"no"}"#;
        let s3 = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message><Key>k</Key></Error>";
        let query = "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>\
                     <Message>bad</Message></Error><RequestId>1</RequestId></ErrorResponse>";
        let cases = [
            (400, vec![], json, "ValidationException", "no"),
            (404, vec![], s3, "NoSuchKey", "gone"),
            (403, vec![], query, "InvalidClientTokenId", "bad"),
            (
                424,
                vec![("x-amzn-errortype", "ModelError")],
                r#"{"Message":"m"}"#,
                "ModelError",
                "m",
            ),
            (404, vec![], "", "NotFound", "Not Found"),
            (502, vec![], "<html>", "502", "Bad Gateway"),
        ];
        for (status, headers, body, code, message) in cases {
            assert_eq!(
                parsed(status, &headers, body),
                (code.to_owned(), message.to_owned()),
                "{body}"
            );
        }
    }

    #[test]
    fn endpoints_are_plain_http_without_a_path() {
        let key = || Credentials {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: "secret".to_owned(),
            session_token: None,
        };
        assert!(Client::new("http://127.0.0.1:4566/", "us-east-1", key()).is_ok());
        for bad in ["https://127.0.0.1", "127.0.0.1:4566", "http://h/path", "unix:/x", ""] {
            assert!(
                matches!(Client::new(bad, "us-east-1", key()), Err(Error::Endpoint(_))),
                "{bad}"
            );
        }
    }

    use crate::Credentials;
}

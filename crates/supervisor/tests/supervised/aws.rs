//! A bucket and a log in memory, behind just enough of the APIs. Signatures are not checked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

#[derive(Clone, Default)]
pub struct Aws(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    /// By `bucket/key`.
    objects: BTreeMap<String, Bytes>,
    parts: BTreeMap<u32, Bytes>,
    lines: Vec<String>,
    puts: Vec<String>,
    /// How many PutLogEvents calls are still to be answered 503.
    log_failures: u32,
}

impl Aws {
    /// Serves on a port of its own; gives the endpoint.
    pub async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let aws = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let aws = aws.clone();
                let service = service_fn(move |request| {
                    let aws = aws.clone();
                    async move { Ok::<_, Infallible>(aws.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        endpoint
    }

    pub fn put(&self, path: &str, body: impl Into<Bytes>) {
        self.lock().objects.insert(path.to_owned(), body.into());
    }

    pub fn get(&self, path: &str) -> Option<Bytes> {
        self.lock().objects.get(path).cloned()
    }

    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// What was stored through the API.
    pub fn puts(&self) -> Vec<String> {
        self.lock().puts.clone()
    }

    pub fn fail_logs(&self, times: u32) {
        self.lock().log_failures = times;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if parts.headers.contains_key("x-amz-target") {
            return self.log(&body);
        }
        let path = parts.uri.path().trim_start_matches('/').to_owned();
        let query: BTreeMap<String, String> = parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
            .collect();
        if query.contains_key("list-type") {
            return self.list(&path, &query["prefix"]);
        }
        self.object(&parts.method, path, &query, body)
    }

    fn object(
        &self,
        method: &Method,
        path: String,
        query: &BTreeMap<String, String>,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let mut content = self.lock();
        if query.contains_key("uploads") {
            return answer(200, "<R><UploadId>u</UploadId></R>");
        }
        match (method, query.get("partNumber")) {
            (&Method::PUT, Some(number)) => {
                content.parts.insert(number.parse().unwrap(), body);
                answer(200, "")
            }
            (&Method::PUT, None) => {
                content.puts.push(path.clone());
                content.objects.insert(path, body);
                answer(200, "")
            }
            (&Method::POST, _) => {
                let parts = std::mem::take(&mut content.parts);
                let whole: Vec<u8> = parts.into_values().flatten().collect();
                content.objects.insert(path, whole.into());
                answer(200, "<R><ETag>e</ETag></R>")
            }
            (&Method::GET, _) => match content.objects.get(&path) {
                Some(body) => answer(200, body.clone()),
                None => answer(404, "<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>"),
            },
            _ => answer(204, ""),
        }
    }

    fn list(&self, bucket: &str, prefix: &str) -> Response<Full<Bytes>> {
        if bucket == "absent" {
            let error = "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>";
            return answer(404, error);
        }
        let mut document = String::from("<ListBucketResult>");
        for (path, body) in &self.lock().objects {
            let Some(key) = path.strip_prefix(&format!("{bucket}/")) else { continue };
            if key.starts_with(prefix) {
                let size = body.len();
                document
                    .push_str(&format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"));
            }
        }
        document.push_str("</ListBucketResult>");
        answer(200, document)
    }

    fn log(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let mut content = self.lock();
        if content.log_failures > 0 {
            content.log_failures -= 1;
            return answer(503, r#"{"__type":"ServiceUnavailableException","message":"later"}"#);
        }
        let input: serde_json::Value = serde_json::from_slice(body).unwrap();
        for event in input["logEvents"].as_array().into_iter().flatten() {
            content.lines.push(event["message"].as_str().unwrap().to_owned());
        }
        answer(200, "{}")
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap()
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    Response::builder().status(status).header("etag", "\"e\"").body(Full::new(body.into())).unwrap()
}

//! Transfers against a server in memory that fails now and then.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "all of this is test code, helpers included"
)]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kennel_client::{Client, Credentials, Error, LOGS, Patience, Progress, Put};
use tokio::net::TcpListener;

#[derive(Default)]
struct Server {
    objects: Mutex<BTreeMap<String, Bytes>>,
    parts: Mutex<BTreeMap<u32, Bytes>>,
    seen: Mutex<Vec<String>>,
    /// Every so many requests one is answered 503; 0 for never.
    fail_every: u64,
    requests: AtomicU64,
}

impl Server {
    async fn serve(fail_every: u64) -> (Arc<Self>, Client) {
        let server = Arc::new(Self { fail_every, ..Self::default() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = Arc::clone(&serving);
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
            }
        });
        (server, client(&endpoint))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let query = head.uri.query().unwrap_or_default().to_owned();
        let path = head.uri.path().to_owned();
        self.seen.lock().unwrap().push(format!("{} {path}?{query}", head.method));
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fail_every > 0 && number.is_multiple_of(self.fail_every) {
            return Response::builder().status(503).body(Full::default()).unwrap();
        }
        let mut objects = self.objects.lock().unwrap();
        let ok = |body: Bytes| {
            Response::builder().header("etag", "\"1\"").body(Full::new(body)).unwrap()
        };
        match head.method {
            Method::POST if query == "uploads=" => ok("<R><UploadId>a/b</UploadId></R>".into()),
            Method::PUT if query.starts_with("partNumber=") => {
                let number = query["partNumber=".len()..].split('&').next().unwrap();
                self.parts.lock().unwrap().insert(number.parse().unwrap(), body);
                ok(Bytes::new())
            }
            Method::POST if query == "uploadId=a%2Fb" => {
                let parts = std::mem::take(&mut *self.parts.lock().unwrap());
                objects.insert(path, parts.into_values().flatten().collect());
                ok("<R><ETag>\"2\"</ETag></R>".into())
            }
            Method::PUT => {
                objects.insert(path, body);
                ok(Bytes::new())
            }
            Method::GET => match (objects.get(&path), head.headers.get("range")) {
                (None, _) => Response::builder()
                    .status(404)
                    .body("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>".into())
                    .unwrap(),
                (Some(object), None) => ok(object.clone()),
                (Some(object), Some(range)) => {
                    assert_eq!(head.headers["if-match"], "\"1\"");
                    let range = range.to_str().unwrap().strip_prefix("bytes=").unwrap();
                    let (first, last) = range.split_once('-').unwrap();
                    let (first, last): (usize, usize) =
                        (first.parse().unwrap(), last.parse().unwrap());
                    ok(object.slice(first..=last))
                }
            },
            _ => ok(Bytes::new()),
        }
    }
}

fn client(endpoint: &str) -> Client {
    let credentials = Credentials {
        access_key_id: "AKIDEXAMPLE".to_owned(),
        secret_access_key: "fake".to_owned(),
        session_token: None,
    };
    Client::new(endpoint, "us-east-1", credentials).unwrap()
}

fn counter() -> (Arc<AtomicU64>, Progress) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let progress = move |bytes| {
        counted.fetch_add(bytes, Ordering::SeqCst);
    };
    (count, Arc::new(progress))
}

/// Bytes that differ wherever a part could be misplaced.
fn pattern(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at / 4096 + at) % 251).unwrap()).collect()
}

#[tokio::test]
async fn large_files_go_up_in_parts_and_come_down_in_ranges_although_the_server_fails() {
    let (server, client) = Server::serve(4).await;
    let body = pattern((70 << 20) + 17);
    let up = tempfile::NamedTempFile::new().unwrap();
    tokio::fs::write(up.path(), &body).await.unwrap();
    let (sent, progress) = counter();
    let s3 = client.s3();
    let stored =
        s3.put_file("b", "k", up.reopen().unwrap(), &Put::default(), Some(progress)).await.unwrap();
    assert_eq!((stored.size, stored.etag.as_str()), (body.len() as u64, "\"2\""));
    assert_eq!(sent.load(Ordering::SeqCst), body.len() as u64);
    assert!(server.objects.lock().unwrap()["/b/k"] == body);

    let down = tempfile::NamedTempFile::new().unwrap();
    let (received, progress) = counter();
    s3.get_file("b", "k", down.reopen().unwrap(), Some(progress)).await.unwrap();
    assert!(tokio::fs::read(down.path()).await.unwrap() == body);
    assert_eq!(received.load(Ordering::SeqCst), body.len() as u64);
}

#[tokio::test]
async fn small_streams_are_one_put_and_larger_ones_parts() {
    let (server, client) = Server::serve(0).await;
    let s3 = client.s3();
    for (key, pieces) in [("small", 1), ("large", 5)] {
        let body = pattern(pieces * (5 << 20));
        let mut upload = s3.upload("b", key, &Put::default());
        for chunk in body.chunks(100_000) {
            upload.write(chunk).await.unwrap();
        }
        let stored = upload.finish().await.unwrap();
        assert_eq!(stored.size, body.len() as u64);
        assert!(server.objects.lock().unwrap()[&format!("/b/{key}")] == body);
    }
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen[0], "PUT /b/small?");
    assert!(seen.contains(&"POST /b/large?uploads=".to_owned()));
}

#[tokio::test]
async fn an_aborted_upload_removes_its_parts() {
    let (server, client) = Server::serve(0).await;
    let mut upload = client.s3().upload("b", "k", &Put::default());
    upload.write(&pattern(20 << 20)).await.unwrap();
    upload.abort().await;
    let seen = server.seen.lock().unwrap().clone();
    assert_eq!(seen.last().map(String::as_str), Some("DELETE /b/k?uploadId=a%2Fb"));
    assert!(server.objects.lock().unwrap().is_empty());
}

#[tokio::test]
async fn errors_name_the_service_s_code_and_absent_servers_are_told_at_once() {
    let (_server, client) = Server::serve(0).await;
    let error = client.s3().get_bytes("b", "absent", 10).await.unwrap_err();
    assert_eq!((error.code(), error.status()), (Some("NoSuchKey"), Some(404)));

    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    let away = self::client(&endpoint);
    let input = serde_json::json!({});
    let error = away
        .call_json::<_, serde_json::Value>(&LOGS, "DescribeLogGroups", &input)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Connect { .. }) && error.is_unreachable(), "{error}");
    assert!(!away.healthy().await.unwrap());
}

#[tokio::test]
async fn patience_outlasts_a_server_that_is_away_for_a_moment() {
    let held = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let client = client(&format!("http://{address}")).with_patience(Patience {
        attempt_timeout: Duration::from_secs(5),
        attempts: 1,
        total: Duration::from_secs(20),
    });
    let asking = tokio::spawn(async move { client.s3().head_bucket("b").await });
    tokio::task::yield_now().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let service =
        service_fn(|_| async { Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())) });
    let connection = hyper::server::conn::http1::Builder::new();
    tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
    asking.await.unwrap().unwrap();
}

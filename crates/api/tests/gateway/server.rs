//! Connections over a real socket: bounds, `Expect`, reuse and the drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use kennel_api::body::{self, Body};
use kennel_api::{S3Handler, limits};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Answer, Bench, Call};

const WHO: &str = "Action=GetCallerIdentity&Version=2011-06-15";
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    bench: Bench,
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start(bench: Bench) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let serving =
            tokio::spawn(kennel_api::serve(bench.gateway.clone(), listener, shutdown.clone()));
        Self { bench, address, shutdown, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn client(&self) -> hyper::client::conn::http1::SendRequest<Full<Bytes>> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.serving).await.unwrap().unwrap();
    }
}

/// Reads until the text contains `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let read = async {
        let mut piece = [0; 4096];
        while !text.contains(end) {
            let count = stream.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "closed after: {text}");
            text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
    };
    tokio::time::timeout(DEADLINE, read).await.unwrap();
    text
}

#[tokio::test]
async fn a_signed_request_is_answered_over_a_socket_and_the_connection_is_used_again() {
    let server = Server::start(Bench::new().await).await;
    let mut client = server.client().await;
    for _ in 0..3 {
        let request = server.bench.root.sign(Call::query("sts", WHO)).map(Full::new);
        client.ready().await.unwrap();
        let answer = Answer::of(client.send_request(request).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.text().contains("arn:aws:iam::123456789012:root"));
        assert!(!answer.header("date").is_empty());
    }
    server.stop().await;
}

#[tokio::test]
async fn an_expectation_is_answered_at_once_and_not_at_all_for_a_stranger() {
    let server = Server::start(Bench::new().await).await;
    let known = server.bench.root.sign(Call::query("sts", WHO));
    let mut stranger = server.bench.root.clone();
    stranger.id = "AKIAEXAMPLEEXAMPLE12".into();
    let unknown = stranger.sign(Call::query("sts", WHO));
    for (request, is_known) in [(known, true), (unknown, false)] {
        let mut head = "POST / HTTP/1.1\r\nExpect: 100-continue\r\n".to_owned();
        for (name, value) in request.headers() {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", request.body().len()));
        let mut stream = server.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let first = read_until(&mut stream, "\r\n\r\n").await;
        if is_known {
            assert!(first.starts_with("HTTP/1.1 100 Continue"), "{first}");
            stream.write_all(request.body()).await.unwrap();
            let answer = read_until(&mut stream, "</GetCallerIdentityResponse>").await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        } else {
            assert!(first.starts_with("HTTP/1.1 403 Forbidden"), "{first}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_refused() {
    let server = Server::start(Bench::new().await).await;
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(2 * limits::HEAD_BYTES_MAX));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(limits::HEADERS_MAX + 1));
    for head in [long, many] {
        let mut stream = server.connect().await;
        // The server stops reading in the middle of the long one, which may reset the connection
        // before its answer is read.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let refused = answer.starts_with("HTTP/1.1 431 ") || (read.is_err() && answer.is_empty());
        assert!(refused, "{answer}");
    }
    server.stop().await;
}

/// Answers when it is let to.
struct Gate(Arc<Semaphore>);

#[async_trait]
impl S3Handler for Gate {
    async fn call(&self, _: Request<Body>) -> Response<Body> {
        let _permit = self.0.acquire().await.unwrap();
        Response::new(body::full("through the gate"))
    }
}

#[tokio::test]
async fn a_shutdown_lets_requests_under_way_finish() {
    let gate = Arc::new(Semaphore::new(0));
    let bench = Bench::with_s3(Arc::new(Gate(gate.clone()))).await;
    let server = Server::start(bench).await;
    let mut idle = server.connect().await;
    let mut client = server.client().await;
    let request = Request::get("/bucket/key").header("host", "x").body(Full::default()).unwrap();
    let under_way = tokio::spawn(client.send_request(request));
    // An answer on another connection shows that the server took the request before it.
    let probe = Request::get("/_kennel/health").header("host", "x").body(Full::default()).unwrap();
    server.client().await.send_request(probe).await.unwrap();
    tokio::task::yield_now().await;
    server.shutdown.cancel();
    // The listener and the idle connection close while the request is still under way.
    let closed = tokio::time::timeout(DEADLINE, idle.read(&mut [0; 1])).await.unwrap();
    assert_eq!(closed.unwrap_or_default(), 0);
    gate.add_permits(1);
    let answer = Answer::of(under_way.await.unwrap().unwrap()).await;
    assert_eq!(answer.text(), "through the gate");
    server.stop().await;
}

#[tokio::test]
async fn more_requests_than_the_limit_are_told_to_slow_down() {
    let gate = Arc::new(Semaphore::new(0));
    let bench = Arc::new(Bench::with_s3(Arc::new(Gate(gate.clone()))).await);
    let mut under_way = Vec::new();
    for _ in 0..limits::REQUESTS_MAX {
        let mut request = Box::pin({
            let bench = bench.clone();
            async move { bench.send(Call::new("", "GET", "/b/k").unsigned()).await }
        });
        // Polled once, each request stands before the gate.
        assert!(futures::poll!(&mut request).is_pending());
        under_way.push(request);
    }
    let answer = bench.send(Call::new("", "GET", "/b/k").unsigned()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text().contains("<Code>SlowDown</Code>"));
    let sts = bench.send(bench.root.sign(Call::query("sts", WHO))).await;
    assert!(sts.text().contains("<Code>Throttling</Code>"), "{}", sts.text());
    let health = bench.send(Call::new("", "GET", "/_kennel/health").unsigned()).await;
    assert_eq!(health.status, StatusCode::OK);
    gate.add_permits(limits::REQUESTS_MAX);
    for request in under_way {
        assert_eq!(request.await.status, StatusCode::OK);
    }
    let sts = bench.send(bench.root.sign(Call::query("sts", WHO))).await;
    assert_eq!(sts.status, StatusCode::OK);
}

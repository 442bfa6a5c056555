//! A server with a small model answers over HTTP as its documentation says.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test's helpers may fail"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use kennel_vision::backbone::{self, FEATURES};
use kennel_vision::log::Log;
use kennel_vision::preprocess::Preprocessing;
use kennel_vision::serve::{self, FetchOptions, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

const CLASSES: usize = 3;

/// A model whose head takes a few features apart; nobody trained it.
fn write_model(base: &Path) {
    let weights = head_weights();
    let head = backbone::Head { classes: CLASSES, weights: &weights, bias: &[0.0, 0.1, 0.2] };
    let folder = base.join("model");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("model.onnx"), backbone::classifier_model(&head).unwrap()).unwrap();
    std::fs::write(folder.join("labels.json"), r#"["001.A", "002.B", "003.C"]"#).unwrap();
    let preprocessing = serde_json::to_string(&Preprocessing::default()).unwrap();
    std::fs::write(folder.join("preprocess.json"), preprocessing).unwrap();
}

fn head_weights() -> Vec<f32> {
    (0..CLASSES * FEATURES).map(|i| ((i * 37 % 101) as f32 - 50.0) / 500.0).collect()
}

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    served: tokio::task::JoinHandle<Result<(), serve::Error>>,
}

impl Server {
    async fn start(base: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let options = Options {
            base: base.to_owned(),
            listen: address,
            threads: 2,
            fetch: FetchOptions { proxy: None, private_allowed: true },
        };
        let stopped = async {
            drop(stopped.await);
        };
        let log = Arc::new(Log::default());
        let served = tokio::spawn(serve::serve(listener, options, stopped, log));
        Self { address, stop, served }
    }

    async fn ready(base: &Path) -> Self {
        let server = Self::start(base).await;
        let deadline = Instant::now() + Duration::from_secs(60);
        while server.get("/ping").await.0 != 200 {
            assert!(Instant::now() < deadline, "/ping never answered 200");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    async fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), b"")
            .await
    }

    async fn invoke(&self, headers: &str, body: &[u8]) -> (u16, String) {
        let length = body.len();
        let head = format!(
            "POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n"
        );
        self.send(&head, body).await
    }

    /// Status and body of the answer.
    async fn send(&self, head: &str, body: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses early closes before it has read everything.
        drop(stream.write_all(body).await);
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer).await);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head[9..12].parse().unwrap(), body.to_owned())
    }
}

fn png(seed: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 64, 48);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    let pixels: Vec<u8> =
        (0..64 * 48 * 3_usize).map(|i| (i * usize::from(seed) % 253) as u8).collect();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_or_refused_as_documented() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    let server = Server::ready(base.path()).await;

    let (status, plain) = server.invoke("Content-Type: image/png\r\n", &png(7)).await;
    assert_eq!(status, 200, "{plain}");
    let rows: Vec<Vec<f32>> = serde_json::from_str(&plain).unwrap();
    assert_eq!((rows.len(), rows[0].len()), (1, CLASSES));

    // The same picture without a type, and inside JSON, gives the same row.
    assert_eq!(server.invoke("", &png(7)).await, (200, plain.clone()));
    let encoded = |seed| base64::engine::general_purpose::STANDARD.encode(png(seed));
    let body = serde_json::json!({
        "instances": [{"b64": encoded(7)}, {"b64": encoded(9)}]
    });
    let json = "Content-Type: application/json\r\n";
    let (status, both) = server.invoke(json, body.to_string().as_bytes()).await;
    assert_eq!(status, 200, "{both}");
    let both: Vec<Vec<f32>> = serde_json::from_str(&both).unwrap();
    assert_eq!(both[0], rows[0]);
    assert_ne!(both[1], rows[0]);

    let verbose = "Content-Type: image/png\r\nAccept: application/json;verbose\r\n";
    let (status, text) = server.invoke(verbose, &png(7)).await;
    assert_eq!(status, 200);
    let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
    let best = (0..CLASSES).max_by(|a, b| rows[0][*a].total_cmp(&rows[0][*b])).unwrap();
    assert_eq!(answer["predictions"][0]["label"], ["001.A", "002.B", "003.C"][best]);

    for (headers, body, expected, word) in [
        ("Content-Type: text/csv\r\n", &b"1,2"[..], 415, "Content-Type"),
        ("Content-Type: image/png\r\n", &b"no picture"[..], 400, "decoded"),
        ("Content-Type: image/png\r\nAccept: text/csv\r\n", &png(7)[..], 406, "json"),
        (json, &b"{}"[..], 400, "url"),
        (json, &br#"{"url": "ftp://a/b"}"#[..], 400, "http"),
        (json, &br#"{"instances": [{"b64": "AAAA"}, {"b64": "AAAA"}]}"#[..], 400, "instance 0"),
    ] {
        let (status, text) = server.invoke(headers, body).await;
        assert_eq!(status, expected, "{headers} {text}");
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(error["error"].as_str().unwrap().contains(word), "{text}");
    }
    assert_eq!(server.get("/invocations").await.0, 405);
    assert_eq!(server.get("/else").await.0, 404);

    let too_large = "POST /invocations HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                     Content-Length: 99999999\r\n\r\n";
    assert_eq!(server.send(too_large, b"").await.0, 413);

    server.stop.send(()).unwrap();
    server.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_behind_an_address_is_fetched_and_classified() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    let server = Server::ready(base.path()).await;
    let pictures = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = pictures.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = pictures.accept().await.unwrap();
        let mut asked = [0; 512];
        let _ = stream.read(&mut asked).await.unwrap();
        let picture = png(7);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", picture.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&picture).await.unwrap();
    });
    let body = format!(r#"{{"url": "http://127.0.0.1:{port}/dog.png"}}"#);
    let json = "Content-Type: application/json\r\n";
    let fetched = server.invoke(json, body.as_bytes()).await;
    assert_eq!(fetched, server.invoke("Content-Type: image/png\r\n", &png(7)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_behind_a_backbone_answers_as_a_model_in_one_piece() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    let server = Server::ready(base.path()).await;
    let (_, whole) = server.invoke("Content-Type: image/png\r\n", &png(7)).await;

    let weights = head_weights();
    let head = backbone::Head { classes: CLASSES, weights: &weights, bias: &[0.0, 0.1, 0.2] };
    let folder = base.path().join("model");
    std::fs::write(folder.join("head.onnx"), backbone::head_model(&head).unwrap()).unwrap();
    std::fs::write(folder.join("model.onnx"), backbone::features_model().unwrap()).unwrap();
    let server = Server::ready(base.path()).await;
    let (status, parts) = server.invoke("Content-Type: image/png\r\n", &png(7)).await;
    assert_eq!(status, 200, "{parts}");
    let rows = |text: &str| serde_json::from_str::<Vec<Vec<f32>>>(text).unwrap().concat();
    let (whole, parts) = (rows(&whole), rows(&parts));
    assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-4), "{whole:?} {parts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_there_are_places_are_told_to_come_back() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    let server = Server::ready(base.path()).await;
    // Requests whose bodies never come hold every place; one more is refused.
    let head = "POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..33 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        answers.spawn(async move {
            let mut answer = [0; 12];
            stream.read_exact(&mut answer).await.unwrap();
            answer
        });
    }
    let limit = Duration::from_secs(20);
    let first = tokio::time::timeout(limit, answers.join_next()).await.unwrap();
    assert_eq!(&first.unwrap().unwrap(), b"HTTP/1.1 429");
    assert_eq!(server.get("/ping").await.0, 200);
    // Once the others are gone there is room again.
    answers.shutdown().await;
    let deadline = Instant::now() + limit;
    while server.invoke("Content-Type: image/png\r\n", &png(7)).await.0 != 200 {
        assert!(Instant::now() < deadline, "never accepted again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_finishes_what_was_accepted() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    let server = Server::ready(base.path()).await;
    let picture = png(3);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST /invocations HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Length: {}\r\n\r\n",
        picture.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body: the request is under way when the stop comes.
    let mut go_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"));
    server.stop.send(()).unwrap();
    stream.write_all(&picture).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
    server.served.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_does_not_fit_its_labels_ends_the_server_by_name() {
    let base = tempfile::tempdir().unwrap();
    write_model(base.path());
    std::fs::write(base.path().join("model/labels.json"), r#"["a"]"#).unwrap();
    let server = Server::start(base.path()).await;
    let error = server.served.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("3 numbers for 1 labels"), "{error}");

    std::fs::remove_file(base.path().join("model/preprocess.json")).unwrap();
    let server = Server::start(base.path()).await;
    let error = server.served.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("preprocess.json"), "{error}");
}

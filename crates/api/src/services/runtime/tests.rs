//! Invocations of a container that does what the test says, over a real socket.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use kennel_exec::ScriptedExecutor;
use kennel_platform::clock::ManualClock;
use kennel_platform::endpoint::{NewConfig, Status, VariantConfig};
use kennel_platform::identity::RootKey;
use kennel_platform::model::{Artifact, ArtifactMember, Container, NewModel};
use kennel_platform::names::{EntityName, RoleArn, S3Location};
use kennel_platform::objects::{self, Condition, NewObject};
use kennel_platform::{Backends, Config, Platform, runs};
use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};
use kennel_store::{Expect, Records, Write};
use serde_json::Value;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::invoke_endpoint::{InvokeEndpoint, Route};
use super::transport::IDLE_AGE_MAX;
use crate::body::Body;
use crate::context::{Caller, Context};
use crate::failure::Failure;
use crate::registry::RawOperation as _;

const DEADLINE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn an_answer_comes_back_with_its_variant_over_one_connection() {
    let world = World::new().await;
    for _ in 0..3 {
        let response = world.invoke("echo", "a dog").await.unwrap();
        assert_eq!(response.headers()["x-amzn-invoked-production-variant"], "AllTraffic");
        assert_eq!(response.headers()["x-amzn-sagemaker-custom-attributes"], "seen");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "a dog");
    }
    assert_eq!(world.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_replaced() {
    let world = World::new().await;
    for _ in 0..3 {
        let response = world.invoke("echo-and-close", "a dog").await.unwrap();
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(world.connections(), 3);
}

#[tokio::test]
async fn a_connection_that_was_idle_for_long_is_not_written_to() {
    let world = World::new().await;
    for _ in 0..2 {
        let response = world.invoke("echo", "a dog").await.unwrap();
        response.into_body().collect().await.unwrap();
        tokio::time::pause();
        tokio::time::advance(IDLE_AGE_MAX + Duration::from_millis(1)).await;
        tokio::time::resume();
    }
    assert_eq!(world.connections(), 2);
}

#[tokio::test]
async fn an_error_of_the_container_is_a_model_error() {
    let world = World::new().await;
    let failure = world.invoke("error", "").await.unwrap_err();
    assert_eq!((failure.status, failure.code), (424, "ModelError"));
    assert_eq!(failure.members["OriginalStatusCode"], 500);
    assert_eq!(failure.members["OriginalMessage"], "boom");
    assert_eq!(
        failure.members["LogStreamArn"],
        "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/Endpoints/dogs"
    );
    assert!(failure.message.starts_with(
        "Received server error (500) from primary with message \"boom\". See https://us-east-1."
    ));
    let failure = world.invoke("long-error", "").await.unwrap_err();
    assert!(failure.message.contains("could not load the entire response body"));
}

#[tokio::test]
async fn a_container_that_breaks_off_is_not_asked_again() {
    let world = World::new().await;
    let failure = world.invoke("break", "").await.unwrap_err();
    assert_eq!(failure.code, "ModelError");
    assert_eq!(failure.members["OriginalStatusCode"], 0);
    assert_eq!(world.requests(), 1);
}

#[tokio::test]
async fn a_container_that_does_not_answer_is_given_up_after_a_minute() {
    let world = World::new().await;
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let failure = world.invoke("never", "").await.unwrap_err();
    assert!(failure.message.contains("Your invocation timed out"));
    assert_eq!(begin.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn a_replica_that_cannot_be_reached_is_a_503() {
    let world = World::new().await;
    world.container.cancel();
    tokio::fs::remove_file(&world.socket).await.unwrap();
    let failure = world.invoke("echo", "").await.unwrap_err();
    assert_eq!((failure.status, failure.code), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_validation_error() {
    let world = World::new().await;
    let failure = world.invoke_at("cats", "echo", "").await.unwrap_err();
    assert_eq!((failure.status, failure.code), (400, "ValidationError"));
    assert_eq!(failure.message, "Endpoint cats of account 123456789012 not found.");
}

/// The endpoint `dogs` with one replica.
struct World {
    context: Context,
    socket: std::path::PathBuf,
    container: CancellationToken,
    seen: Arc<Seen>,
    shutdown: CancellationToken,
    _data_dir: tempfile::TempDir,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
        self.container.cancel();
    }
}

impl World {
    async fn new() -> Self {
        let data_dir = tempfile::tempdir().unwrap();
        let records = Arc::new(MemoryRecords::new());
        let platform = Arc::new(platform(records.clone(), data_dir.path()).await);
        let shutdown = CancellationToken::new();
        tokio::spawn(platform.endpoints.clone().run(shutdown.clone()));
        deploy(&platform).await;
        let run_id = wait(&*records, async || {
            let runs = records.list(runs::TABLE, "", None, 1).await.unwrap();
            runs.into_iter().next().map(|run| run.key)
        });
        let run_id = run_id.await;
        let socket = platform.runs.http_socket(&run_id);
        tokio::fs::create_dir_all(socket.parent().unwrap()).await.unwrap();
        let (container, seen) = (CancellationToken::new(), Arc::new(Seen::default()));
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(serve(listener, seen.clone(), container.clone()));
        make_ready(&*records, &run_id).await;
        wait(&*records, async || {
            let endpoint = platform.endpoints.get(&name("dogs")).await.unwrap();
            (endpoint.status == Status::InService).then_some(())
        })
        .await;
        let caller = Caller::Root { access_key_id: "AKIAEXAMPLE".to_owned() };
        let context = Context::new(platform, caller, "request-1");
        Self { context, socket, container, seen, shutdown, _data_dir: data_dir }
    }

    async fn invoke(&self, what: &str, body: &str) -> Result<Response<Body>, Failure> {
        self.invoke_at("dogs", what, body).await
    }

    async fn invoke_at(
        &self,
        endpoint: &str,
        what: &str,
        body: &str,
    ) -> Result<Response<Body>, Failure> {
        let route = Route { endpoint_name: endpoint.to_owned() };
        let mut request = Request::new(Bytes::copy_from_slice(body.as_bytes()));
        let what = HeaderValue::from_str(what).unwrap();
        request.headers_mut().insert(header::CONTENT_TYPE, what);
        InvokeEndpoint::handle(&self.context, route, request).await
    }

    fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }
}

/// The container: its Content-Type says what it does.
async fn serve(listener: UnixListener, seen: Arc<Seen>, over: CancellationToken) {
    loop {
        let stream = tokio::select! {
            () = over.cancelled() => return,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        seen.connections.fetch_add(1, Ordering::SeqCst);
        let (seen, over) = (seen.clone(), over.clone());
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| answer(request, seen.clone()));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = over.cancelled() => {}
                _ = connection => {}
            }
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    seen: Arc<Seen>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    seen.requests.fetch_add(1, Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let what = parts.headers[header::CONTENT_TYPE].to_str().unwrap();
    let mut response = Response::new(Full::new(match what {
        "error" => Bytes::from_static(b"boom"),
        "long-error" => Bytes::from(vec![b'x'; 1 << 20]),
        _ => body,
    }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    let attributes = HeaderValue::from_static("seen");
    headers.insert("x-amzn-sagemaker-custom-attributes", attributes);
    match what {
        "echo-and-close" => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        "error" | "long-error" => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        "break" => return Err(std::io::Error::other("broken on purpose")),
        "never" => match std::future::pending::<Infallible>().await {},
        _ => {}
    }
    Ok(response)
}

async fn platform(records: Arc<MemoryRecords>, data_dir: &std::path::Path) -> Platform {
    let backends = Backends {
        records,
        blobs: Arc::new(MemoryBlobs::new()),
        streams: Arc::new(MemoryStreams::new()),
        clock: Arc::new(ManualClock::at_ms(1_700_000_000_000)),
    };
    let config = Config {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        api_endpoint: "http://127.0.0.1:1".to_owned(),
        data_dir: data_dir.to_owned(),
    };
    let executor = Arc::new(ScriptedExecutor::new());
    Platform::open(config, backends, RootKey::random().unwrap(), executor).await.unwrap()
}

async fn deploy(platform: &Platform) {
    let objects = &platform.objects;
    objects.create_bucket("models", Default::default()).await.unwrap();
    let chunks: Vec<Result<_, objects::BodyError>> = vec![Ok(Bytes::from_static(b"archive"))];
    let mut body: objects::Body<'_> = Box::pin(futures::stream::iter(chunks));
    let received = objects.receive(&mut body, &[], u64::MAX).await.unwrap();
    let (new, any) = (NewObject::default(), Condition::None);
    objects.put("models", "model.tar.gz", received, new, &any).await.unwrap();
    let artifact = Artifact {
        location: S3Location::parse("s3://models/model.tar.gz").unwrap(),
        given: ArtifactMember::ModelDataUrl,
    };
    let model = NewModel {
        name: name("dogs"),
        role: RoleArn::parse("arn:aws:iam::123456789012:role/kennel").unwrap(),
        container: Container {
            hostname: None,
            image: kennel_platform::image::IMAGE_CLASSIFICATION.to_owned(),
            artifact: Some(artifact),
            environment: Default::default(),
        },
        in_list: false,
        network_isolation: false,
        vpc: None,
        tags: Vec::new(),
    };
    platform.models.create(model).await.unwrap();
    let variant = VariantConfig {
        name: name("AllTraffic"),
        model_name: name("dogs"),
        instance_type: "ml.t2.medium".to_owned(),
        instance_count: 1,
        weight: 1.0,
        download_timeout_secs: None,
        startup_timeout_secs: None,
        routing: None,
        volume_size_gb: None,
        inference_ami_version: None,
    };
    let config = NewConfig {
        name: name("dogs"),
        variants: vec![variant],
        kms_key_id: None,
        tags: Vec::new(),
    };
    platform.endpoints.create_config(config).await.unwrap();
    platform.endpoints.create(name("dogs"), &name("dogs"), &[]).await.unwrap();
}

/// As the supervisor's report would.
async fn make_ready(records: &dyn Records, run_id: &str) {
    let record = records.get(runs::TABLE, run_id).await.unwrap().unwrap();
    let mut document: Value = serde_json::from_slice(&record.value).unwrap();
    document["run"]["ready"] = true.into();
    let value = serde_json::to_vec(&document).unwrap();
    let key = run_id.to_owned();
    let put = Write::Put { table: runs::TABLE, key, value, expect: Expect::Any };
    records.commit(vec![put]).await.unwrap();
}

/// What `found` finds, once it does, looking again at each change of runs and endpoints.
async fn wait<T>(records: &dyn Records, found: impl AsyncFn() -> Option<T>) -> T {
    let (mut runs, mut endpoints) =
        (records.watch(runs::TABLE), records.watch(kennel_platform::endpoint::record::TABLE));
    let waiting = async {
        loop {
            if let Some(found) = found().await {
                return found;
            }
            tokio::select! {
                changed = runs.changed() => changed.unwrap(),
                changed = endpoints.changed() => changed.unwrap(),
            }
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap()
}

fn name(text: &str) -> EntityName {
    EntityName::parse(text).unwrap()
}

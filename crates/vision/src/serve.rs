//! `serve`: answers what pictures show, on the SageMaker container contract.
//!
//! `GET /ping` is 200 once the model is loaded and has answered a first picture, and only as long
//! as it can. `POST /invocations` takes a picture, the address of one, or several in base64, and
//! gives a row of logits for each; see [`invocation`] for the formats. Requests, bodies, waiting
//! and fetching all have bounds. No picture and no address of one is ever logged.

mod address;
mod fetch;
mod invocation;
mod predictor;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::engine;
use crate::host;
use crate::log::Log;
use predictor::Predictor;

/// What InvokeEndpoint lets through.
const BODY_BYTES_MAX: usize = 25 * 1024 * 1024;
/// Requests whose body is read or whose answer is computed; more are told to come back. With
/// the largest bodies these take 800 MB.
const REQUESTS_MAX: usize = 32;
const CONNECTIONS_MAX: usize = 256;
/// InvokeEndpoint gives up after 60 s; whoever waits longer is gone.
const REQUEST_SECS_MAX: u64 = 60;
/// A slow body holds one of the few places.
const BODY_SECS_MAX: u64 = 30;
const HEADER_SECS_MAX: u64 = 15;
/// SageMaker kills a container 30 s after SIGTERM.
const DRAIN_SECS_MAX: u64 = 25;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("SAGEMAKER_BIND_TO_PORT is `{0}`, which is not a port")]
    Port(String),
    #[error("`{0}` is not an address to listen on")]
    Bind(String),
    #[error("`{0}` is not an option of serve")]
    Option(String),
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("the runtime does not start")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Model(#[from] predictor::Error),
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    #[error("loading the model broke off")]
    Loading,
}

/// Where the model lies and where to listen.
#[derive(Debug, Clone)]
pub struct Options {
    /// `/opt/ml` of the container contract; the model is in `model`.
    pub base: PathBuf,
    pub listen: SocketAddr,
    pub threads: usize,
    pub fetch: FetchOptions,
}

/// How pictures are fetched from the addresses that requests give.
#[derive(Debug, Clone, Default)]
pub struct FetchOptions {
    /// `host:port` of a proxy that every connection goes through by CONNECT.
    pub proxy: Option<String>,
    /// Addresses of private networks and of this host may be fetched from.
    pub private_allowed: bool,
}

impl Options {
    /// What the environment and the arguments behind `serve` say. The port is
    /// `SAGEMAKER_BIND_TO_PORT` or 8080; the address is 127.0.0.1 unless `--bind` gives another.
    pub fn from_environment(args: &[String]) -> Result<Self, Error> {
        let port = match std::env::var("SAGEMAKER_BIND_TO_PORT") {
            Ok(text) => text.trim().parse().map_err(|_| Error::Port(text))?,
            Err(_) => 8080,
        };
        let mut bind = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut args = args.iter();
        while let Some(option) = args.next() {
            let value = match option.strip_prefix("--bind") {
                Some("") => args.next().cloned().unwrap_or_default(),
                Some(rest) if rest.starts_with('=') => rest.trim_start_matches('=').to_owned(),
                _ => return Err(Error::Option(option.clone())),
            };
            bind = value.parse().map_err(|_| Error::Bind(value))?;
        }
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Ok(Self {
            base: host::base_directory(),
            listen: SocketAddr::new(bind, port),
            threads: host::threads(),
            fetch: FetchOptions {
                proxy: set("KENNEL_EGRESS_PROXY"),
                private_allowed: set("KENNEL_ALLOW_PRIVATE_URLS").is_some_and(|on| on == "1"),
            },
        })
    }
}

/// Serves until SIGTERM or SIGINT, then finishes what it has accepted. Exit code 1 where the
/// model cannot be loaded or the port not be had.
pub fn run(options: Options) -> ExitCode {
    let log = Arc::new(Log::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.threads.min(4))
        .max_blocking_threads(options.threads + 4)
        .enable_all()
        .build()
        .map_err(Error::Runtime);
    let served = runtime.and_then(|runtime| {
        let served = runtime.block_on(serve_until_signalled(options, Arc::clone(&log)));
        // Nothing that still runs may hold up the exit.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.line(&format!("Serving failed: {}.", engine::describe(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What every request needs.
struct Service {
    log: Arc<Log>,
    /// Empty until the model has answered a first picture.
    predictor: OnceLock<Predictor>,
    fetcher: fetch::Fetcher,
    requests: Semaphore,
}

async fn serve_until_signalled(options: Options, log: Arc<Log>) -> Result<(), Error> {
    let failed = |source| Error::Listen { address: options.listen, source };
    let listener = TcpListener::bind(options.listen).await.map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Runtime)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve(listener, options, stop, log).await
}

/// Serves on `listener` until `stop` is over, then finishes what it has accepted.
pub async fn serve(
    listener: TcpListener,
    options: Options,
    stop: impl Future<Output = ()>,
    log: Arc<Log>,
) -> Result<(), Error> {
    let service = Arc::new(Service {
        log: Arc::clone(&log),
        predictor: OnceLock::new(),
        fetcher: fetch::Fetcher::new(options.fetch.clone())?,
        requests: Semaphore::new(REQUESTS_MAX),
    });

    let mut loading = tokio::task::spawn_blocking({
        let (log, options) = (Arc::clone(&log), options.clone());
        move || Predictor::load(&options.base.join("model"), options.threads, &log)
    });
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut loaded = false;
    loop {
        tokio::select! {
            result = &mut loading, if !loaded => {
                loaded = true;
                let predictor = result.map_err(|_| Error::Loading)??;
                log.line(&format!(
                    "Serving {} classes on {}.",
                    predictor.labels().len(),
                    listener.local_addr().unwrap_or(options.listen)
                ));
                // It was empty: only this place fills it.
                drop(service.predictor.set(predictor));
            }
            accepted = accept(&listener, &connections) => {
                let Some((stream, permit)) = accepted else { continue };
                let connection = connection(stream, Arc::clone(&service), &graceful);
                tokio::spawn(async move {
                    connection.await;
                    drop(permit);
                });
            }
            () = &mut stop => break,
        }
    }
    log.line("Asked to stop: finishing what was accepted.");
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(DRAIN_SECS_MAX), graceful.shutdown()).await.is_err()
    {
        log.line("Some requests did not finish in time and were dropped.");
    }
    Ok(())
}

/// Waits for a free place before it accepts, so that the backlog holds whoever is too much.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(_) => {
            // Out of descriptors, most likely: others have to end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn connection(
    stream: TcpStream,
    service: Arc<Service>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Small answers should not wait for more to send.
    drop(stream.set_nodelay(true));
    let respond = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, std::convert::Infallible>(service.respond(request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEADER_SECS_MAX))
        .serve_connection(TokioIo::new(stream), respond);
    let watched = graceful.watch(connection);
    async move {
        // A connection that breaks concerns its client alone.
        drop(watched.await);
    }
}

type Answer = Response<Full<Bytes>>;

/// Why a request gets no prediction.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl Service {
    async fn respond(&self, request: Request<Incoming>) -> Answer {
        let begin = Instant::now();
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let bytes_in = content_length(&request);
        let limit = Duration::from_secs(REQUEST_SECS_MAX);
        let answer = match tokio::time::timeout(limit, self.route(request)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(refusal)) => refused(&refusal),
            Err(_) => refused(&Refusal::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("no answer within {REQUEST_SECS_MAX} s"),
            )),
        };
        // Healthy pings every few seconds would bury everything else.
        if path != "/ping" || answer.status() != StatusCode::OK {
            self.log.line(&format!(
                "{method} {} {} {} bytes {:.1} ms",
                known_path(&path),
                answer.status().as_u16(),
                bytes_in.map_or_else(|| "?".to_owned(), |bytes| bytes.to_string()),
                begin.elapsed().as_secs_f64() * 1000.0
            ));
        }
        answer
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        match (request.uri().path(), request.method()) {
            ("/ping", &Method::GET) => self.ping(),
            ("/invocations", &Method::POST) => self.invoke(request).await,
            ("/ping" | "/invocations", _) => Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "use GET /ping and POST /invocations",
            )),
            _ => Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "there is only GET /ping and POST /invocations",
            )),
        }
    }

    fn ping(&self) -> Result<Answer, Refusal> {
        self.predictor()?;
        Ok(Response::new(Full::default()))
    }

    async fn invoke(&self, request: Request<Incoming>) -> Result<Answer, Refusal> {
        let predictor = self.predictor()?;
        let (parts, body) = request.into_parts();
        let input = invocation::Input::of(parts.headers.get(CONTENT_TYPE));
        let output = invocation::Output::of(parts.headers.get(hyper::header::ACCEPT));
        let (input, output) = match (input, output) {
            (Ok(input), Ok(output)) => (input, output),
            (Err(refusal), _) | (_, Err(refusal)) => {
                drain(body).await;
                return Err(refusal);
            }
        };
        let Ok(_place) = self.requests.try_acquire() else {
            return Err(Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                format!("{REQUESTS_MAX} requests are under way: try again later"),
            ));
        };
        let body = read_body(body).await?;
        let pictures = input.pictures(body, &self.fetcher).await?;
        let mut rows = Vec::with_capacity(pictures.len());
        let several = pictures.len() > 1;
        let predictions = pictures.into_iter().map(|picture| predictor.predict(picture));
        for (index, row) in futures_in_order(predictions).await.into_iter().enumerate() {
            rows.push(row.map_err(|error| prediction_refusal(&error, several.then_some(index)))?);
        }
        Ok(json(StatusCode::OK, output.encode(&rows, predictor.labels())))
    }

    fn predictor(&self) -> Result<&Predictor, Refusal> {
        let unavailable = |message| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, message);
        let predictor = self.predictor.get().ok_or_else(|| unavailable("the model is loading"))?;
        if predictor.is_healthy() {
            Ok(predictor)
        } else {
            Err(unavailable("the engine broke down"))
        }
    }
}

/// Awaits all at once, as the predictor has its own bound; results keep their order.
async fn futures_in_order<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::future::join_all(futures).await
}

/// Reads a body away that nobody wants: a connection that is closed before its request was read
/// can lose the answer on the way.
async fn drain(mut body: Incoming) {
    let limit = Duration::from_secs(BODY_SECS_MAX);
    let drained = async { while let Some(Ok(_)) = body.frame().await {} };
    drop(tokio::time::timeout(limit, drained).await);
}

async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    // A body that says that it is too large need not be waited for.
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    let limit = Duration::from_secs(BODY_SECS_MAX);
    match tokio::time::timeout(limit, Limited::new(body, BODY_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::new(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("the body did not arrive within {BODY_SECS_MAX} s"),
        )),
    }
}

fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body has more than {BODY_BYTES_MAX} bytes"),
    )
}

fn prediction_refusal(error: &predictor::Error, index: Option<usize>) -> Refusal {
    let text = engine::describe(error);
    let text = match index {
        Some(index) => format!("instance {index}: {text}"),
        None => text,
    };
    let status = match error {
        predictor::Error::Picture(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, text)
}

fn refused(refusal: &Refusal) -> Answer {
    let body = serde_json::json!({ "error": refusal.message }).to_string();
    json(refusal.status, body)
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn content_length(request: &Request<Incoming>) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A path is the client's text: only known ones are logged as they are.
fn known_path(path: &str) -> &str {
    match path {
        "/ping" | "/invocations" => path,
        _ => "(unknown path)",
    }
}

//! The server's wiring: the one place that names concrete backends.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use kennel_exec::ProcessExecutor;
use kennel_platform::clock::{Clock, SystemClock};
use kennel_platform::{Backends, Config, Platform};
use kennel_store::SqliteRecords;
use kennel_store::lock::DataDirLock;
use kennel_store::{DiskBlobs, DiskStreams};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::crash_points;
use crate::data_dir::{DataDir, ServerFacts};
use crate::failure::{Failure, Kind};

/// What the person who starts a server may choose.
#[derive(Debug)]
pub struct Settings {
    pub data_dir: DataDir,
    pub listen: SocketAddr,
    pub account: String,
    pub region: String,
}

/// A server that answers requests.
pub struct Server {
    facts: ServerFacts,
    data_dir: DataDir,
    serving: JoinHandle<()>,
    reconciling: JoinHandle<()>,
    _lock: DataDirLock,
}

impl Server {
    /// Locks the data directory, opens the stores, binds the address, and starts to serve until
    /// `shutdown`.
    pub async fn start(settings: Settings, shutdown: CancellationToken) -> Result<Self, Failure> {
        let data_dir = settings.data_dir;
        data_dir.create()?;
        let lock = lock(&data_dir)?;
        let key = data_dir.root_key()?;
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(|error| cannot_listen(&error))?;
        let config = Config {
            account: settings.account,
            region: settings.region,
            api_endpoint: format!("http://{}", reachable(address)),
            data_dir: data_dir.path().to_path_buf(),
        };
        // Trying the sandbox out takes as long as all the rest: both go on at once.
        let trying = tokio::spawn(ProcessExecutor::new());
        let facts = ServerFacts {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            endpoint: config.api_endpoint.clone(),
            account: config.account.clone(),
            region: config.region.clone(),
            engine: engine(),
        };
        let backends = open_stores(&data_dir)?;
        let executor = trying.await.map_err(|error| failed("the executor", &error))?;
        let executor = executor.map_err(|error| failed("the executor", &error))?;
        let (backends, executor) = crash_points::wrap(backends, Arc::new(executor));
        let platform = Platform::open(config, backends, key, executor)
            .await
            .map_err(|error| failed("the platform", &error))?;
        let platform = Arc::new(platform);
        let s3 = Arc::new(kennel_api::services::s3::handler(platform.clone()));
        let gateway = Arc::new(kennel_api::Gateway::new(platform.clone(), s3));
        data_dir.write_facts(&facts)?;
        let serving = tokio::spawn(kennel_api::serve(gateway, listener, shutdown.clone()));
        let reconciling = tokio::spawn(platform.run(shutdown));
        Ok(Self { facts, data_dir, serving, reconciling, _lock: lock })
    }

    pub fn facts(&self) -> &ServerFacts {
        &self.facts
    }

    /// Resolves when requests and reconcilers have ended after the shutdown.
    pub async fn stopped(self) {
        let _ = self.serving.await;
        let _ = self.reconciling.await;
        self.data_dir.remove_facts();
    }
}

fn lock(data_dir: &DataDir) -> Result<DataDirLock, Failure> {
    DataDirLock::acquire(data_dir.path()).map_err(|error| {
        Failure::caused(Kind::Environment, "cannot lock the data directory", &error)
            .hinted("stop the server that uses it, or name another directory with --data-dir DIR")
    })
}

async fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(listen).await.map_err(|error| {
        let message = format!("cannot listen on {listen}");
        let failure = Failure::caused(Kind::Environment, &message, &error);
        if error.kind() == std::io::ErrorKind::AddrInUse {
            return failure
                .hinted("another program has the port; choose one with --listen 127.0.0.1:PORT");
        }
        failure
    })
}

/// Where workloads reach a server that listens on every address of the machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port()))
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port()))
        }
        other => other,
    }
}

fn open_stores(data_dir: &DataDir) -> Result<Backends, Failure> {
    let place = data_dir.path();
    let records = SqliteRecords::open(&place.join("records.sqlite"))
        .map_err(|error| failed("the record store", &error))?;
    let blobs =
        DiskBlobs::open(&place.join("blobs")).map_err(|error| failed("the blob store", &error))?;
    let streams = DiskStreams::open(&place.join("streams"))
        .map_err(|error| failed("the stream store", &error))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    Ok(Backends {
        records: Arc::new(records),
        blobs: Arc::new(blobs),
        streams: Arc::new(streams),
        clock,
    })
}

/// Which inference engine the native image will use, in one sentence.
fn engine() -> String {
    match kennel_vision::engine::locate() {
        Some(located) => format!("ONNX Runtime ({}, {})", located.path.display(), located.source),
        None => "rten (pure Rust; `pip install onnxruntime` brings a faster one)".to_owned(),
    }
}

fn cannot_listen(error: &std::io::Error) -> Failure {
    Failure::caused(Kind::Environment, "cannot listen", error)
}

fn failed(what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::caused(Kind::Environment, &format!("could not open {what}"), error)
}

//! The domain: what a training job, a model, an endpoint, a log stream and a session are, and the
//! reconcilers that make the world follow what was recorded.
//!
//! It speaks neither HTTP nor any AWS shape (`api` does) and starts no process itself (`exec`
//! does). Every change is a record first; every reconciler can be killed at any line and run again.

pub mod clock;
pub mod config;
pub mod driver;
pub mod endpoint;
pub mod identity;
pub mod image;
pub mod instances;
pub mod limits;
pub mod model;
pub mod names;
pub mod objects;
pub mod runs;
pub mod tags;
pub mod telemetry;
pub mod training;

use std::sync::Arc;

use kennel_exec::Executor;
use kennel_store::{Blobs, Records, Streams};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use clock::Clock;
pub use config::Config;

/// The seams a platform stands on; concrete types are chosen by the binary alone.
#[derive(Clone)]
pub struct Backends {
    pub records: Arc<dyn Records>,
    pub blobs: Arc<dyn Blobs>,
    pub streams: Arc<dyn Streams>,
    pub clock: Arc<dyn Clock>,
}

/// Every component, wired once at start.
pub struct Platform {
    pub config: Config,
    pub clock: Arc<dyn Clock>,
    pub identity: Arc<identity::Identity>,
    pub logs: Arc<telemetry::Logs>,
    pub objects: Arc<objects::Objects>,
    pub tags: Arc<tags::Tags>,
    pub runs: Arc<runs::Runs>,
    pub training: Arc<training::Training>,
    pub models: Arc<model::Models>,
    pub endpoints: Arc<endpoint::Endpoints>,
}

/// Why a platform could not be opened; says which component, its source says why.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("could not open the identities")]
    Identity(#[from] identity::Error),
    #[error("could not open the runs")]
    Runs(#[from] runs::Error),
    #[error("could not open the training jobs")]
    Training(#[from] training::Error),
    #[error("could not open the endpoints")]
    Endpoints(#[from] endpoint::Error),
}

impl Platform {
    /// Reads what is recorded; nothing moves before [`Platform::run`].
    pub async fn open(
        config: Config,
        backends: Backends,
        root_key: identity::RootKey,
        executor: Arc<dyn Executor>,
    ) -> Result<Self, OpenError> {
        let identity = Arc::new(identity::Identity::open(&backends, &config, root_key).await?);
        let logs = Arc::new(telemetry::Logs::new(backends.clone()));
        let objects = Arc::new(objects::Objects::new(backends.clone()));
        let tags = Arc::new(tags::Tags::new(&backends));
        let runs = runs::Runs::open(&backends, &config, executor, identity.clone()).await?;
        let runs = Arc::new(runs);
        let training = training::Training::new(
            &backends,
            &config,
            runs.clone(),
            objects.clone(),
            logs.clone(),
        );
        let models = model::Models::new(&config, &backends, objects.clone(), runs.clone());
        let endpoints = endpoint::Endpoints::new(&config, &backends, runs.clone(), logs.clone())?;
        Ok(Self {
            clock: backends.clock.clone(),
            training: Arc::new(training),
            models: Arc::new(models),
            endpoints: Arc::new(endpoints),
            config,
            identity,
            logs,
            objects,
            tags,
            runs,
        })
    }

    /// Runs every reconciler until `shutdown`. What runs in supervisors goes on without it.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        if let Err(error) = self.sweep_runs().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "runs that nothing owns were not reaped; the next start tries again"
            );
        }
        let mut components = JoinSet::new();
        components.spawn(self.logs.clone().run(shutdown.clone()));
        components.spawn(self.objects.clone().run(shutdown.clone()));
        components.spawn(self.runs.clone().run(shutdown.clone()));
        components.spawn(self.training.clone().run(shutdown.clone()));
        components.spawn(self.endpoints.clone().run(shutdown));
        while let Some(ended) = components.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = &error as &dyn std::error::Error, "a reconciler broke off");
            }
        }
    }

    /// Reaps the runs that an earlier server left without an owner.
    async fn sweep_runs(&self) -> Result<(), OpenError> {
        let mut wanted = self.endpoints.wanted_runs().await?;
        wanted.extend(self.training.wanted_runs().await?);
        self.runs.sweep(&wanted).await?;
        Ok(())
    }
}

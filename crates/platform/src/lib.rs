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

use kennel_store::{Blobs, Records, Streams};

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

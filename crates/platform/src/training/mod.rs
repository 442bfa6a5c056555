//! Training jobs.
//!
//! A request records what it wants ([`submit`]); the [`reconcile`]r makes it so. Every state is a
//! fact: it mirrors what the job's run reported, and `Completed` is said only after the model
//! artifact was seen in its bucket.
//!
//! ```text
//!              run started      inputs are there     workload ended      artifact seen
//!  Pending ─────────────▶ Staging ───────────▶ Running ──────────▶ Uploading ─────────▶ Completed
//!     │ no memory: waits,    │                   │                    │
//!     │ then                 │ any failure, at any time               │
//!     ├──────────────────────┴───────────────────┴────────────────────┴───────────────▶ Failed
//!     │ StopTrainingJob: Stopping, until the run ended; MaxRuntimeInSeconds
//!     └───────────────────────────────────────────────────────────────────────────────▶ Stopped
//! ```
//!
//! This module starts no process and never touches a workload's files; it speaks to [`runs`],
//! [`objects`] and [`telemetry`] through [`outside`] alone.
//!
//! [`runs`]: crate::runs
//! [`objects`]: crate::objects
//! [`telemetry`]: crate::telemetry

mod access;
pub mod job;
pub mod list;
pub mod metrics;
mod outside;
mod reconcile;
pub mod spec;
mod submit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use kennel_store::{Expect, Records, Revision, Write, records};

use crate::names::EntityName;
use crate::objects::Objects;
use crate::runs::{Refused, Runs};
use crate::telemetry::Logs;
use crate::{Backends, Clock, Config, runs};

pub use job::{Job, SecondaryStatus, State, Status, Transition};
pub use list::{Filter, Page, Position, SortBy, Summary};
pub use spec::Spec;

use outside::{Components, Outside};

pub const TABLE: &str = "training-jobs";

/// Keys of the jobs that the reconciler has still something to do for.
const ACTIVE: &str = "training-jobs-active";

/// Accepts, shows and carries out training jobs.
pub struct Training {
    config: Config,
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    outside: Arc<dyn Outside>,
    /// How far logs were read for metrics since this server started; what matters of it is in the
    /// records too.
    cursors: Mutex<HashMap<String, reconcile::Cursor>>,
}

/// A job and the revision it was read at.
struct Stored {
    job: Job,
    revision: Revision,
}

impl Training {
    pub fn new(
        backends: &Backends,
        config: &Config,
        runs: Arc<Runs>,
        objects: Arc<Objects>,
        logs: Arc<Logs>,
    ) -> Self {
        Self::on(backends, config, Arc::new(Components { runs, objects, logs }))
    }

    fn on(backends: &Backends, config: &Config, outside: Arc<dyn Outside>) -> Self {
        Self {
            config: config.clone(),
            records: Arc::clone(&backends.records),
            clock: Arc::clone(&backends.clock),
            outside,
            cursors: Mutex::default(),
        }
    }

    pub async fn get(&self, name: &EntityName) -> Result<Option<Job>, Error> {
        Ok(self.load(&name.key()).await?.map(|stored| stored.job))
    }

    /// `arn:aws:sagemaker:us-east-1:123456789012:training-job/dogs`, whether it exists or not.
    pub fn arn(&self, name: &EntityName) -> String {
        let Config { region, account, .. } = &self.config;
        format!("arn:aws:sagemaker:{region}:{account}:training-job/{}", name.key())
    }

    /// Ids of the runs that belong to a job; all others of its kind may be reaped at start.
    pub async fn wanted_runs(&self) -> Result<Vec<String>, Error> {
        let mut wanted = Vec::new();
        for key in self.active().await? {
            if let Some(stored) = self.load(&key).await? {
                wanted.push(stored.job.run_id);
            }
        }
        Ok(wanted)
    }

    async fn load(&self, key: &str) -> Result<Option<Stored>, Error> {
        let Some(record) = self.records.get(TABLE, key).await? else { return Ok(None) };
        let job = serde_json::from_slice(&record.value).map_err(Error::Record)?;
        Ok(Some(Stored { job, revision: record.revision }))
    }

    /// Fails with a conflict where the job changed since it was read.
    async fn save(&self, job: &mut Job, revision: Revision) -> Result<Revision, Error> {
        job.modified_at_ms = self.clock.now_ms().max(job.modified_at_ms);
        let write = Write::Put {
            table: TABLE,
            key: job.spec.name.key(),
            value: serde_json::to_vec(job).map_err(Error::Record)?,
            expect: Expect::Revision(revision),
        };
        Ok(self.records.commit(vec![write]).await?)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("training job `{arn}` exists")]
    Exists { arn: String },
    #[error("no training job `{}`", .0.as_str())]
    Unknown(EntityName),
    #[error("training job `{}` ended as {}", .name.as_str(), .status.as_str())]
    AlreadyEnded { name: EntityName, status: Status },
    #[error("this host cannot run it")]
    CannotRun(#[source] Refused),
    #[error("no instance type `{0}`")]
    UnknownInstanceType(String),
    #[error("the places of its data are too many or too long for one policy")]
    TooManyPlaces,
    #[error("training job `{}` changes faster than it can be written", .0.as_str())]
    Contended(EntityName),
    #[error("no id for the run")]
    RunId(#[source] runs::Error),
    #[error("the record of a training job cannot be read or written")]
    Record(#[source] serde_json::Error),
    #[error("an effect failed")]
    Outside(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("took longer than it may")]
    TimedOut,
    #[error(transparent)]
    Store(#[from] records::Error),
}

impl From<outside::Error> for Error {
    fn from(error: outside::Error) -> Self {
        Self::Outside(Box::new(error))
    }
}

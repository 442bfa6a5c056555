//! Endpoints: fleets of replicas that answer /ping, and the way of a request to one of them.
//!
//! Requests record what is wanted ([`submit`]); the [`reconcile`]r starts, watches, replaces and
//! stops replicas, each of which is a run; [`decide`] holds the state machine and its picture;
//! [`route`] chooses the replica of a request.
//!
//! Nothing here assumes a state: an endpoint is in service when every replica's /ping answered,
//! and it is gone when nothing of it runs any more.

pub mod config;
mod decide;
mod host;
pub mod listing;
mod reconcile;
pub mod record;
pub mod route;
mod spec;
mod submit;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::endpoint::listing::{Filter, Order, Page, Position, SortBy, page};
use crate::endpoint::table::Table;
use crate::model::{self, Model};
use crate::names::EntityName;
use crate::runs::{self, Runs};
use crate::telemetry::Logs;
use crate::{Backends, Clock, Config, driver};

pub use config::{EndpointConfig, Routing, VariantConfig};
pub use record::{Endpoint, Status};
pub use route::{Counts, Lease, NoRoute, Router};
pub use submit::{Desired, NewConfig, Retain};

use host::{Components, Host};

/// Waits for memory and pauses before a restart end between two changes of the records.
const TICK: Duration = Duration::from_secs(1);

pub struct Endpoints {
    config: Config,
    clock: Arc<dyn Clock>,
    endpoints: Table<Endpoint>,
    configs: Table<EndpointConfig>,
    models: Table<Model>,
    host: Arc<dyn Host>,
    /// Woken by changes of runs.
    runs_changed: tokio::sync::watch::Receiver<kennel_store::Revision>,
    router: Router,
}

impl Endpoints {
    pub fn new(
        config: &Config,
        backends: &Backends,
        runs: Arc<Runs>,
        logs: Arc<Logs>,
    ) -> Result<Self, Error> {
        let clock = Arc::clone(&backends.clock);
        Self::on(config, backends, Arc::new(Components { runs, logs, clock }))
    }

    fn on(config: &Config, backends: &Backends, host: Arc<dyn Host>) -> Result<Self, Error> {
        let mut seed = [0_u8; 8];
        getrandom::fill(&mut seed).map_err(|_| Error::Random)?;
        let records = &backends.records;
        Ok(Self {
            config: config.clone(),
            clock: Arc::clone(&backends.clock),
            endpoints: Table::new(Arc::clone(records), record::TABLE),
            configs: Table::new(Arc::clone(records), config::TABLE),
            models: Table::new(Arc::clone(records), model::TABLE),
            host,
            runs_changed: records.watch(runs::TABLE),
            router: Router::new(u64::from_le_bytes(seed)),
        })
    }

    /// Reconciles until shutdown. Replicas go on without the server and are found again.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let tables =
            vec![self.endpoints.watch(), self.runs_changed.clone(), self.router.watch_emptied()];
        driver::drive(tables, TICK, shutdown, || self.reconcile()).await;
    }

    /// Every run that endpoints answer for; at start all others are orphans.
    pub async fn wanted_runs(&self) -> Result<HashSet<String>, Error> {
        let endpoints = self.endpoints.list().await?;
        Ok(endpoints.iter().flat_map(Endpoint::run_ids).map(str::to_owned).collect())
    }

    /// A place at a replica for one request. `avoid` are runs that could not be reached.
    pub async fn lease(
        &self,
        endpoint: &str,
        target_variant: Option<&str>,
        avoid: &[String],
    ) -> Result<Result<Lease, NoRoute>, Error> {
        let key = endpoint.to_ascii_lowercase();
        match self.router.lease(&key, target_variant, avoid) {
            // Between a record and its route there is a moment; look at the record itself.
            Err(NoRoute::Endpoint) => {
                self.refresh(&key).await?;
                Ok(self.router.lease(&key, target_variant, avoid))
            }
            other => Ok(other),
        }
    }

    /// What a variant was asked since this server started.
    pub fn counts(&self, endpoint: &EntityName, variant: &str) -> Option<Arc<Counts>> {
        self.router.counts(&endpoint.key(), variant)
    }

    pub async fn get(&self, name: &EntityName) -> Result<Endpoint, Error> {
        match self.endpoints.get(&name.key()).await? {
            Some((endpoint, _)) => Ok(endpoint),
            None => Err(Error::Absent(name.clone())),
        }
    }

    pub async fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.endpoints.exists(&name.to_ascii_lowercase()).await?)
    }

    pub async fn list(
        &self,
        filter: &Filter,
        status: Option<Status>,
        order: &Order,
    ) -> Result<Page<Endpoint>, Error> {
        let mut endpoints = self.endpoints.list().await?;
        endpoints.retain(|one| {
            status.is_none_or(|status| one.status == status)
                && filter.takes(one.name.as_str(), one.created_at_ms, one.modified_at_ms)
        });
        Ok(page(endpoints, order, |endpoint| Position {
            rank: match order.by {
                SortBy::Name => 0,
                SortBy::CreationTime => endpoint.created_at_ms,
                SortBy::Status => alphabetical_rank(endpoint.status),
            },
            name: endpoint.name.key(),
        }))
    }

    pub async fn get_config(&self, name: &EntityName) -> Result<EndpointConfig, Error> {
        match self.configs.get(&name.key()).await? {
            Some((config, _)) => Ok(config),
            None => Err(Error::ConfigAbsent(name.clone())),
        }
    }

    pub async fn config_exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.configs.exists(&name.to_ascii_lowercase()).await?)
    }

    pub async fn list_configs(
        &self,
        filter: &Filter,
        order: &Order,
    ) -> Result<Page<EndpointConfig>, Error> {
        let mut configs = self.configs.list().await?;
        configs.retain(|one| filter.takes(one.name.as_str(), one.created_at_ms, one.created_at_ms));
        Ok(page(configs, order, |config| Position {
            rank: match order.by {
                SortBy::Name | SortBy::Status => 0,
                SortBy::CreationTime => config.created_at_ms,
            },
            name: config.name.key(),
        }))
    }

    pub fn arn(&self, name: &EntityName) -> String {
        self.arn_of("endpoint", name)
    }

    pub fn config_arn(&self, name: &EntityName) -> String {
        self.arn_of("endpoint-config", name)
    }

    pub fn model_arn(&self, name: &EntityName) -> String {
        self.arn_of("model", name)
    }

    /// Why a replica of this type has less here than the type promises, where it has.
    pub fn instance_note(&self, instance_type: &str) -> Option<String> {
        spec::fitted(&self.host.machine(), instance_type)?.note
    }

    fn arn_of(&self, kind: &str, name: &EntityName) -> String {
        let Config { region, account, .. } = &self.config;
        format!("arn:aws:sagemaker:{region}:{account}:{kind}/{}", name.key())
    }
}

fn alphabetical_rank(status: Status) -> i64 {
    let mut names = Status::ALL.map(Status::as_str);
    names.sort_unstable();
    let place = names.iter().position(|name| *name == status.as_str()).unwrap_or(0);
    i64::try_from(place).unwrap_or(0)
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("endpoint `{}` exists", .0.as_str())]
    Exists(EntityName),
    #[error("no endpoint `{}`", .0.as_str())]
    Absent(EntityName),
    #[error("endpoint configuration `{}` exists", .0.as_str())]
    ConfigExists(EntityName),
    #[error("no endpoint configuration `{}`", .0.as_str())]
    ConfigAbsent(EntityName),
    #[error("no model `{}`", .0.as_str())]
    ModelAbsent(EntityName),
    #[error("no variant `{}`", .0.as_str())]
    VariantAbsent(EntityName),
    #[error("a change of endpoint `{}` is under way", .0.as_str())]
    InProgress(EntityName),
    #[error("endpoint `{}` is not in service", .0.as_str())]
    NotInService(EntityName),
    #[error("no randomness for an id")]
    Random,
    #[error("the runs cannot be reached")]
    Runs(#[from] runs::Error),
    #[error(transparent)]
    Table(#[from] table::Error),
}

//! The world of the tests: records that can be cut off, runs that do what the test says.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};
use kennel_store::records::{Error as StoreError, Record, Records, Revision, Write};
use kennel_wire::run::{Outcome, StopReason};

use super::super::config::VariantConfig;
use super::super::host::{Host, Machine};
use super::super::submit::NewConfig;
use super::super::*;
use crate::clock::ManualClock;
use crate::model::{Artifact, ArtifactMember, Container};
use crate::names::{RoleArn, S3Location};
use crate::runs::{End, Run, StartRun, Started};

pub fn name(text: &str) -> EntityName {
    EntityName::parse(text).unwrap()
}

pub struct World {
    pub endpoints: Arc<Endpoints>,
    pub host: Arc<ScriptedHost>,
    pub clock: Arc<ManualClock>,
    pub backends: Backends,
    pub fuse: Arc<Fuse>,
}

impl World {
    pub fn new() -> Self {
        let fuse = Arc::new(Fuse::default());
        let clock = Arc::new(ManualClock::at_ms(1_000_000));
        let backends = Backends {
            records: Arc::new(FusedRecords { inner: MemoryRecords::new(), fuse: fuse.clone() }),
            blobs: Arc::new(MemoryBlobs::default()),
            streams: Arc::new(MemoryStreams::default()),
            clock: clock.clone(),
        };
        let host = Arc::new(ScriptedHost { fuse: fuse.clone(), ..ScriptedHost::default() });
        Self { endpoints: endpoints(&backends, &host), host, clock, backends, fuse }
    }

    /// The same records and runs, nothing else.
    pub fn restarted(self) -> Self {
        Self { endpoints: endpoints(&self.backends, &self.host), ..self }
    }

    pub async fn config(&self, config: &str, variants: &[(&str, u32)]) {
        let model = model();
        let write = self.endpoints.models.put("model", &model, kennel_store::Expect::Any).unwrap();
        self.endpoints.models.commit(vec![write]).await.unwrap();
        let variants = variants.iter().map(|(variant, instance_count)| VariantConfig {
            name: name(variant),
            model_name: name("model"),
            instance_type: "ml.t2.medium".to_owned(),
            instance_count: *instance_count,
            weight: 1.0,
            download_timeout_secs: None,
            startup_timeout_secs: None,
            routing: None,
            volume_size_gb: None,
            inference_ami_version: None,
        });
        let new = NewConfig {
            name: name(config),
            variants: variants.collect(),
            kms_key_id: None,
            tags: Vec::new(),
        };
        self.endpoints.create_config(new).await.unwrap();
    }

    pub async fn create(&self, endpoint: &str, config: &str) {
        self.endpoints.create(name(endpoint), &name(config), &[]).await.unwrap();
    }

    pub async fn in_service(&self, endpoint: &str, config: &str, instances: u32) {
        self.config(config, &[("AllTraffic", instances)]).await;
        self.create(endpoint, config).await;
        self.pass().await;
        self.host.all_ready();
        self.pass().await;
        assert_eq!(self.status(endpoint).await, Some(Status::InService));
    }

    pub async fn pass(&self) {
        self.endpoints.reconcile().await;
        self.host.finish_stopped();
        self.endpoints.reconcile().await;
    }

    pub async fn settle(&self) {
        for _ in 0..6 {
            self.pass().await;
        }
    }

    /// Passes of a world in which every run becomes ready, until something holds.
    pub async fn until(&self, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..50 {
            self.pass().await;
            self.host.all_ready();
            self.clock.advance_ms(1_000);
            if holds(self).await {
                return;
            }
        }
        panic!("it never holds: {:?}", self.get("dogs").await);
    }

    pub async fn get(&self, endpoint: &str) -> Option<Endpoint> {
        self.endpoints.get(&name(endpoint)).await.ok()
    }

    pub async fn status(&self, endpoint: &str) -> Option<Status> {
        self.get(endpoint).await.map(|endpoint| endpoint.status)
    }

    pub async fn lease(&self, endpoint: &str) -> Result<Lease, NoRoute> {
        self.endpoints.lease(endpoint, None, &[]).await.unwrap()
    }
}

fn endpoints(backends: &Backends, host: &Arc<ScriptedHost>) -> Arc<Endpoints> {
    let config = Config {
        account: "123456789012".to_owned(),
        region: "us-east-1".to_owned(),
        api_endpoint: "http://127.0.0.1:1".to_owned(),
        data_dir: PathBuf::new(),
    };
    Arc::new(Endpoints::on(&config, backends, host.clone()).unwrap())
}

fn model() -> Model {
    Model {
        name: name("model"),
        role: RoleArn::parse("arn:aws:iam::123456789012:role/kennel").unwrap(),
        container: Container {
            hostname: None,
            image: "kennel/image-classification:1".to_owned(),
            artifact: Some(Artifact {
                location: S3Location::parse("s3://models/model.tar.gz").unwrap(),
                given: ArtifactMember::ModelDataUrl,
            }),
            environment: BTreeMap::new(),
        },
        in_list: false,
        network_isolation: false,
        vpc: None,
        created_at_ms: 0,
    }
}

/// Blows once, before or after the write or effect it was set to.
#[derive(Default)]
pub struct Fuse {
    left: AtomicI64,
    after: Mutex<bool>,
}

impl Fuse {
    pub fn set(&self, point: i64, after: bool) {
        self.left.store(point + 1, Ordering::SeqCst);
        *self.after.lock().unwrap() = after;
    }

    /// `Some(after)` at the point it was set to.
    pub fn burn(&self) -> Option<bool> {
        (self.left.fetch_sub(1, Ordering::SeqCst) == 1).then(|| *self.after.lock().unwrap())
    }

    pub fn blown(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }
}

struct FusedRecords {
    inner: MemoryRecords,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Records for FusedRecords {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, StoreError> {
        self.inner.get(table, key).await
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        self.inner.list(table, prefix, start_after, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, StoreError> {
        match self.fuse.burn() {
            None => self.inner.commit(writes).await,
            Some(false) => Err(StoreError::Closed),
            Some(true) => {
                self.inner.commit(writes).await?;
                Err(StoreError::Closed)
            }
        }
    }

    fn watch(&self, table: &'static str) -> tokio::sync::watch::Receiver<Revision> {
        self.inner.watch(table)
    }
}

/// Runs that do what the test says.
#[derive(Default)]
pub struct ScriptedHost {
    fuse: Arc<Fuse>,
    runs: Mutex<HashMap<String, Run>>,
    stopped: Mutex<Vec<String>>,
    generations: Mutex<Vec<u64>>,
    lines: Mutex<Vec<String>>,
    full: Mutex<bool>,
}

impl ScriptedHost {
    /// Runs that have not ended, oldest first.
    pub fn live(&self) -> Vec<String> {
        let runs = self.runs.lock().unwrap();
        let mut live: Vec<&Run> = runs.values().filter(|run| run.end.is_none()).collect();
        live.sort_by_key(|run| run.generation);
        live.into_iter().map(|run| run.run_id.clone()).collect()
    }

    pub fn known(&self) -> Vec<String> {
        self.runs.lock().unwrap().keys().cloned().collect()
    }

    pub fn stopped(&self) -> Vec<String> {
        self.stopped.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn generations(&self) -> Vec<u64> {
        self.generations.lock().unwrap().clone()
    }

    pub fn full(&self, full: bool) {
        *self.full.lock().unwrap() = full;
    }

    pub fn ready(&self, run_id: &str) {
        self.runs.lock().unwrap().get_mut(run_id).unwrap().ready = true;
    }

    pub fn unready(&self, run_id: &str) {
        self.runs.lock().unwrap().get_mut(run_id).unwrap().ready = false;
    }

    pub fn all_ready(&self) {
        for run in self.runs.lock().unwrap().values_mut().filter(|run| run.end.is_none()) {
            run.ready = true;
        }
    }

    pub fn end(&self, run_id: &str, reason: &str) {
        let outcome = Outcome::Failed { reason: reason.to_owned() };
        self.finish(run_id, outcome);
    }

    pub fn finish_stopped(&self) {
        for run_id in self.stopped() {
            let outcome = Outcome::Stopped { reason: StopReason::Requested, artifact_bytes: None };
            self.finish(&run_id, outcome);
        }
    }

    pub fn finish(&self, run_id: &str, outcome: Outcome) {
        if let Some(run) = self.runs.lock().unwrap().get_mut(run_id)
            && run.end.is_none()
        {
            run.ready = false;
            run.end = Some(End { at_ms: 0, outcome });
        }
    }

    pub fn cut(&self, effect: impl FnOnce()) -> Result<(), runs::Error> {
        match self.fuse.burn() {
            None => effect(),
            Some(false) => return Err(runs::Error::Random),
            Some(true) => {
                effect();
                return Err(runs::Error::Random);
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Host for ScriptedHost {
    fn machine(&self) -> Machine {
        Machine { cpus: 2, memory_bytes: 8 << 30 }
    }

    async fn start(&self, start: StartRun) -> Result<Started, runs::Error> {
        if *self.full.lock().unwrap() {
            return Ok(Started::NoCapacity { needed_bytes: 2, free_bytes: 1 });
        }
        self.cut(|| {
            let run_id = start.spec.run_id.clone();
            let mut runs = self.runs.lock().unwrap();
            runs.entry(run_id.clone()).or_insert_with(|| {
                self.generations.lock().unwrap().push(start.generation);
                Run {
                    run_id,
                    owner: start.owner,
                    generation: start.generation,
                    started_at_ms: 0,
                    stages: Vec::new(),
                    ready: false,
                    not_ready_reason: None,
                    end: None,
                }
            });
        })?;
        Ok(Started::Yes)
    }

    async fn get(&self, run_id: &str) -> Result<Option<Run>, runs::Error> {
        Ok(self.runs.lock().unwrap().get(run_id).cloned())
    }

    async fn stop(&self, run_id: &str, _grace_secs: u64) -> Result<(), runs::Error> {
        self.cut(|| {
            let mut stopped = self.stopped.lock().unwrap();
            if !stopped.iter().any(|one| one == run_id) {
                stopped.push(run_id.to_owned());
            }
        })
    }

    async fn abandon(&self, run_id: &str) -> Result<(), runs::Error> {
        self.end(run_id, "abandoned");
        Ok(())
    }

    async fn forget(&self, run_id: &str) -> Result<(), runs::Error> {
        self.cut(|| drop(self.runs.lock().unwrap().remove(run_id)))
    }

    fn http_socket(&self, run_id: &str) -> PathBuf {
        PathBuf::from(run_id)
    }

    async fn open_log(&self, _group: &str, _stream: &str) {}

    async fn log(&self, _group: &str, _stream: &str, message: String) {
        self.lines.lock().unwrap().push(message);
    }
}

//! The world a training job is reconciled in: what it may do outside of its record, scripted, with
//! a place to break it before and after every effect.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};
use kennel_store::{Record, Records, Revision, Write, records};
use kennel_wire::run::{
    Channel, ChannelSource, LogTarget, Outcome, Program, S3Object, Stage, StopReason,
};
use tokio::sync::watch;

use crate::clock::ManualClock;
use crate::names::{EntityName, RoleArn, S3Location};
use crate::runs::{End, Refused, Run, StageAt, StartRun, Started};
use crate::telemetry::{LogEvent, SequencedEvent};
use crate::training::metrics::Definition;
use crate::training::outside::{Error, Host, Outside};
use crate::training::{Job, Spec, Training};
use crate::{Backends, Config};

pub const START_MS: i64 = 1_790_000_000_000;

/// Breaks the k-th effect, and everything after it, until the server "restarts".
#[derive(Default)]
pub struct Faults {
    seen: AtomicUsize,
    break_at: AtomicUsize,
    effect_happens: AtomicBool,
    dead: AtomicBool,
}

impl Faults {
    /// `effect_happens`: the process dies after the effect, before it hears of it.
    pub fn arm(&self, break_at: usize, effect_happens: bool) {
        self.break_at.store(break_at, Ordering::SeqCst);
        self.effect_happens.store(effect_happens, Ordering::SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::SeqCst)
    }

    pub fn restart(&self) {
        self.dead.store(false, Ordering::SeqCst);
    }

    /// (does the effect happen, is its answer heard)
    fn point(&self) -> (bool, bool) {
        if self.is_dead() {
            return (false, false);
        }
        let number = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        if number == self.break_at.load(Ordering::SeqCst) {
            self.dead.store(true, Ordering::SeqCst);
            return (self.effect_happens.load(Ordering::SeqCst), false);
        }
        (true, true)
    }
}

/// Records whose commits can break.
struct BreakableRecords {
    inner: MemoryRecords,
    faults: Arc<Faults>,
}

#[async_trait]
impl Records for BreakableRecords {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, records::Error> {
        self.inner.get(table, key).await
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, records::Error> {
        self.inner.list(table, prefix, start_after, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, records::Error> {
        let (happens, heard) = self.faults.point();
        if !happens {
            return Err(records::Error::Closed);
        }
        let done = self.inner.commit(writes).await;
        if heard { done } else { Err(records::Error::Closed) }
    }

    fn watch(&self, table: &'static str) -> watch::Receiver<Revision> {
        self.inner.watch(table)
    }
}

#[derive(Default)]
pub struct Facts {
    pub runs: HashMap<String, Run>,
    pub starts: Vec<StartRun>,
    pub stops: HashSet<String>,
    pub abandoned: HashSet<String>,
    pub forgotten: HashSet<String>,
    pub objects: HashMap<String, Vec<u8>>,
    pub log: Vec<LogEvent>,
    pub announced: usize,
    /// Bytes that are missing for a start, while there are any.
    pub lacking_bytes: u64,
    pub refusal: Option<Refused>,
}

pub struct World {
    pub faults: Arc<Faults>,
    pub clock: Arc<ManualClock>,
    pub facts: Arc<Mutex<Facts>>,
    backends: Backends,
}

impl World {
    pub fn new() -> Self {
        let faults = Arc::new(Faults::default());
        let clock = Arc::new(ManualClock::at_ms(START_MS));
        let records =
            Arc::new(BreakableRecords { inner: MemoryRecords::new(), faults: Arc::clone(&faults) });
        let backends = Backends {
            records,
            blobs: Arc::new(MemoryBlobs::new()),
            streams: Arc::new(MemoryStreams::default()),
            clock: clock.clone(),
        };
        Self { faults, clock, facts: Arc::default(), backends }
    }

    /// A server over what there is; an earlier one's memory is gone.
    pub fn server(&self) -> Training {
        let config = Config {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            api_endpoint: "http://127.0.0.1:4566".to_owned(),
            data_dir: PathBuf::from("/nowhere"),
        };
        let outside = Scripted { faults: Arc::clone(&self.faults), facts: Arc::clone(&self.facts) };
        Training::on(&self.backends, &config, Arc::new(outside))
    }

    pub fn backends(&self) -> Backends {
        self.backends.clone()
    }

    pub fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap()
    }

    /// A second passes, and the run of the job goes one stage on.
    pub fn advance(&self, outcome: &Outcome) {
        self.clock.advance_ms(1_000);
        let at_ms = crate::Clock::now_ms(&*self.clock);
        let mut facts = self.facts();
        let Facts { runs, stops, objects, log, .. } = &mut *facts;
        for run in runs.values_mut().filter(|run| run.end.is_none()) {
            let stopping = stops.contains(&run.run_id);
            let next = match run.stages.last().map(|at| at.stage) {
                None => Some(Stage::Downloading),
                Some(Stage::Downloading) if stopping => Some(Stage::Uploading),
                Some(Stage::Downloading) => Some(Stage::Training),
                Some(Stage::Training) => Some(Stage::Uploading),
                Some(Stage::Uploading) => None,
            };
            match next {
                Some(stage) => run.stages.push(StageAt { stage, at_ms, message: String::new() }),
                None => {
                    let outcome = if stopping {
                        Outcome::Stopped { reason: StopReason::Requested, artifact_bytes: Some(7) }
                    } else {
                        outcome.clone()
                    };
                    run.end = Some(End { at_ms, outcome });
                }
            }
            if next == Some(Stage::Training) {
                for message in ["loss=0.9", "\u{1b}[1mloss=0.5\u{1b}[0m", "done"] {
                    log.push(LogEvent { timestamp_ms: at_ms, message: message.to_owned() });
                }
            }
            if next == Some(Stage::Uploading) {
                objects.insert("out/models/dogs/output/model.tar.gz".to_owned(), Vec::new());
            }
        }
    }
}

struct Scripted {
    faults: Arc<Faults>,
    facts: Arc<Mutex<Facts>>,
}

impl Scripted {
    fn effect<T>(&self, act: impl FnOnce(&mut Facts) -> T) -> Result<T, Error> {
        let (happens, heard) = self.faults.point();
        let broken = || Error::Failed("the test's fault", "broken".into());
        if !happens {
            return Err(broken());
        }
        let done = act(&mut self.facts.lock().unwrap());
        if heard { Ok(done) } else { Err(broken()) }
    }
}

#[async_trait]
impl Outside for Scripted {
    fn can_run(&self, _program: &Program) -> Result<(), Refused> {
        Ok(())
    }

    fn host(&self) -> Host {
        Host { cpus: 2, memory_bytes: 4 << 30 }
    }

    async fn start(&self, start: StartRun) -> Result<Started, Error> {
        let refusal = self.facts.lock().unwrap().refusal.clone();
        if let Some(refused) = refusal {
            return Err(Error::Refused(refused));
        }
        self.effect(|facts| {
            if facts.lacking_bytes > 0 {
                let needed_bytes = start.spec.limits.memory_bytes;
                return Started::NoCapacity { needed_bytes, free_bytes: 1 << 20 };
            }
            let run_id = start.spec.run_id.clone();
            facts.runs.entry(run_id.clone()).or_insert_with(|| Run {
                run_id,
                owner: start.owner.clone(),
                generation: start.generation,
                started_at_ms: START_MS,
                stages: Vec::new(),
                ready: false,
                not_ready_reason: None,
                end: None,
            });
            facts.starts.push(start);
            Started::Yes
        })
    }

    async fn run(&self, run_id: &str) -> Result<Option<Run>, Error> {
        Ok(self.facts.lock().unwrap().runs.get(run_id).cloned())
    }

    async fn stop(&self, run_id: &str, _grace_secs: u64) -> Result<(), Error> {
        self.effect(|facts| facts.stops.insert(run_id.to_owned())).map(|_| ())
    }

    async fn abandon(&self, run_id: &str) -> Result<(), Error> {
        self.effect(|facts| facts.abandoned.insert(run_id.to_owned())).map(|_| ())
    }

    async fn forget(&self, run_id: &str) -> Result<(), Error> {
        self.effect(|facts| {
            facts.runs.remove(run_id);
            facts.forgotten.insert(run_id.to_owned());
        })
    }

    async fn exists(&self, object: &S3Object) -> Result<bool, Error> {
        let name = format!("{}/{}", object.bucket, object.key);
        self.effect(|facts| facts.objects.contains_key(&name))
    }

    async fn head_bytes(&self, object: &S3Object, bytes: u64) -> Result<Option<Vec<u8>>, Error> {
        let name = format!("{}/{}", object.bucket, object.key);
        let take = usize::try_from(bytes).unwrap();
        self.effect(|facts| {
            facts.objects.get(&name).map(|body| body.iter().copied().take(take).collect())
        })
    }

    async fn announce(&self, _log: &LogTarget, sentences: Vec<LogEvent>) -> Result<(), Error> {
        self.effect(|facts| {
            if facts.log.is_empty() && !sentences.is_empty() {
                facts.announced += 1;
                facts.log.extend(sentences);
            }
        })
    }

    async fn read_log(
        &self,
        _log: &LogTarget,
        sequence: u64,
        limit: usize,
    ) -> Result<Vec<SequencedEvent>, Error> {
        let facts = self.facts.lock().unwrap();
        let numbered = facts.log.iter().zip(0..).map(|(event, sequence)| SequencedEvent {
            sequence,
            timestamp_ms: event.timestamp_ms,
            ingestion_ms: 0,
            message: event.message.clone(),
        });
        Ok(numbered.filter(|event| event.sequence >= sequence).take(limit).collect())
    }
}

pub fn name(text: &str) -> EntityName {
    EntityName::parse(text).unwrap()
}

pub fn spec(job: &str) -> Spec {
    Spec {
        name: name(job),
        role_arn: RoleArn::parse("arn:aws:iam::123456789012:role/Trainer").unwrap(),
        program: Program::ImageClassification,
        hyperparameters: BTreeMap::new(),
        environment: BTreeMap::new(),
        channels: vec![Channel {
            name: "train".to_owned(),
            source: ChannelSource::Prefix {
                bucket: "photos".to_owned(),
                prefix: "dogs/train/".to_owned(),
            },
            content_type: None,
            gzip: false,
        }],
        output: S3Location::parse("s3://out/models/").unwrap(),
        kms_key_id: None,
        checkpoints: None,
        instance_type: "ml.m5.xlarge".to_owned(),
        max_runtime_secs: 3_600,
        max_wait_secs: None,
        max_pending_secs: None,
        network_isolation: false,
        metrics: vec![Definition { name: "loss".to_owned(), regex: "loss=([0-9.]+)".to_owned() }],
        request: serde_json::json!({ "TrainingJobName": job }),
    }
}

pub fn completed() -> Outcome {
    Outcome::Completed { artifact_bytes: 7 }
}

/// Reconciles and lets time pass until there is nothing more to do for any job.
pub async fn run_to_end(world: &World, server: &Training, outcome: &Outcome) -> Job {
    for _ in 0..20 {
        server.reconcile().await;
        if server.active().await.unwrap().is_empty() {
            return server.get(&name("dogs")).await.unwrap().unwrap();
        }
        world.advance(outcome);
    }
    panic!("the job does not end: {:?}", server.get(&name("dogs")).await.unwrap());
}

pub fn statuses(job: &Job) -> Vec<&'static str> {
    job.transitions.iter().map(|transition| transition.status.as_str()).collect()
}

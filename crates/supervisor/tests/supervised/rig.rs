//! A server's side for one supervisor, played by the test.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_exec::mailbox::{self, Delivery, Mailbox, Verifier};
use kennel_exec::run_dir::{self, Host};
use kennel_exec::{Executor, Launch, ProcessExecutor, Token};
use kennel_wire::run::{
    Channel, ChannelSource, Credentials, Event, Limits, LogTarget, Order, Outcome, Program, Report,
    RunSpec, S3Object, TrainingWork, Work, layout,
};
use libtest_mimic::{Failed, Trial};
use tokio::sync::mpsc;

use crate::aws::Aws;

/// Long enough for any machine; reached only by a failure.
pub const DEADLINE: Duration = Duration::from_secs(60);

pub fn trial<T>(name: &str, body: fn() -> T) -> Trial
where
    T: Future<Output = ()> + Send + 'static,
{
    Trial::test(name.to_owned(), move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let ended = tokio::time::timeout(DEADLINE, body()).await;
            ended.map_err(|_| Failed::from("deadline reached"))
        })
    })
}

struct Door(Token);

#[async_trait]
impl Verifier for Door {
    async fn verify(&self, _run_id: &str, token: &Token) -> bool {
        self.0.matches(token.expose())
    }
}

pub struct Rig {
    pub aws: Aws,
    pub executor: ProcessExecutor,
    pub run_dir: PathBuf,
    pub spec: RunSpec,
    pub token: Token,
    mailbox: Mailbox,
    deliveries: mpsc::Receiver<Delivery>,
    pub reports: Vec<Report>,
    _dir: tempfile::TempDir,
}

impl Rig {
    pub async fn new(work: Work) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let aws = Aws::default();
        let endpoint = aws.serve().await;
        let token = Token::generate().unwrap();
        let door = Arc::new(Door(token.clone()));
        let (mailbox, deliveries) = Mailbox::bind(&dir.path().join("mailbox.sock"), door).unwrap();
        let spec = RunSpec {
            run_id: "0123456789abcdef0123456789abcdef".to_owned(),
            generation: 1,
            api_endpoint: endpoint,
            region: "us-east-1".to_owned(),
            current_host: "algo-1".to_owned(),
            hosts: vec!["algo-1".to_owned()],
            instance_type: "ml.m5.large".to_owned(),
            limits: Limits { vcpus: 1, memory_bytes: 1 << 30, processes: 256 },
            log: LogTarget { group: "g".to_owned(), stream: "s".to_owned() },
            program: Program::ImageClassification,
            environment: BTreeMap::new(),
            network_isolation: false,
            work,
        };
        Self {
            aws,
            executor: ProcessExecutor::new().await.unwrap(),
            run_dir: dir.path().join("runs").join(&spec.run_id),
            spec,
            token,
            mailbox,
            deliveries,
            reports: Vec::new(),
            _dir: dir,
        }
    }

    /// Starts the supervisor, in whatever an earlier one left.
    pub async fn start(&self) -> u32 {
        run_dir::create(&self.run_dir).await.unwrap();
        let spec = serde_json::to_vec(&self.spec).unwrap();
        run_dir::write(&self.run_dir, layout::SPEC, &spec).await.unwrap();
        let host = Host {
            mailbox: self._dir.path().join("mailbox.sock"),
            isolation: self.executor.capability().isolation,
            allow_weaker_isolation: false,
        };
        let host = serde_json::to_vec(&host).unwrap();
        run_dir::write(&self.run_dir, run_dir::HOST, &host).await.unwrap();
        let launch = Launch {
            run_id: self.spec.run_id.clone(),
            run_dir: self.run_dir.clone(),
            token: self.token.clone(),
            args: Vec::new(),
        };
        self.executor.start(launch).await.unwrap().pid
    }

    pub async fn order(&self, order: &Order) {
        let frame = serde_json::to_vec(order).unwrap();
        self.mailbox.send(&self.spec.run_id, &frame).await.unwrap();
    }

    /// Welcomes, acknowledges, and gives the next new report.
    pub async fn next(&mut self) -> Event {
        loop {
            let delivery = self.deliveries.recv().await.unwrap();
            let mailbox::Event::Frame(frame) = delivery.event else { continue };
            let report: Report = serde_json::from_slice(&frame).unwrap();
            if let Event::Hello { .. } = report.event {
                self.order(&Order::Welcome { credentials: credentials() }).await;
                continue;
            }
            self.order(&Order::Acknowledged { sequence: report.sequence }).await;
            if self.reports.iter().all(|known| known.sequence != report.sequence) {
                self.reports.push(report.clone());
                return report.event;
            }
        }
    }

    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }

    /// The outcome, once the supervisor is gone as well.
    pub async fn outcome(&mut self) -> Outcome {
        let ended = self.until(|event| matches!(event, Event::Ended { .. })).await;
        self.executor.gone(&self.run_dir).await;
        let Event::Ended { outcome } = ended else { panic!() };
        outcome
    }

    /// Waits until the workload printed the line.
    pub async fn printed(&self, line: &str) {
        while !self.aws.lines().iter().any(|printed| printed == line) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn credentials() -> Credentials {
    Credentials {
        access_key_id: "ASIAEXAMPLE".to_owned(),
        secret_access_key: "fake-secret".to_owned(),
        session_token: "fake-token".to_owned(),
        expires_at_ms: 4_102_444_800_000,
    }
}

/// A job that does what the workload of this name does.
pub fn training(what: &str) -> TrainingWork {
    let object = |key: &str| S3Object { bucket: "out".to_owned(), key: key.to_owned() };
    TrainingWork {
        job_name: "job".to_owned(),
        job_arn: "arn".to_owned(),
        hyperparameters: BTreeMap::from([("do".to_owned(), what.to_owned())]),
        channels: Vec::new(),
        model_artifact: object("model.tar.gz"),
        output_artifact: object("output.tar.gz"),
        checkpoints: None,
        kms_key_id: None,
        max_runtime_secs: 50,
    }
}

pub fn channel(bucket: &str, prefix: &str) -> Channel {
    Channel {
        name: "train".to_owned(),
        source: ChannelSource::Prefix { bucket: bucket.to_owned(), prefix: prefix.to_owned() },
        content_type: None,
        gzip: false,
    }
}

/// Names and contents of an archive's files.
pub fn unpack(packed: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        files.insert(entry.path().unwrap().display().to_string(), text);
    }
    files
}

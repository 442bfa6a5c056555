use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kennel_exec::mailbox::{Client, Incoming};
use kennel_exec::{Launch, Script, ScriptedExecutor};
use kennel_wire::run::{
    Event, Limits, LogTarget, Order, Outcome, Program, Report, RunSpec, S3Object, Stage,
    StopReason, TrainingWork, Work,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::ManualClock;
use crate::identity::RootKey;

const ROLE: &str = "arn:aws:iam::123456789012:role/Trainer";
const WAIT: Duration = Duration::from_secs(20);

/// A server's part of the world; `stores` outlive it.
struct Server {
    runs: Arc<Runs>,
    identity: Arc<Identity>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

struct World {
    backends: Backends,
    clock: Arc<ManualClock>,
    config: Config,
    executor: Arc<ScriptedExecutor>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at_ms(1_000_000));
        let backends = Backends {
            records: Arc::new(kennel_store::memory::MemoryRecords::default()),
            blobs: Arc::new(kennel_store::memory::MemoryBlobs::default()),
            streams: Arc::new(kennel_store::memory::MemoryStreams::default()),
            clock: clock.clone(),
        };
        let config = Config {
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
            api_endpoint: "http://127.0.0.1:1".to_owned(),
            data_dir: dir.path().to_owned(),
        };
        Self { backends, clock, config, executor: Arc::new(ScriptedExecutor::new()), _dir: dir }
    }

    async fn serve(&self) -> Server {
        let root = RootKey::random().unwrap();
        let identity = Identity::open(&self.backends, &self.config, root).await.unwrap();
        let identity = Arc::new(identity);
        let executor = Arc::clone(&self.executor) as Arc<dyn Executor>;
        let runs =
            Runs::open(&self.backends, &self.config, executor, identity.clone()).await.unwrap();
        let runs = Arc::new(runs);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(Arc::clone(&runs).run(shutdown.clone()));
        Server { runs, identity, shutdown, task }
    }

    /// The newest supervisor's launch, once there are `count`.
    async fn launched(&self, count: usize) -> Launch {
        until(|| async { self.executor.started().get(count - 1).cloned() }).await
    }

    fn connect(&self, launch: &Launch) -> Supervisor {
        let mailbox = self.config.data_dir.join(MAILBOX);
        let (client, incoming) =
            Client::connect(mailbox, launch.run_id.clone(), launch.token.clone());
        Supervisor { client, incoming }
    }
}

impl Server {
    async fn stop(self) {
        self.shutdown.cancel();
        timeout(WAIT, self.task).await.unwrap().unwrap();
    }

    async fn get(&self, run_id: &str) -> Run {
        self.runs.get(run_id).await.unwrap().unwrap()
    }

    async fn ended(&self, run_id: &str) -> Outcome {
        until(|| async { self.get(run_id).await.end }).await.outcome
    }
}

/// A supervisor played by the test.
struct Supervisor {
    client: Client,
    incoming: mpsc::Receiver<Incoming>,
}

impl Supervisor {
    async fn say(&self, generation: u64, sequence: u64, event: Event) {
        let report = Report { generation, sequence, at_ms: 5, event };
        let frame = serde_json::to_vec(&report).unwrap();
        timeout(WAIT, self.client.send(&frame)).await.unwrap().unwrap();
    }

    async fn hello(&mut self) -> kennel_wire::run::Credentials {
        self.say(1, 0, Event::Hello { pid: 1 }).await;
        match self.order().await {
            Order::Welcome { credentials } => credentials,
            other => panic!("{other:?}"),
        }
    }

    async fn order(&mut self) -> Order {
        loop {
            let incoming = timeout(WAIT, self.incoming.recv()).await.unwrap().unwrap();
            if let Incoming::Frame(frame) = incoming {
                return serde_json::from_slice(&frame).unwrap();
            }
        }
    }
}

async fn until<T, F: Future<Output = Option<T>>>(mut look: impl FnMut() -> F) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(WAIT, looking).await.expect("it should have happened by now")
}

fn start_run(run_id: &str, memory_bytes: u64) -> StartRun {
    let object = || S3Object { bucket: "b".to_owned(), key: "k".to_owned() };
    StartRun {
        owner: Owner { kind: OwnerKind::TrainingJob, name: "job".to_owned() },
        generation: 1,
        role_arn: ROLE.to_owned(),
        session_name: "job".to_owned(),
        policies: Vec::new(),
        spec: RunSpec {
            run_id: run_id.to_owned(),
            generation: 0,
            api_endpoint: String::new(),
            region: String::new(),
            current_host: "algo-1".to_owned(),
            hosts: vec!["algo-1".to_owned()],
            instance_type: "ml.m5.large".to_owned(),
            limits: Limits { vcpus: 2, memory_bytes, processes: 100 },
            log: LogTarget { group: "g".to_owned(), stream: "s".to_owned() },
            program: Program::ImageClassification,
            environment: BTreeMap::new(),
            network_isolation: false,
            work: Work::Training(TrainingWork {
                job_name: "job".to_owned(),
                job_arn: "arn".to_owned(),
                hyperparameters: BTreeMap::new(),
                channels: Vec::new(),
                model_artifact: object(),
                output_artifact: object(),
                checkpoints: None,
                kms_key_id: None,
                max_runtime_secs: 60,
            }),
        },
    }
}

fn stage(stage: Stage) -> Event {
    Event::Stage { stage, message: "m".to_owned() }
}

fn completed() -> Outcome {
    Outcome::Completed { artifact_bytes: 7 }
}

#[tokio::test]
async fn a_run_is_started_once_and_its_reports_are_recorded_before_they_are_acknowledged() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    for _ in 0..2 {
        let started = server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
        assert_eq!(started, Started::Yes);
    }
    let launch = world.launched(1).await;
    let spec = tokio::fs::read(launch.run_dir.join(layout::SPEC)).await.unwrap();
    let spec: RunSpec = serde_json::from_slice(&spec).unwrap();
    assert_eq!((spec.generation, spec.region.as_str()), (1, "us-east-1"));

    let mut supervisor = world.connect(&launch);
    let credentials = supervisor.hello().await;
    assert!(server.identity.find_key(&credentials.access_key_id).await.unwrap().is_some());
    supervisor.say(1, 1, stage(Stage::Downloading)).await;
    assert_eq!(supervisor.order().await, Order::Acknowledged { sequence: 1 });
    assert_eq!(server.get(&run_id).await.stages.len(), 1);
    // Sent again, as after a broken connection: nothing changes.
    supervisor.say(1, 1, stage(Stage::Downloading)).await;
    assert_eq!(supervisor.order().await, Order::Acknowledged { sequence: 1 });
    assert_eq!(server.get(&run_id).await.stages.len(), 1);

    supervisor.say(1, 2, Event::Ended { outcome: completed() }).await;
    assert_eq!(supervisor.order().await, Order::Acknowledged { sequence: 2 });
    assert_eq!(server.get(&run_id).await.end.unwrap().outcome, completed());
    world.executor.end(&launch.run_dir);
    until(|| async {
        let key = server.identity.find_key(&credentials.access_key_id).await.unwrap();
        key.is_none().then_some(())
    })
    .await;
    assert_eq!(world.executor.started().len(), 1);

    server.runs.forget(&run_id).await.unwrap();
    until(|| async { server.runs.get(&run_id).await.unwrap().is_none().then_some(()) }).await;
    assert!(!launch.run_dir.exists());
    server.runs.forget(&run_id).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_late_message_of_an_older_generation_changes_nothing() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    let mut start = start_run(&run_id, 1 << 30);
    start.generation = 2;
    server.runs.start(start).await.unwrap();
    let launch = world.launched(1).await;
    let mut supervisor = world.connect(&launch);
    supervisor.say(1, 1, Event::Ended { outcome: completed() }).await;
    assert_eq!(supervisor.order().await, Order::Abandon);
    assert!(server.get(&run_id).await.end.is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_token_is_refused() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let mut launch = world.launched(1).await;
    launch.token = kennel_exec::Token::generate().unwrap();
    let supervisor = world.connect(&launch);
    until(|| async { supervisor.client.refused().then_some(()) }).await;
    server.stop().await;
}

#[tokio::test]
async fn a_supervisor_that_keeps_vanishing_fails_the_run() {
    let world = World::new();
    world.executor.on_start(|_| Script::EndAtOnce);
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let Outcome::Failed { reason } = server.ended(&run_id).await else { panic!() };
    assert_eq!(reason, "InternalServerError: the host's supervisor ended unexpectedly");
    assert_eq!(world.executor.started().len(), 3);
    assert!(world.executor.reaped().contains(&world.executor.started()[0].run_dir));
    server.stop().await;
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_started_fails_the_run_in_the_end() {
    let world = World::new();
    world.executor.on_start(|_| Script::FailToStart("no processes left".to_owned()));
    let server = world.serve().await;
    let runs = Arc::clone(&server.runs);
    server.stop().await;
    let run_id = Runs::new_id().unwrap();
    runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    for _ in 1..crate::limits::RUN_START_FAILURES_MAX {
        assert!(runs.step(&run_id).await.is_err());
        assert!(runs.get(&run_id).await.unwrap().unwrap().end.is_none());
    }
    runs.step(&run_id).await.unwrap();
    let end = runs.get(&run_id).await.unwrap().unwrap().end.unwrap();
    let Outcome::Failed { reason } = end.outcome else { panic!() };
    assert!(reason.contains("cannot be started"), "{reason}");
}

#[tokio::test]
async fn a_server_that_keeps_dying_before_the_start_costs_the_run_nothing() {
    let world = World::new();
    let server = world.serve().await;
    let runs = Arc::clone(&server.runs);
    server.stop().await;
    let run_id = Runs::new_id().unwrap();
    runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    runs.step(&run_id).await.unwrap();
    let launch = world.launched(1).await;
    world.executor.end(&launch.run_dir);
    // It found the loss and died before it had started a successor, many times.
    world.executor.on_start(|_| Script::FailToStart("killed".to_owned()));
    for _ in 0..5 {
        assert!(runs.step(&run_id).await.is_err());
    }
    world.executor.on_start(|_| Script::Run);
    runs.step(&run_id).await.unwrap();
    assert!(runs.get(&run_id).await.unwrap().unwrap().end.is_none());
}

#[tokio::test]
async fn a_successor_may_say_what_a_lost_supervisor_left_unsaid() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let first = world.launched(1).await;
    world.executor.end(&first.run_dir);
    let second = world.launched(2).await;
    assert!(first.token.expose() != second.token.expose());
    let mut supervisor = world.connect(&second);
    supervisor.hello().await;
    supervisor.say(1, 1, Event::Ended { outcome: completed() }).await;
    assert_eq!(server.ended(&run_id).await, completed());
    server.stop().await;
}

#[tokio::test]
async fn a_restarted_server_adopts_the_run() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let launch = world.launched(1).await;
    let mut supervisor = world.connect(&launch);
    let before = supervisor.hello().await;
    server.stop().await;

    let server = world.serve().await;
    server.runs.sweep(&HashSet::from([run_id.clone()])).await.unwrap();
    until(|| async { supervisor.client.server_away().is_none().then_some(()) }).await;
    let after = supervisor.hello().await;
    assert_eq!(before, after, "the session is good for a while yet");
    supervisor.say(1, 1, stage(Stage::Training)).await;
    until(|| async { server.get(&run_id).await.stage_at_ms(Stage::Training) }).await;
    assert_eq!(world.executor.started().len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn runs_without_an_owner_are_swept() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let launch = world.launched(1).await;
    server.runs.sweep(&HashSet::new()).await.unwrap();
    until(|| async { server.runs.get(&run_id).await.unwrap().is_none().then_some(()) }).await;
    assert!(world.executor.reaped().contains(&launch.run_dir));
    assert!(!launch.run_dir.exists());
    server.stop().await;
}

#[tokio::test]
async fn a_stop_reaches_a_supervisor_that_connects_later_and_is_delivered_at_once_otherwise() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let launch = world.launched(1).await;
    let mut supervisor = world.connect(&launch);
    supervisor.hello().await;
    server.runs.stop(&run_id, 9).await.unwrap();
    assert_eq!(supervisor.order().await, Order::Stop { grace_secs: 9 });
    drop(supervisor);
    let mut supervisor = world.connect(&launch);
    supervisor.hello().await;
    assert_eq!(supervisor.order().await, Order::Stop { grace_secs: 9 });
    server.stop().await;
}

#[tokio::test]
async fn a_run_stopped_before_it_was_started_never_starts() {
    let world = World::new();
    let server = world.serve().await;
    server.shutdown.cancel();
    let runs = Arc::clone(&server.runs);
    server.task.await.unwrap();
    let run_id = Runs::new_id().unwrap();
    runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    runs.stop(&run_id, 1).await.unwrap();
    drop(runs);
    let server = world.serve().await;
    let reason = StopReason::Requested;
    assert_eq!(server.ended(&run_id).await, Outcome::Stopped { reason, artifact_bytes: None });
    assert!(world.executor.started().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_abandoned_run_is_killed() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let launch = world.launched(1).await;
    server.runs.abandon(&run_id).await.unwrap();
    assert!(matches!(server.ended(&run_id).await, Outcome::Stopped { artifact_bytes: None, .. }));
    assert!(world.executor.reaped().contains(&launch.run_dir));
    server.stop().await;
}

#[tokio::test]
async fn what_exceeds_the_host_waits_until_a_run_ends() {
    let world = World::new();
    let server = world.serve().await;
    let (first, second) = (Runs::new_id().unwrap(), Runs::new_id().unwrap());
    let ten_gib = 10 << 30;
    assert_eq!(server.runs.start(start_run(&first, ten_gib)).await.unwrap(), Started::Yes);
    assert_eq!(
        server.runs.start(start_run(&second, ten_gib)).await.unwrap(),
        Started::NoCapacity { needed_bytes: ten_gib, free_bytes: 6 << 30 }
    );
    assert!(server.runs.get(&second).await.unwrap().is_none());
    server.stop().await;
    // What runs is counted after a restart, too.
    let server = world.serve().await;
    let refused = server.runs.start(start_run(&second, ten_gib)).await.unwrap();
    assert!(matches!(refused, Started::NoCapacity { .. }));
    server.runs.abandon(&first).await.unwrap();
    server.ended(&first).await;
    until(|| async {
        let started = server.runs.start(start_run(&second, ten_gib)).await.unwrap();
        (started == Started::Yes).then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_session_near_its_end_is_renewed() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    server.runs.start(start_run(&run_id, 1 << 30)).await.unwrap();
    let launch = world.launched(1).await;
    let mut supervisor = world.connect(&launch);
    let first = supervisor.hello().await;
    world.clock.advance_ms(2_000_000);
    // Any change of the record wakes the keeper.
    supervisor.say(1, 1, stage(Stage::Downloading)).await;
    let renewed = loop {
        match supervisor.order().await {
            Order::Renew { credentials } => break credentials,
            Order::Acknowledged { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(first.access_key_id, renewed.access_key_id);
    assert!(server.identity.find_key(&first.access_key_id).await.unwrap().is_some());
    server.stop().await;
}

#[tokio::test]
async fn a_role_that_is_no_role_fails_the_run() {
    let world = World::new();
    let server = world.serve().await;
    let run_id = Runs::new_id().unwrap();
    let mut start = start_run(&run_id, 1 << 30);
    start.role_arn = "arn:aws:iam::999999999999:role/Other".to_owned();
    server.runs.start(start).await.unwrap();
    let launch = world.launched(1).await;
    let supervisor = world.connect(&launch);
    supervisor.say(1, 0, Event::Hello { pid: 1 }).await;
    let Outcome::Failed { reason } = server.ended(&run_id).await else { panic!() };
    assert!(reason.starts_with("ClientError: "), "{reason}");
    server.stop().await;
}

#[tokio::test]
async fn a_run_id_that_is_a_path_is_refused() {
    let world = World::new();
    let server = world.serve().await;
    let id = "../".repeat(10) + "xx";
    assert!(matches!(server.runs.start(start_run(&id, 1)).await, Err(Error::RunId(_))));
    assert!(!server.runs.http_socket(&Runs::new_id().unwrap()).starts_with(Path::new("/proc")));
    server.stop().await;
}

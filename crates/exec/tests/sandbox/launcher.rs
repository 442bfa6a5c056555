//! Supervisors that outlive their server, are found again, and leave nothing behind.

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use kennel_exec::{
    Executor, Isolation, Launch, LaunchError, Needs, Presence, ProcessExecutor, Program, Sandbox,
    SandboxSpec, Token, Trust,
};
use libtest_mimic::Trial;

use super::rig::{is_namespaces, runtime, trial, until};
use super::workload;

pub const VERB: &str = "__test-supervise";

pub fn trials(isolation: Isolation) -> Vec<Trial> {
    vec![
        trial("supervisor_is_started_once_and_found_again", isolation, started_once),
        trial("token_is_nowhere_to_be_read", isolation, token_is_hidden),
        trial("supervisor_outlives_the_server_that_started_it", isolation, outlives),
        trial("sandbox_ends_with_its_supervisor", isolation, ends_together),
        trial("reaping_ends_supervisor_sandbox_and_limits", isolation, reaping),
        trial("supervisor_that_does_not_take_over_is_an_error", isolation, not_taken_over),
        trial("capability_says_what_may_run", isolation, capability),
    ]
}

/// The supervisor's side: takes over, and does what the words say.
pub fn supervise(run_dir: &Path, words: &[&str]) -> ExitCode {
    if words == ["refuse"] {
        return ExitCode::FAILURE;
    }
    let entry = match kennel_exec::enter_supervisor(run_dir) {
        Ok(entry) => entry,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    fs::write(run_dir.join("token-seen"), entry.token.to_hex()).unwrap();
    if let ["sandbox", isolation, marker] = words {
        let isolation: Isolation = serde_json::from_str(isolation).unwrap();
        let mut spec = SandboxSpec::new(run_dir.to_owned(), isolation, Program::Own);
        spec.args = vec![workload::VERB.to_owned(), "sleep".to_owned(), (*marker).to_owned()];
        runtime().block_on(async {
            let mut child = Sandbox::start(spec).await.unwrap();
            fs::write(run_dir.join("sandbox-started"), "").unwrap();
            child.wait().await;
        });
        return ExitCode::SUCCESS;
    }
    loop {
        std::thread::park();
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    executor: ProcessExecutor,
}

impl Fixture {
    async fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            executor: ProcessExecutor::with_verb(VERB).await.unwrap(),
        }
    }

    fn launch(&self, words: &[&str]) -> Launch {
        Launch {
            run_id: "run-1".to_owned(),
            run_dir: self.dir.path().to_owned(),
            token: Token::from_bytes([0xab; 32]),
            args: words.iter().map(Into::into).collect(),
        }
    }

    async fn reap(&self) {
        self.executor.reap(self.dir.path()).await.unwrap();
    }
}

async fn started_once(_: Isolation) {
    let fixture = Fixture::new().await;
    let run_dir = fixture.dir.path();
    assert_eq!(fixture.executor.find(run_dir).await.unwrap(), Presence::Never);
    let (first, second) = tokio::join!(
        fixture.executor.start(fixture.launch(&[])),
        fixture.executor.start(fixture.launch(&[]))
    );
    let supervisor = first.unwrap();
    assert_eq!(second.unwrap(), supervisor);
    assert_eq!(fixture.executor.start(fixture.launch(&[])).await.unwrap(), supervisor);
    assert_eq!(fixture.executor.find(run_dir).await.unwrap(), Presence::Alive(supervisor.clone()));
    assert_eq!(supervisor.run_id, "run-1");
    let reaped = fixture.executor.reap(run_dir).await.unwrap();
    assert!(reaped.supervisor_killed);
    assert_eq!(fixture.executor.find(run_dir).await.unwrap(), Presence::Ended(supervisor));
    fixture.executor.gone(run_dir).await;
    assert!(!fixture.executor.reap(run_dir).await.unwrap().supervisor_killed);
}

async fn token_is_hidden(_: Isolation) {
    let fixture = Fixture::new().await;
    let supervisor = fixture.executor.start(fixture.launch(&[])).await.unwrap();
    let token = Token::from_bytes([0xab; 32]).to_hex();
    let seen = fixture.dir.path().join("token-seen");
    until("the supervisor has written what it was given", || {
        fs::read_to_string(&seen).is_ok_and(|text| text == token)
    })
    .await;
    fs::remove_file(&seen).unwrap();
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", supervisor.pid)).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&bytes).contains(&token), "{file}");
    }
    for entry in fs::read_dir(fixture.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        assert!(
            !String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(&token),
            "{}",
            path.display()
        );
    }
    fixture.reap().await;
}

/// Plays a server that starts a supervisor and is killed.
async fn outlives(_: Isolation) {
    let fixture = Fixture::new().await;
    let status = Command::new(std::env::current_exe().unwrap())
        .args([workload::VERB, "server", fixture.dir.path().to_str().unwrap()])
        .status()
        .unwrap();
    assert!(!status.success(), "the server was killed");
    let found = fixture.executor.find(fixture.dir.path()).await.unwrap();
    assert!(matches!(found, Presence::Alive(_)), "{found:?}");
    assert!(fixture.executor.reap(fixture.dir.path()).await.unwrap().supervisor_killed);
}

/// What that server does.
pub fn serve_and_die(run_dir: &str) -> ! {
    runtime().block_on(async {
        let executor = ProcessExecutor::with_verb(VERB).await.unwrap();
        let launch = Launch {
            run_id: "run-1".to_owned(),
            run_dir: run_dir.into(),
            token: Token::generate().unwrap(),
            args: Vec::new(),
        };
        executor.start(launch).await.unwrap();
    });
    kennel_exec::die()
}

fn marked(marker: &str) -> Vec<i32> {
    let entries = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    entries
        .filter_map(|name| name.parse::<i32>().ok())
        .filter(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains(marker) && line.contains(workload::VERB)
        })
        .collect()
}

async fn with_sandbox(isolation: Isolation, marker: &str) -> (Fixture, u32) {
    let fixture = Fixture::new().await;
    let isolation = serde_json::to_string(&isolation).unwrap();
    let launch = fixture.launch(&["sandbox", &isolation, marker]);
    let supervisor = fixture.executor.start(launch).await.unwrap();
    let started = fixture.dir.path().join("sandbox-started");
    until("the sandbox has started", || started.exists()).await;
    assert_eq!(marked(marker).len(), 1);
    (fixture, supervisor.pid)
}

async fn ends_together(isolation: Isolation) {
    let marker = format!("together-{}", std::process::id());
    let (fixture, pid) = with_sandbox(isolation, &marker).await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    fixture.executor.gone(fixture.dir.path()).await;
    until("the workload has ended", || marked(&marker).is_empty()).await;
    fixture.reap().await;
}

async fn reaping(isolation: Isolation) {
    let marker = format!("reaping-{}", std::process::id());
    let (fixture, _) = with_sandbox(isolation, &marker).await;
    let record = fs::read_to_string(fixture.dir.path().join("sandbox.json")).unwrap();
    let record: serde_json::Value = serde_json::from_str(&record).unwrap();
    let reaped = fixture.executor.reap(fixture.dir.path()).await.unwrap();
    assert!(reaped.supervisor_killed);
    assert!(marked(&marker).is_empty(), "nothing lives when reap returns");
    for group in record["cgroups"].as_array().unwrap() {
        assert!(!Path::new(group.as_str().unwrap()).exists(), "{group}");
    }
    assert!(!fixture.dir.path().join("sandbox.json").exists());
}

async fn not_taken_over(_: Isolation) {
    let fixture = Fixture::new().await;
    let error = fixture.executor.start(fixture.launch(&["refuse"])).await.unwrap_err();
    assert!(matches!(error, LaunchError::NotTakenOver { .. }), "{error}");
    assert_eq!(fixture.executor.find(fixture.dir.path()).await.unwrap(), Presence::Never);
}

async fn capability(isolation: Isolation) {
    let fixture = Fixture::new().await;
    let found = fixture.executor.capability();
    assert_eq!(found.isolation, isolation);
    assert!(found.cpus > 0 && found.memory_bytes > 0);
    assert!(!found.isolation_reason.is_empty() && !found.limiter_reason.is_empty());
    println!("isolation: {} ({})", found.isolation, found.isolation_reason);
    println!("limiter: {} ({})", found.limiter, found.limiter_reason);
    let needs = |trust, allow_weaker_isolation| Needs { trust, allow_weaker_isolation };
    assert!(fixture.executor.admit(&needs(Trust::OwnCode, false)).is_ok());
    assert!(fixture.executor.admit(&needs(Trust::Foreign, true)).is_ok());
    let foreign = fixture.executor.admit(&needs(Trust::Foreign, false));
    assert_eq!(foreign.is_ok(), is_namespaces(isolation));
    if let Err(refusal) = foreign {
        assert!(refusal.remedy.contains("allow_weaker_isolation"), "{refusal}");
    }
}

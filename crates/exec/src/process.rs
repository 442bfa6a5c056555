//! The launcher: starts supervisors as processes that outlive the server, and finds them again.
//!
//! ```text
//! server: spawn ── hello {run id, token} ──> supervisor: lock, record, own session
//!         start returns <── acknowledgement ──┘
//! ```
//! The supervisor writes its record itself, under a lock that it holds for its life: a server that
//! is killed anywhere in between leaves either a supervisor that says who it is, or none.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use rustix::fs::FlockOperation;
use rustix::process::{DumpableBehavior, Pid, Signal, kill_process_group};

use crate::executor::{
    Capability, Executor, Launch, LaunchError, Needs, Presence, Reaped, Refusal, Supervisor,
};
use crate::isolation::{self, Isolation};
use crate::limiter;
use crate::limits::{GONE_INTERVAL, POLL_INTERVAL, SUPERVISOR_ACK_TIMEOUT};
use crate::record::{self, Identity, SANDBOX_FILE, SUPERVISOR_FILE, SandboxRecord};
use crate::sandbox::FIRST_OTHER_DESCRIPTOR;
use crate::token::Token;

const SUPERVISE_VERB: &str = "__supervise";
const LOCK_FILE: &str = "supervisor.lock";
const LOG_FILE: &str = "supervisor.log";
/// A look at the lock takes microseconds; five attempts are a tenth of a second.
const LOCK_ATTEMPTS: u32 = 5;
const ACKNOWLEDGED: u8 = b'!';
/// Besides these, what begins with `XDG_`. The linker's path, Python's and Conda's are where the
/// inference engine is looked for.
const PASSED_ON: [&str; 12] = [
    "KENNEL_LOG",
    "KENNEL_ONNXRUNTIME",
    "KENNEL_RUNTIME_DIR",
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PYENV_ROOT",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
];
/// A run id is an internal name of some tens of characters.
const RUN_ID_BYTES_MAX: usize = 1024;

/// Runs supervisors as processes of this machine.
#[derive(Debug)]
pub struct ProcessExecutor {
    verb: String,
    capability: Capability,
}

impl ProcessExecutor {
    /// Finds out what is in force here by really trying, which takes some ten milliseconds.
    pub async fn new() -> Result<Self, LaunchError> {
        Self::with_verb(SUPERVISE_VERB).await
    }

    /// For tests whose supervisor is a mode of the test program.
    pub async fn with_verb(verb: &str) -> Result<Self, LaunchError> {
        let limits = tokio::task::spawn_blocking(limiter::probe);
        let probe = Isolation::probe().await;
        let (limiter, limiter_reason) =
            limits.await.map_err(|error| LaunchError::Host(error.into()))?;
        let cpus = rustix::thread::sched_getaffinity(None)
            .map_err(|error| LaunchError::Host(error.into()))?;
        Ok(Self {
            verb: verb.to_owned(),
            capability: Capability {
                isolation: probe.isolation,
                isolation_reason: probe.reason,
                isolation_remedy: probe.remedy,
                limiter,
                limiter_reason,
                cpus: cpus.count(),
                memory_bytes: rustix::system::sysinfo().totalram as u64,
            },
        })
    }

    /// Another start of the same run, perhaps by a server that is gone, may hold the lock already
    /// and be about to write its record: then that supervisor is the one.
    async fn faster_one(&self, launch: Launch) -> Result<Supervisor, LaunchError> {
        let waiting = async {
            loop {
                let locked = is_locked(&launch.run_dir);
                if let Presence::Alive(supervisor) = self.find(&launch.run_dir).await? {
                    return Ok(supervisor);
                }
                if !locked {
                    return Err(LaunchError::NotTakenOver { run_id: launch.run_id.clone() });
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        let waited = tokio::time::timeout(SUPERVISOR_ACK_TIMEOUT, waiting).await;
        waited.unwrap_or_else(|_| Err(LaunchError::Occupied { run_dir: launch.run_dir.clone() }))
    }

    fn spawn(&self, launch: &Launch, hello: OwnedFd) -> io::Result<tokio::process::Child> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(launch.run_dir.join(LOG_FILE))?;
        tokio::process::Command::new("/proc/self/exe")
            .arg(&self.verb)
            .arg(&launch.run_dir)
            .args(&launch.args)
            // The rest may hold credentials, which a workload that breaks out would read there.
            .env_clear()
            .envs(passed_on(std::env::vars_os()))
            .stdin(Stdio::from(hello))
            .stdout(log.try_clone()?)
            .stderr(log)
            // It is to go on without this process.
            .kill_on_drop(false)
            .spawn()
    }
}

#[async_trait]
impl Executor for ProcessExecutor {
    fn capability(&self) -> Capability {
        self.capability.clone()
    }

    fn admit(&self, needs: &Needs) -> Result<(), Refusal> {
        let found = &self.capability;
        let refusal = isolation::refusal(
            found.isolation,
            needs.trust,
            needs.allow_weaker_isolation,
            &found.isolation_reason,
            &found.isolation_remedy,
        );
        refusal.map_or(Ok(()), Err)
    }

    async fn start(&self, launch: Launch) -> Result<Supervisor, LaunchError> {
        if let Presence::Alive(supervisor) = self.find(&launch.run_dir).await? {
            return Ok(supervisor);
        }
        let spawn_error = |source| LaunchError::Spawn { run_id: launch.run_id.clone(), source };
        let (near, far) = UnixStream::pair().map_err(spawn_error)?;
        let mut child = self.spawn(&launch, far.into()).map_err(spawn_error)?;
        let hello = hello_bytes(&launch.run_id, &launch.token);
        let taken_over = tokio::task::spawn_blocking(move || hand_over(near, &hello));
        let taken_over = taken_over.await.map_err(|error| spawn_error(error.into()))?;
        if taken_over.is_err() {
            let _ = child.kill().await;
            return self.faster_one(launch).await;
        }
        // Collects it when it ends; the runtime collects what this task does not live to see.
        tokio::spawn(async move { child.wait().await });
        match self.find(&launch.run_dir).await? {
            Presence::Alive(supervisor) | Presence::Ended(supervisor) => Ok(supervisor),
            Presence::Never => Err(LaunchError::NotTakenOver { run_id: launch.run_id }),
        }
    }

    async fn find(&self, run_dir: &Path) -> Result<Presence, LaunchError> {
        let Some(supervisor) = recorded(run_dir)? else { return Ok(Presence::Never) };
        Ok(if identity(&supervisor).lives() {
            Presence::Alive(supervisor)
        } else {
            Presence::Ended(supervisor)
        })
    }

    async fn gone(&self, run_dir: &Path) {
        while let Ok(Presence::Alive(_)) = self.find(run_dir).await {
            tokio::time::sleep(GONE_INTERVAL).await;
        }
    }

    async fn reap(&self, run_dir: &Path) -> Result<Reaped, LaunchError> {
        let run_dir = run_dir.to_owned();
        let reaping = tokio::task::spawn_blocking(move || reap(&run_dir));
        reaping.await.map_err(|error| LaunchError::Host(error.into()))?
    }
}

/// What a supervisor needs of the server's environment: where things lie, and how much it logs.
fn passed_on(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| {
        name.to_str().is_some_and(|name| PASSED_ON.contains(&name) || name.starts_with("XDG_"))
    })
}

/// The token goes over the socket that becomes the supervisor's standard input.
fn hello_bytes(run_id: &str, token: &Token) -> zeroize::Zeroizing<Vec<u8>> {
    let mut bytes = token.expose().to_vec();
    bytes.extend_from_slice(run_id.as_bytes());
    zeroize::Zeroizing::new(bytes)
}

fn hand_over(mut socket: UnixStream, hello: &[u8]) -> io::Result<()> {
    socket.set_read_timeout(Some(SUPERVISOR_ACK_TIMEOUT))?;
    socket.write_all(hello)?;
    socket.shutdown(std::net::Shutdown::Write)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    if answer == [ACKNOWLEDGED] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn recorded(run_dir: &Path) -> Result<Option<Supervisor>, LaunchError> {
    record::read(&run_dir.join(SUPERVISOR_FILE)).map_err(|source| LaunchError::RunDir {
        action: "read the record",
        run_dir: run_dir.to_owned(),
        source,
    })
}

fn identity(supervisor: &Supervisor) -> Identity {
    Identity {
        pid: i32::try_from(supervisor.pid).unwrap_or(0),
        started_ticks: supervisor.started_ticks,
        boot_id: supervisor.boot_id.clone(),
    }
}

fn reap(run_dir: &Path) -> Result<Reaped, LaunchError> {
    let failed =
        |action| move |source| LaunchError::RunDir { action, run_dir: run_dir.to_owned(), source };
    let mut reaped = Reaped::default();
    if let Some(supervisor) = recorded(run_dir)? {
        reaped.supervisor_killed =
            identity(&supervisor).kill().map_err(failed("end the supervisor"))?;
    }
    for directory in limiter::unrecorded(run_dir) {
        limiter::reap(&directory).map_err(failed("remove the limits"))?;
    }
    let path = run_dir.join(SANDBOX_FILE);
    let Some(sandbox) =
        record::read::<SandboxRecord>(&path).map_err(failed("read the sandbox's record"))?
    else {
        return Ok(reaped);
    };
    // The kernel has ended these with the supervisor; only its own death can be waited for there.
    for process in &sandbox.processes {
        reaped.sandbox_killed |= process.kill().map_err(failed("end the sandbox"))?;
    }
    if let Some(group) = &sandbox.group {
        if group.lives()
            && let Some(leader) = Pid::from_raw(group.pid)
        {
            let _ = kill_process_group(leader, Signal::KILL);
        }
        reaped.sandbox_killed |= group.kill().map_err(failed("end the workload"))?;
    }
    for directory in &sandbox.cgroups {
        limiter::reap(directory).map_err(failed("remove the limits"))?;
    }
    fs::remove_file(&path).map_err(failed("remove the sandbox's record"))?;
    Ok(reaped)
}

/// Ends this process as `kill -9` does, at this line: nothing is flushed, dropped or answered. For
/// tests of what a crash leaves behind.
pub fn die() -> ! {
    loop {
        // Sending a signal to oneself is always allowed, and this one cannot be held back.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    }
}

/// What a supervisor was handed. Keep it as long as the supervisor works: it holds the run's lock.
#[derive(Debug)]
pub struct Entry {
    pub run_id: String,
    pub token: Token,
    pub run_dir: PathBuf,
    /// Released by the kernel with the process.
    _lock: fs::File,
}

/// The first thing that a supervisor does, while it has a single thread: takes the run over from
/// the launcher, once for each run directory at a time.
pub fn enter_supervisor(run_dir: &Path) -> Result<Entry, LaunchError> {
    let failed =
        |action| move |source| LaunchError::RunDir { action, run_dir: run_dir.to_owned(), source };
    // The server's terminal must not end it; a leader of a group, as in a debugger, stays one.
    let _ = rustix::process::setsid();
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| failed("hide the supervisor")(error.into()))?;
    // Nothing that the server's shell left open goes on to the supervisor's own children.
    close_fds::set_fds_cloexec(FIRST_OTHER_DESCRIPTOR, &[]);
    let mut socket = take_stdin().map_err(failed("take the token"))?;
    let (run_id, token) = read_hello(&mut socket).map_err(failed("take the token"))?;
    let lock = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(run_dir.join(LOCK_FILE))
        .map_err(failed("open the lock"))?;
    take_lock(&lock).map_err(|_| LaunchError::Occupied { run_dir: run_dir.to_owned() })?;
    let own = i32::try_from(std::process::id()).ok().and_then(Identity::of);
    let own = own.ok_or_else(|| {
        failed("find the supervisor's start time")(io::ErrorKind::NotFound.into())
    })?;
    let supervisor = Supervisor {
        run_id: run_id.clone(),
        pid: std::process::id(),
        started_ticks: own.started_ticks,
        boot_id: own.boot_id,
    };
    record::write(&run_dir.join(SUPERVISOR_FILE), &supervisor)
        .map_err(failed("write the record"))?;
    // The server may have been killed in the meantime; this run goes on and reports to the next one.
    let _ = socket.write_all(&[ACKNOWLEDGED]);
    Ok(Entry { run_id, token, run_dir: run_dir.to_owned(), _lock: lock })
}

/// Another supervisor holds the lock for its life; a server that only looks, for a moment.
fn take_lock(lock: &fs::File) -> rustix::io::Result<()> {
    for _ in 0..LOCK_ATTEMPTS {
        if rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(());
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive)
}

fn is_locked(run_dir: &Path) -> bool {
    let lock = fs::File::open(run_dir.join(LOCK_FILE));
    lock.is_ok_and(|lock| rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err())
}

/// Moves the socket away from standard input, which nothing else is to find.
fn take_stdin() -> io::Result<UnixStream> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    Ok(socket)
}

fn read_hello(socket: &mut UnixStream) -> io::Result<(String, Token)> {
    socket.set_read_timeout(Some(SUPERVISOR_ACK_TIMEOUT))?;
    let mut token = zeroize::Zeroizing::new([0; 32]);
    socket.read_exact(token.as_mut())?;
    let mut run_id = String::new();
    socket.take(RUN_ID_BYTES_MAX as u64).read_to_string(&mut run_id)?;
    if run_id.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((run_id, Token::from_bytes(*token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_carries_token_and_run_id() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let token = Token::generate().unwrap();
        let hello = hello_bytes("run-1", &token);
        let server = std::thread::spawn(move || hand_over(far, &hello));
        let (run_id, received) = read_hello(&mut near).unwrap();
        near.write_all(&[ACKNOWLEDGED]).unwrap();
        server.join().unwrap().unwrap();
        assert_eq!(run_id, "run-1");
        assert!(received.matches(token.expose()));
    }

    #[test]
    fn supervisors_do_not_get_the_servers_credentials() {
        let names =
            ["AWS_SECRET_ACCESS_KEY", "KENNEL_ROOT_SECRET_ACCESS_KEY", "PATH", "XDG_DATA_HOME"];
        let variables = names.iter().map(|name| (OsString::from(name), OsString::from("x")));
        let passed: Vec<_> = passed_on(variables).map(|(name, _)| name).collect();
        assert_eq!(passed, ["PATH", "XDG_DATA_HOME"]);
    }

    #[test]
    fn reaping_an_untouched_directory_does_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(reap(dir.path()).unwrap(), Reaped::default());
        assert_eq!(reap(&dir.path().join("absent")).unwrap(), Reaped::default());
    }
}

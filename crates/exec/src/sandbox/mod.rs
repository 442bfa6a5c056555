//! The sandbox of one workload, as its supervisor sees it.
//!
//! ```text
//! start ── build ──> running ── workload ends ──> ended (all processes are gone)
//!            │          └─ signal, kill, freeze, thaw
//!            └──> refused, or an error that names the step
//! ```
//! A thread of its own stands behind every sandbox. It must live as long as the sandbox does: the
//! kernel ends the sandbox with the thread that started it, so that nothing outlives a supervisor.

mod caps;
mod direct;
mod exec;
mod init;
mod loopback;
mod mounts;
mod namespaces;
mod relay;
mod report;
mod seccomp;
mod shared;
mod spec;
mod stages;
mod wire;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::unix::pipe;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::executor::Refusal;
use crate::isolation::{self, Isolation};
use crate::limiter::LimiterKind;
use crate::limits::STAGE_TIMEOUT;
use shared::Shared;

pub use report::{Exit, ExitStatus, Usage};
pub use spec::{
    Access, Bind, HostEntry, INSIDE_ID, Inbound, Limits, OWN_PROGRAM, Outbound, Program,
    SandboxSpec, Trust, WORKLOAD_HOST_ID,
};
pub(crate) use stages::FIRST_OTHER_DESCRIPTOR;
pub use stages::reexec;

/// How long an orderly kill may take before the kernel is asked to end the whole namespace.
const ORDERLY_KILL_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox is described wrongly: {0}")]
    Spec(String),
    #[error("{0}")]
    Refused(Refusal),
    #[error("cannot prepare `{path}` for the sandbox")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the program was replaced; restart the server")]
    Replaced,
    #[error("cannot start the sandbox")]
    Start(#[source] io::Error),
    /// The text names the step.
    #[error("the sandbox cannot be built: {step}: {cause}")]
    Stage { step: String, cause: String, errno: Option<i32> },
    #[error("a stage of the sandbox ended without a word")]
    StageLost,
    #[error("cannot limit the sandbox")]
    Limit(#[source] io::Error),
    #[error("cannot reach the sandbox")]
    Control(#[source] io::Error),
}

/// This binary's path. The kernel adds a mark to it when the file is no longer there.
fn own_program() -> Result<PathBuf, SandboxError> {
    let own = std::env::current_exe().map_err(SandboxError::Start)?;
    if is_replaced(&own) { Err(SandboxError::Replaced) } else { Ok(own) }
}

fn is_replaced(program: &Path) -> bool {
    program.as_os_str().as_encoded_bytes().ends_with(b" (deleted)") && !program.exists()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Interrupt,
    /// Everything inside, at once.
    Kill,
}

#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Returns when the workload has been executed, or with the step that failed.
    pub async fn start(spec: SandboxSpec) -> Result<Child, SandboxError> {
        spec.check().map_err(SandboxError::Spec)?;
        let weak = "they are not in force here";
        let remedy = "run the server where user namespaces are allowed";
        if let Some(refusal) = isolation::refusal(
            spec.isolation,
            spec.trust,
            spec.allow_weaker_isolation,
            weak,
            remedy,
        ) {
            return Err(SandboxError::Refused(refusal));
        }
        let (stdout, stdout_end) = io::pipe().map_err(SandboxError::Start)?;
        let (stderr, stderr_end) = io::pipe().map_err(SandboxError::Start)?;
        let receiver = |end: io::PipeReader| {
            pipe::Receiver::from_owned_fd(end.into()).map_err(SandboxError::Start)
        };
        let (stdout, stderr) = (receiver(stdout)?, receiver(stderr)?);

        let (started, starting) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        let name = "sandbox".to_owned();
        let output = Output { stdout: stdout_end, stderr: stderr_end };
        let work = move || live(&spec, output, started, &ended);
        std::thread::Builder::new().name(name).spawn(work).map_err(SandboxError::Start)?;
        let begun = starting.await.map_err(|_| SandboxError::StageLost)??;
        let relays = begun.relays.map(relay::start);
        let relays = relays.transpose().map_err(SandboxError::Start)?;
        Ok(Child {
            stdout: Some(stdout),
            stderr: Some(stderr),
            shared: begun.shared,
            exit,
            _relays: relays,
        })
    }
}

/// The ends of the pipes that the workload writes to.
struct Output {
    stdout: io::PipeWriter,
    stderr: io::PipeWriter,
}

/// A sandbox whose workload runs, with relays that this process has to run itself.
struct Begun {
    shared: Arc<Shared>,
    relays: Option<relay::Listeners>,
}

/// The whole life of a sandbox, in its thread.
fn live(
    spec: &SandboxSpec,
    output: Output,
    started: oneshot::Sender<Result<Begun, SandboxError>>,
    ended: &watch::Sender<Option<Exit>>,
) {
    let exit = match spec.isolation {
        Isolation::Namespaces { ids } => namespaces::live(spec, ids, output, started),
        Isolation::Landlock => direct::live(spec, true, output, started),
        Isolation::Plain => direct::live(spec, false, output, started),
    };
    ended.send_replace(exit);
}

/// A running sandbox. Dropping it ends the sandbox.
#[derive(Debug)]
pub struct Child {
    /// Ends when the last process of the sandbox has.
    pub stdout: Option<pipe::Receiver>,
    pub stderr: Option<pipe::Receiver>,
    shared: Arc<Shared>,
    exit: watch::Receiver<Option<Exit>>,
    _relays: Option<JoinSet<()>>,
}

impl Child {
    /// How the workload ended; every process of the sandbox is gone then. Cancel-safe, and says
    /// the same every time.
    pub async fn wait(&mut self) -> Exit {
        let lost = || Exit {
            status: ExitStatus::Lost("the thread of the sandbox is gone".to_owned()),
            oom: false,
            usage: self.shared.usage(),
        };
        match self.exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or_else(lost),
            Err(_) => lost(),
        }
    }

    /// To the process group of the workload; `Kill` ends everything inside. A sandbox that has
    /// ended takes every signal.
    pub async fn signal(&self, signal: Signal) -> Result<(), SandboxError> {
        if self.exit.borrow().is_some() {
            return Ok(());
        }
        self.thaw().await?;
        let result = match signal {
            Signal::Terminate => self.shared.signal(rustix::process::Signal::TERM),
            Signal::Interrupt => self.shared.signal(rustix::process::Signal::INT),
            Signal::Kill => return self.kill().await,
        };
        self.unless_ended(result).map_err(SandboxError::Control)
    }

    async fn kill(&self) -> Result<(), SandboxError> {
        let mut exit = self.exit.clone();
        let asked = self.shared.signal_all(rustix::process::Signal::KILL);
        let orderly = asked.is_ok()
            && tokio::time::timeout(ORDERLY_KILL_TIMEOUT, exit.wait_for(Option::is_some))
                .await
                .is_ok();
        if !orderly {
            self.shared.kill();
        }
        let forced = tokio::time::timeout(STAGE_TIMEOUT, exit.wait_for(Option::is_some)).await;
        forced.map(|_| ()).map_err(|_| SandboxError::Control(io::ErrorKind::TimedOut.into()))
    }

    /// Stops every process of the sandbox where it is.
    pub async fn freeze(&self) -> Result<(), SandboxError> {
        self.unless_ended(self.shared.set_frozen(true)).map_err(SandboxError::Control)
    }

    pub async fn thaw(&self) -> Result<(), SandboxError> {
        self.unless_ended(self.shared.set_frozen(false)).map_err(SandboxError::Control)
    }

    /// What it takes now; what it took once it has ended.
    pub fn usage(&self) -> Usage {
        let ended = self.exit.borrow().as_ref().map(|exit| exit.usage);
        ended.unwrap_or_else(|| self.shared.usage())
    }

    pub fn limiter(&self) -> LimiterKind {
        self.shared.limiter_kind()
    }

    /// The workload may end while it is being reached.
    fn unless_ended(&self, result: io::Result<()>) -> io::Result<()> {
        match result {
            Err(_) if self.exit.borrow().is_some() => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.exit.borrow().is_none() {
            self.shared.kill();
        }
    }
}

/// What a probe gives this binary to do: nothing, successfully.
pub(crate) fn probe_arguments() -> Vec<String> {
    vec![stages::NOTHING.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_whose_file_is_gone_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        assert!(is_replaced(&dir.path().join("kennel (deleted)")));
        assert!(!is_replaced(&dir.path().join("kennel")));
        let odd_name = dir.path().join("mine (deleted)");
        std::fs::write(&odd_name, "").unwrap();
        assert!(!is_replaced(&odd_name));
    }
}

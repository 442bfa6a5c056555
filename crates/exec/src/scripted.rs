//! An executor for tests of the layers above: it starts nothing, and its supervisors end when the
//! test says so.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::executor::{
    Capability, Executor, Launch, LaunchError, Needs, Presence, Reaped, Refusal, Supervisor,
};
use crate::isolation::{self, IdMapping, Isolation};
use crate::limiter::LimiterKind;

/// What becomes of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Script {
    /// It lives until [`ScriptedExecutor::end`].
    Run,
    FailToStart(String),
    /// It is started and ends before anybody looks.
    EndAtOnce,
}

type OnStart = Box<dyn FnMut(&Launch) -> Script + Send>;

pub struct ScriptedExecutor {
    capability: Capability,
    state: Mutex<State>,
    /// Counts the changes, for those who wait for an end.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    on_start: Option<OnStart>,
    started: Vec<Launch>,
    reaped: Vec<PathBuf>,
    supervisors: HashMap<PathBuf, (Supervisor, bool)>,
}

impl Default for ScriptedExecutor {
    fn default() -> Self {
        Self::new()
    }
}

impl ScriptedExecutor {
    /// A machine with namespaces, cgroups, 4 CPUs and 16 GiB.
    pub fn new() -> Self {
        Self::with_capability(Capability {
            isolation: Isolation::Namespaces { ids: IdMapping::Own },
            isolation_reason: "scripted".to_owned(),
            isolation_remedy: String::new(),
            limiter: LimiterKind::CgroupV2,
            limiter_reason: "scripted".to_owned(),
            cpus: 4,
            memory_bytes: 16 << 30,
        })
    }

    pub fn with_capability(capability: Capability) -> Self {
        Self { capability, state: Mutex::default(), changes: watch::channel(0).0 }
    }

    /// Decides on every start from now on; without it every start runs.
    pub fn on_start(&self, script: impl FnMut(&Launch) -> Script + Send + 'static) {
        self.state().on_start = Some(Box::new(script));
    }

    /// Every launch so far, in order.
    pub fn started(&self) -> Vec<Launch> {
        self.state().started.clone()
    }

    pub fn reaped(&self) -> Vec<PathBuf> {
        self.state().reaped.clone()
    }

    /// The supervisor of this run directory vanishes.
    pub fn end(&self, run_dir: &Path) {
        if let Some((_, alive)) = self.state().supervisors.get_mut(run_dir) {
            *alive = false;
        }
        self.changes.send_modify(|count| *count += 1);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn presence(&self, run_dir: &Path) -> Presence {
        match self.state().supervisors.get(run_dir) {
            Some((supervisor, true)) => Presence::Alive(supervisor.clone()),
            Some((supervisor, false)) => Presence::Ended(supervisor.clone()),
            None => Presence::Never,
        }
    }
}

#[async_trait]
impl Executor for ScriptedExecutor {
    fn capability(&self) -> Capability {
        self.capability.clone()
    }

    fn admit(&self, needs: &Needs) -> Result<(), Refusal> {
        let found = &self.capability;
        let (trust, allowed) = (needs.trust, needs.allow_weaker_isolation);
        let refusal = isolation::refusal(
            found.isolation,
            trust,
            allowed,
            &found.isolation_reason,
            &found.isolation_remedy,
        );
        refusal.map_or(Ok(()), Err)
    }

    async fn start(&self, launch: Launch) -> Result<Supervisor, LaunchError> {
        if let Presence::Alive(supervisor) = self.presence(&launch.run_dir) {
            return Ok(supervisor);
        }
        let mut state = self.state();
        let script = state.on_start.as_mut().map_or(Script::Run, |decide| decide(&launch));
        state.started.push(launch.clone());
        let alive = match script {
            Script::Run => true,
            Script::EndAtOnce => false,
            Script::FailToStart(reason) => {
                return Err(LaunchError::Spawn {
                    run_id: launch.run_id,
                    source: io::Error::other(reason),
                });
            }
        };
        let number = state.started.len();
        let supervisor = Supervisor {
            run_id: launch.run_id,
            pid: u32::try_from(number).unwrap_or(u32::MAX),
            started_ticks: number as u64,
            boot_id: "scripted".to_owned(),
        };
        state.supervisors.insert(launch.run_dir, (supervisor.clone(), alive));
        Ok(supervisor)
    }

    async fn find(&self, run_dir: &Path) -> Result<Presence, LaunchError> {
        Ok(self.presence(run_dir))
    }

    async fn gone(&self, run_dir: &Path) {
        let mut changes = self.changes.subscribe();
        // Ends at the latest with the executor.
        let _ = changes.wait_for(|_| !matches!(self.presence(run_dir), Presence::Alive(_))).await;
    }

    async fn reap(&self, run_dir: &Path) -> Result<Reaped, LaunchError> {
        let supervisor_killed = matches!(self.presence(run_dir), Presence::Alive(_));
        self.end(run_dir);
        self.state().reaped.push(run_dir.to_owned());
        Ok(Reaped { supervisor_killed, sandbox_killed: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::Token;

    fn launch(run_dir: &str) -> Launch {
        let token = Token::from_bytes([7; 32]);
        Launch { run_id: "run".to_owned(), run_dir: run_dir.into(), token, args: Vec::new() }
    }

    #[tokio::test]
    async fn runs_end_as_scripted() {
        let executor = ScriptedExecutor::new();
        executor.on_start(|launch| match launch.run_dir.to_str() {
            Some("/fails") => Script::FailToStart("no".to_owned()),
            Some("/ends") => Script::EndAtOnce,
            _ => Script::Run,
        });
        assert!(executor.start(launch("/fails")).await.is_err());
        executor.start(launch("/ends")).await.unwrap();
        assert!(matches!(executor.find(Path::new("/ends")).await.unwrap(), Presence::Ended(_)));
        let first = executor.start(launch("/runs")).await.unwrap();
        assert_eq!(executor.start(launch("/runs")).await.unwrap(), first);
        assert_eq!(executor.started().len(), 3);
        executor.end(Path::new("/runs"));
        executor.gone(Path::new("/runs")).await;
        assert_eq!(executor.find(Path::new("/other")).await.unwrap(), Presence::Never);
    }
}

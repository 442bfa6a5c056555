//! The supervisor's side of a sandbox in namespaces: drives the stages, then waits for the end.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command as Program, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::report::{Exit, ExitStatus, StageFailure, Usage};
use super::shared::{Process as Handle, Reach, Shared};
use super::spec::{
    Access, INSIDE_ID, OWN_PROGRAM, Program as Wanted, SandboxSpec, WORKLOAD_HOST_ID,
};
use super::stages::ENTER;
use super::wire::{self, Command, Ended, EnterOrder, ExecOrder, InitOrder, Mapped, Report};
use super::{Begun, Output, SandboxError, mounts};
use crate::isolation::IdMapping;
use crate::limiter::{self, Limiter, LimiterKind, resident};
use crate::limits::STAGE_TIMEOUT;
use crate::record::{self, Identity, SANDBOX_FILE, SandboxRecord};

/// A command is some bytes to a socket whose reader does nothing else.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(2);

/// Builds the sandbox, reports the start, and returns how it ended; `None` when it did not start.
pub(super) fn live(
    spec: &SandboxSpec,
    ids: IdMapping,
    output: Output,
    started: oneshot::Sender<Result<Begun, SandboxError>>,
) -> Option<Exit> {
    let mut stage = match Stage::spawn(output) {
        Ok(stage) => stage,
        Err(error) => {
            let _ = started.send(Err(error));
            return None;
        }
    };
    let (limiter, _) = Limiter::make(&spec.run_dir, &spec.limits);
    let cgroups = limiter.directories();
    let exit = match stage.build(spec, ids, limiter) {
        Ok(shared) => {
            let shared = Arc::new(shared);
            let begun = Begun { shared: Arc::clone(&shared), relays: None };
            // Whoever asked for it is gone, and so nobody would ever end it.
            if started.send(Ok(begun)).is_err() {
                shared.kill();
            }
            Some(stage.follow(&shared))
        }
        Err(error) => {
            stage.end();
            let _ = started.send(Err(error));
            None
        }
    };
    clean_up(spec, &cgroups);
    exit
}

pub(super) fn clean_up(spec: &SandboxSpec, cgroups: &[PathBuf]) {
    let mut removed = true;
    for directory in cgroups {
        removed &= limiter::reap(directory).is_ok();
    }
    // A group that could not be removed stays in the record, for the reaper.
    if removed {
        let _ = fs::remove_file(spec.run_dir.join(SANDBOX_FILE));
    }
    for relay in &spec.inbound {
        let _ = fs::remove_file(&relay.host_socket);
    }
    let _ = fs::remove_dir(root_dir(spec));
}

fn root_dir(spec: &SandboxSpec) -> PathBuf {
    spec.run_dir.join("root")
}

/// The first stage, which stands between this process and the init.
struct Stage {
    process: Process,
    socket: UnixStream,
}

impl Stage {
    fn spawn(output: Output) -> Result<Self, SandboxError> {
        let (socket, far) = UnixStream::pair().map_err(SandboxError::Start)?;
        socket.set_read_timeout(Some(STAGE_TIMEOUT)).map_err(SandboxError::Start)?;
        socket.set_write_timeout(Some(CONTROL_TIMEOUT)).map_err(SandboxError::Start)?;
        let process = Program::new("/proc/self/exe")
            .arg(ENTER)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(far)))
            .stdout(output.stdout)
            .stderr(output.stderr)
            .spawn()
            .map_err(SandboxError::Start)?;
        Ok(Self { process, socket })
    }

    fn pid(&self) -> i32 {
        // Process ids are positive and below 2^22.
        i32::try_from(self.process.id()).unwrap_or(i32::MAX)
    }

    fn build(
        &mut self,
        spec: &SandboxSpec,
        ids: IdMapping,
        limiter: Limiter,
    ) -> Result<Shared, SandboxError> {
        let root = root_dir(spec);
        make_private_dir(&root)?;
        if ids == IdMapping::Pair {
            give_to_workload(spec)?;
        }
        let listeners = listen_inbound(spec)?;
        // By its path: the link in /proc leads to a mount outside of the new namespace.
        let own = super::own_program()?;
        let parent_pid = i32::try_from(std::process::id()).unwrap_or(0);
        self.send(&EnterOrder {
            ids,
            parent_pid,
            root: root.clone(),
            plan: mounts::plan(spec, &own),
        })?;
        let Report::Unshared = self.receive()? else { return Err(SandboxError::StageLost) };
        if ids == IdMapping::Pair {
            self.map_pair()?;
        }
        self.send(&Mapped)?;
        let order = init_order(spec, root, ids, limiter.kind());
        let descriptors: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
        wire::send_with_descriptors(&self.socket, &order, &descriptors)
            .map_err(|_| self.last_words())?;
        let Report::Spawned = self.receive()? else { return Err(SandboxError::StageLost) };
        let shared = self.limit(spec, limiter)?;
        self.send(&Command::Go)?;
        let Report::Started = self.receive()? else { return Err(SandboxError::StageLost) };
        Ok(shared)
    }

    /// Root for the set-up, the workload's own user for the workload, and nobody else.
    fn map_pair(&self) -> Result<(), SandboxError> {
        let map = format!("0 0 1\n{INSIDE_ID} {WORKLOAD_HOST_ID} 1\n");
        for file in ["uid_map", "gid_map"] {
            let path = PathBuf::from(format!("/proc/{}/{file}", self.process.id()));
            fs::write(&path, &map).map_err(|source| SandboxError::Prepare { path, source })?;
        }
        Ok(())
    }

    /// Puts the waiting last stage into its limits and writes down what a reaper would need.
    fn limit(&self, spec: &SandboxSpec, limiter: Limiter) -> Result<Shared, SandboxError> {
        let only_child = |pid: i32| {
            let lost = || io::Error::new(io::ErrorKind::NotFound, "a stage has ended");
            resident::children(pid).first().copied().ok_or_else(lost)
        };
        let init = only_child(self.pid()).map_err(SandboxError::Limit)?;
        let workload = only_child(init).map_err(SandboxError::Limit)?;
        limiter.attach(workload).map_err(SandboxError::Limit)?;
        let record = SandboxRecord {
            processes: [init, self.pid()].into_iter().filter_map(Identity::of).collect(),
            group: None,
            cgroups: limiter.directories(),
        };
        let path = spec.run_dir.join(SANDBOX_FILE);
        record::write(&path, &record).map_err(|source| SandboxError::Prepare { path, source })?;
        let control = self.socket.try_clone().map_err(SandboxError::Start)?;
        let init = Handle::find(init).map_err(SandboxError::Limit)?;
        Ok(Shared::new(limiter, Reach::Init { control, init, workload }))
    }

    fn send<T: serde::Serialize>(&self, message: &T) -> Result<(), SandboxError> {
        wire::send(&self.socket, message).map_err(|_| self.last_words())
    }

    fn receive(&self) -> Result<Report, SandboxError> {
        match wire::receive(&self.socket) {
            Ok(Report::Failed(failure)) => Err(failure.into()),
            Ok(report) => Ok(report),
            Err(_) => Err(SandboxError::StageLost),
        }
    }

    /// A stage that no longer listens has said why.
    fn last_words(&self) -> SandboxError {
        match self.receive() {
            Err(error) => error,
            Ok(_) => SandboxError::StageLost,
        }
    }

    /// Waits for the end of the workload and of every process that it left.
    fn follow(mut self, shared: &Shared) -> Exit {
        let _ = self.socket.set_read_timeout(None);
        let report = wire::receive(&self.socket);
        let running = shared.usage();
        let _ = self.process.wait();
        match report {
            Ok(Report::Ended(ended)) => exit(&ended, shared),
            Ok(Report::Failed(failure)) => lost(failure.to_string(), running),
            Ok(_) | Err(_) => lost("the init of the sandbox was ended".to_owned(), running),
        }
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn exit(ended: &Ended, shared: &Shared) -> Exit {
    let status = match (ended.code, ended.signal) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => ExitStatus::Lost("the workload was never seen to end".to_owned()),
    };
    let (now, peak) = shared.limiter.memory_bytes().unwrap_or((0, 0));
    let killed = ended.over_memory || shared.limiter.oom_kills() > 0;
    Exit {
        oom: killed && !status.success(),
        status,
        usage: Usage {
            memory_bytes: 0,
            memory_peak_bytes: peak.max(now).max(ended.memory_peak_bytes),
            cpu_secs: ended.cpu_secs,
        },
    }
}

fn lost(reason: String, usage: Usage) -> Exit {
    Exit { status: ExitStatus::Lost(reason), oom: false, usage }
}

impl From<StageFailure> for SandboxError {
    fn from(failure: StageFailure) -> Self {
        Self::Stage { step: failure.step, cause: failure.cause, errno: failure.errno }
    }
}

fn init_order(
    spec: &SandboxSpec,
    root: PathBuf,
    ids: IdMapping,
    limiter: LimiterKind,
) -> InitOrder {
    let by_rlimits = limiter == LimiterKind::Rlimits;
    let mut env = spec.env.clone();
    for bind in &spec.binds {
        if let Some(name) = &bind.path_env {
            env.insert(name.clone(), bind.inside.to_string_lossy().into_owned());
        }
    }
    let inbound = spec.inbound.iter().map(|relay| (relay.port, &relay.port_env));
    let outbound = spec.outbound.iter().map(|relay| (relay.port, &relay.port_env));
    for (port, variables) in inbound.chain(outbound) {
        for (name, template) in variables {
            env.insert(name.clone(), template.replace("{port}", &port.to_string()));
        }
    }
    InitOrder {
        root,
        hostname: spec.hostname.clone(),
        inbound_ports: spec.inbound.iter().map(|relay| relay.port).collect(),
        outbound: spec
            .outbound
            .iter()
            .enumerate()
            .map(|(index, relay)| (relay.port, mounts::relay_socket(index)))
            .collect(),
        resident_bytes_max: by_rlimits.then_some(spec.limits.memory_bytes),
        exec: ExecOrder {
            program: match &spec.program {
                Wanted::Own => OWN_PROGRAM.into(),
                Wanted::Path(path) => path.into(),
            },
            args: spec.args.clone(),
            env: env.into_iter().collect(),
            cwd: spec.cwd.clone(),
            become_id: (ids == IdMapping::Pair).then_some(INSIDE_ID),
            cpus: spec.limits.cpus,
            files: spec.limits.files,
            processes_max: by_rlimits.then_some(u64::from(spec.limits.pids)),
            landlock: None,
            parent_pid: None,
        },
    }
}

fn make_private_dir(path: &Path) -> Result<(), SandboxError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(SandboxError::Prepare { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

/// Makes the sockets that the server reaches the workload through.
pub(super) fn listen_inbound(spec: &SandboxSpec) -> Result<Vec<UnixListener>, SandboxError> {
    let listen = |path: &Path| {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = crate::mailbox::bind_unix(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    let relays = spec.inbound.iter();
    relays
        .map(|relay| {
            listen(&relay.host_socket)
                .map_err(|source| SandboxError::Prepare { path: relay.host_socket.clone(), source })
        })
        .collect()
}

/// Makes the workload's user the owner of all that it may write, without following links. What is
/// bound read-only somewhere below stays as it is.
fn give_to_workload(spec: &SandboxSpec) -> Result<(), SandboxError> {
    let read_only: Vec<&Path> = spec
        .binds
        .iter()
        .filter(|bind| bind.access == Access::ReadOnly)
        .map(|bind| bind.host.as_path())
        .collect();
    for bind in spec.binds.iter().filter(|bind| bind.access == Access::Writable) {
        give(&bind.host, &read_only)
            .map_err(|source| SandboxError::Prepare { path: bind.host.clone(), source })?;
    }
    Ok(())
}

fn give(top: &Path, except: &[&Path]) -> io::Result<()> {
    let mut open = vec![top.to_owned()];
    while let Some(path) = open.pop() {
        if except.contains(&path.as_path()) {
            continue;
        }
        std::os::unix::fs::lchown(&path, Some(WORKLOAD_HOST_ID), Some(WORKLOAD_HOST_ID))?;
        if fs::symlink_metadata(&path)?.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}

//! The lower rungs: a workload without namespaces, confined by Landlock or not at all. For our own
//! code, and for other people's only where the caller allowed that by name.
//!
//! Directories keep their host paths and ports are free ones of the host; the variables that a
//! [`super::Bind`] or a relay names tell the workload which.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child as Process, Command as Program, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};
use tokio::sync::oneshot;

use super::namespaces::{clean_up, listen_inbound};
use super::relay::Listeners;
use super::report::{Exit, ExitStatus, Usage};
use super::shared::{Reach, Shared};
use super::spec::{Access, Program as Wanted, SandboxSpec, host_path};
use super::stages::EXEC;
use super::wire::{self, ExecOrder, LOOPBACK, Report};
use super::{Begun, Output, SandboxError};
use crate::landlock::Rules;
use crate::limiter::{Limiter, LimiterKind, resident};
use crate::limits::{RESIDENT_POLL_INTERVAL, STAGE_TIMEOUT};
use crate::record::{self, Identity, SANDBOX_FILE, SandboxRecord};

/// Builds the process, reports the start, and returns how it ended; `None` when it did not start.
pub(super) fn live(
    spec: &SandboxSpec,
    by_landlock: bool,
    output: Output,
    started: oneshot::Sender<Result<Begun, SandboxError>>,
) -> Option<Exit> {
    let (limiter, _) = Limiter::make(&spec.run_dir, &spec.limits);
    let cgroups = limiter.directories();
    let exit = match begin(spec, by_landlock, output, limiter) {
        Ok((mut process, shared, relays)) => {
            let shared = Arc::new(shared);
            let begun = Begun { shared: Arc::clone(&shared), relays: Some(relays) };
            // Whoever asked for it is gone, and so nobody would ever end it.
            if started.send(Ok(begun)).is_err() {
                shared.kill();
            }
            Some(follow(&mut process, &shared, spec.limits.memory_bytes))
        }
        Err(error) => {
            let _ = started.send(Err(error));
            None
        }
    };
    clean_up(spec, &cgroups);
    exit
}

fn begin(
    spec: &SandboxSpec,
    by_landlock: bool,
    output: Output,
    limiter: Limiter,
) -> Result<(Process, Shared, Listeners), SandboxError> {
    let (order, listeners) = order(spec, by_landlock)?;
    let (socket, far) = UnixStream::pair().map_err(SandboxError::Start)?;
    socket.set_read_timeout(Some(STAGE_TIMEOUT)).map_err(SandboxError::Start)?;
    let mut process = Program::new("/proc/self/exe")
        .arg(EXEC)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(far)))
        .stdout(output.stdout)
        .stderr(output.stderr)
        .spawn()
        .map_err(SandboxError::Start)?;
    let begun = become_workload(&process, &socket, &order, limiter, spec);
    match begun {
        Ok(shared) => Ok((process, shared, listeners)),
        Err(error) => {
            let _ = process.kill();
            let _ = process.wait();
            Err(error)
        }
    }
}

fn become_workload(
    process: &Process,
    socket: &UnixStream,
    order: &ExecOrder,
    limiter: Limiter,
    spec: &SandboxSpec,
) -> Result<Shared, SandboxError> {
    let gone = || SandboxError::StageLost;
    let leader = Pid::from_child(process);
    let identity = Identity::of(leader.as_raw_nonzero().get()).ok_or_else(gone)?;
    limiter.attach(identity.pid).map_err(SandboxError::Limit)?;
    let record = SandboxRecord {
        processes: Vec::new(),
        group: Some(identity.clone()),
        cgroups: limiter.directories(),
    };
    let path = spec.run_dir.join(SANDBOX_FILE);
    record::write(&path, &record).map_err(|source| SandboxError::Prepare { path, source })?;
    wire::send(socket, order).map_err(|_| SandboxError::StageLost)?;
    match wire::receive(socket) {
        Ok(Report::Failed(failure)) => Err(failure.into()),
        Ok(_) => Err(SandboxError::StageLost),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Ok(Shared::new(limiter, Reach::Group { leader, identity }))
        }
        Err(_) => Err(SandboxError::StageLost),
    }
}

fn order(spec: &SandboxSpec, by_landlock: bool) -> Result<(ExecOrder, Listeners), SandboxError> {
    let own = super::own_program()?;
    let temporary = spec.run_dir.join("tmp");
    fs::create_dir_all(&temporary)
        .map_err(|source| SandboxError::Prepare { path: temporary.clone(), source })?;
    let mut env = spec.env.clone();
    env.insert("TMPDIR".to_owned(), temporary.to_string_lossy().into_owned());
    let mut rules = Rules { read: vec![own.clone()], write: vec![temporary], ..Rules::default() };
    for bind in &spec.binds {
        match bind.access {
            Access::ReadOnly => rules.read.push(bind.host.clone()),
            Access::Writable => rules.write.push(bind.host.clone()),
        }
        if let Some(name) = &bind.path_env {
            env.insert(name.clone(), bind.host.to_string_lossy().into_owned());
        }
    }
    let listeners = open_ports(spec, &mut env, &mut rules)?;
    let order = ExecOrder {
        program: match &spec.program {
            Wanted::Own => own,
            Wanted::Path(path) => path.into(),
        },
        args: spec.args.clone(),
        env: env.into_iter().collect(),
        cwd: host_path(&spec.binds, &spec.cwd),
        become_id: None,
        cpus: spec.limits.cpus,
        files: spec.limits.files,
        // Counted over all processes of the user here, and so no limit of this run.
        processes_max: None,
        landlock: by_landlock.then_some(rules),
        parent_pid: i32::try_from(std::process::id()).ok(),
    };
    Ok((order, listeners))
}

/// Chooses free ports of the host and tells them to the workload.
fn open_ports(
    spec: &SandboxSpec,
    env: &mut std::collections::BTreeMap<String, String>,
    rules: &mut Rules,
) -> Result<Listeners, SandboxError> {
    let mut tell = |variables: &[(String, String)], port: u16| {
        for (name, template) in variables {
            env.insert(name.clone(), template.replace("{port}", &port.to_string()));
        }
    };
    let mut inbound = Vec::new();
    for (listener, relay) in listen_inbound(spec)?.into_iter().zip(&spec.inbound) {
        // The workload listens there itself; the port is free now, and the kernel does not hand it
        // out again soon.
        let port = free_port()
            .and_then(|listener| listener.local_addr())
            .map_err(SandboxError::Start)?
            .port();
        tell(&relay.port_env, port);
        rules.listen_ports.push(port);
        inbound.push((listener, port));
    }
    let mut outbound = Vec::new();
    for relay in &spec.outbound {
        let listener = free_port().map_err(SandboxError::Start)?;
        let port = listener.local_addr().map_err(SandboxError::Start)?.port();
        tell(&relay.port_env, port);
        rules.connect_ports.push(port);
        outbound.push((listener, relay.host_socket.clone()));
    }
    Ok(Listeners { inbound, outbound })
}

fn free_port() -> io::Result<TcpListener> {
    TcpListener::bind((LOOPBACK, 0))
}

/// Waits for the workload, then ends its process group.
fn follow(process: &mut Process, shared: &Shared, memory_bytes_max: u64) -> Exit {
    let leader = Pid::from_child(process);
    let done = AtomicBool::new(false);
    let exceeded = AtomicBool::new(false);
    let usage = std::thread::scope(|scope| {
        scope.spawn(|| watch_memory(shared, memory_bytes_max, &done, &exceeded));
        // Left unreaped, so that its id and its group are still its own.
        let ended = waitid(WaitId::Pid(leader), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let usage = Usage {
            memory_bytes: 0,
            cpu_secs: resident::cpu_secs(leader.as_raw_nonzero().get()),
            ..shared.usage()
        };
        done.store(true, Ordering::SeqCst);
        if ended.is_ok() {
            let _ = rustix::process::kill_process_group(leader, Signal::KILL);
        }
        usage
    });
    let status = match process.wait() {
        Ok(status) => match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status))
        {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => ExitStatus::Lost("the workload was never seen to end".to_owned()),
        },
        Err(error) => ExitStatus::Lost(error.to_string()),
    };
    let killed = exceeded.load(Ordering::SeqCst) || shared.limiter.oom_kills() > 0;
    Exit { oom: killed && !status.success(), status, usage }
}

fn watch_memory(shared: &Shared, bytes_max: u64, done: &AtomicBool, exceeded: &AtomicBool) {
    while !done.load(Ordering::SeqCst) {
        let by_polling = shared.limiter_kind() == LimiterKind::Rlimits;
        if shared.usage().memory_bytes > bytes_max && by_polling {
            exceeded.store(true, Ordering::SeqCst);
            shared.kill();
        }
        std::thread::sleep(RESIDENT_POLL_INTERVAL);
    }
}

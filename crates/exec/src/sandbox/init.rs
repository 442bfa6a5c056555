//! Process 1 of a sandbox: our own code, which the workload can neither see into nor end.
//!
//! It finishes the namespaces, starts the workload, runs the relays, reaps, and reports how the
//! workload ended. When it ends, the kernel ends everything inside.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command as Program, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use nix::sys::resource::{UsageWho, getrusage};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group};
use rustix::thread::CapabilitySet;

use super::relay::Listeners;
use super::report::{At, StageFailure};
use super::spec::OWN_PROGRAM;
use super::stages::{EXEC, die_with_parent, hide_from_debuggers, silence};
use super::wire::{self, Command, Ended, ExecOrder, InitOrder, LOOPBACK, Report};
use super::{caps, loopback, mounts, relay};
use crate::limiter::resident;
use crate::limits::{RESIDENT_POLL_INTERVAL, STAGE_TIMEOUT};

pub(super) fn run(socket: &UnixStream) -> Result<ExitCode, StageFailure> {
    // Its parent lies outside of this PID namespace, so there is no id to compare; the end of the
    // socket tells when the supervisor was gone before this line.
    die_with_parent(None)?;
    hide_from_debuggers()?;
    let (order, descriptors): (InitOrder, Vec<OwnedFd>) =
        wire::receive_with_descriptors(socket).at(|| "receive the order".to_owned())?;
    rustix::system::sethostname(order.hostname.as_bytes()).at(|| "set the host name".to_owned())?;
    loopback::bring_up()?;
    mounts::enter(order.root.file_name().unwrap_or_default())?;
    mounts::close_proc()?;
    let relays = open_relays(&order, descriptors)?;
    let (mut outcome, child) = start_last_stage()?;
    silence()?;
    caps::keep_only(CapabilitySet::KILL)?;
    wire::send(socket, &Report::Spawned).at(|| "report".to_owned())?;
    match wire::receive(socket).at(|| "wait for the limits".to_owned())? {
        Command::Go => {}
        Command::Signal(_) | Command::SignalAll(_) => return Ok(ExitCode::SUCCESS),
    }
    become_workload(&mut outcome, &order.exec)?;
    wire::send(socket, &Report::Started).at(|| "report".to_owned())?;

    let watch = Arc::new(MemoryWatch::default());
    serve(socket, child, relays, order.resident_bytes_max, &watch)?;
    let ended = reap_all(child, &watch)?;
    wire::send(socket, &Report::Ended(ended)).at(|| "report".to_owned())?;
    Ok(ExitCode::SUCCESS)
}

/// The last stage waits for its order on a socket of its own, so that the supervisor can put it
/// into its limits before the first instruction of the workload.
fn start_last_stage() -> Result<(UnixStream, Pid), StageFailure> {
    let (near, far) = UnixStream::pair().at(|| "make a socket".to_owned())?;
    let child = Program::new(OWN_PROGRAM)
        .arg(EXEC)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(far)))
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
        .at(|| "start the last stage".to_owned())?;
    Ok((near, Pid::from_child(&child)))
}

/// A successful exec closes the far end without a word.
fn become_workload(socket: &mut UnixStream, order: &ExecOrder) -> Result<(), StageFailure> {
    wire::send(socket, order).at(|| "order the workload".to_owned())?;
    socket.set_read_timeout(Some(STAGE_TIMEOUT)).at(|| "set a timeout".to_owned())?;
    match wire::receive(socket) {
        Ok(Report::Failed(failure)) => Err(failure),
        Ok(_) => {
            Err(io::Error::from(io::ErrorKind::InvalidData)).at(|| "start the workload".to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
        Err(error) => Err(error).at(|| "start the workload".to_owned()),
    }
}

/// The sockets of the relays, open before the rights to open them are gone.
fn open_relays(order: &InitOrder, descriptors: Vec<OwnedFd>) -> Result<Listeners, StageFailure> {
    let listeners = descriptors.into_iter().map(UnixListener::from);
    let inbound = listeners.zip(order.inbound_ports.iter().copied()).collect();
    let mut outbound = Vec::new();
    for (port, socket) in &order.outbound {
        let listener =
            TcpListener::bind((LOOPBACK, *port)).at(|| format!("listen on port {port} inside"))?;
        outbound.push((listener, socket.clone()));
    }
    Ok(Listeners { inbound, outbound })
}

#[derive(Default)]
struct MemoryWatch {
    exceeded: AtomicBool,
    peak_bytes: AtomicU64,
}

/// Starts the threads that work while the workload runs; they end with this process.
fn serve(
    socket: &UnixStream,
    child: Pid,
    relays: Listeners,
    resident_bytes_max: Option<u64>,
    watch: &Arc<MemoryWatch>,
) -> Result<(), StageFailure> {
    let commands = socket.try_clone().at(|| "clone the socket".to_owned())?;
    thread("commands", move || obey(&commands, child))?;
    if !relays.is_empty() {
        thread("relays", move || {
            if relay::run(relays).is_err() {
                // Without its relays the workload cannot be reached: let it end, not hang.
                kill_all(Signal::KILL);
            }
        })?;
    }
    if let Some(bytes_max) = resident_bytes_max {
        let watch = Arc::clone(watch);
        thread("memory", move || watch_memory(bytes_max, &watch))?;
    }
    Ok(())
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), StageFailure> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
        .at(|| format!("start the {name} thread"))
}

fn obey(socket: &UnixStream, child: Pid) {
    loop {
        match wire::receive(socket) {
            Ok(Command::Signal(number)) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    // The workload may have ended just now.
                    let _ = kill_process_group(child, signal);
                }
            }
            Ok(Command::SignalAll(number)) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    kill_all(signal);
                }
            }
            Ok(Command::Go) => {}
            // The supervisor is gone.
            Err(_) => {
                kill_all(Signal::KILL);
                return;
            }
        }
    }
}

/// As `kill(-1)`: everything in this namespace but this process.
fn kill_all(signal: Signal) {
    let _ = kill_process_group(Pid::INIT, signal);
}

fn watch_memory(bytes_max: u64, watch: &MemoryWatch) {
    loop {
        let bytes = resident::of_namespace();
        watch.peak_bytes.fetch_max(bytes, Ordering::Relaxed);
        if bytes > bytes_max {
            watch.exceeded.store(true, Ordering::Relaxed);
            kill_all(Signal::KILL);
        }
        std::thread::sleep(RESIDENT_POLL_INTERVAL);
    }
}

/// Waits for the workload, then ends and collects everything that it left behind.
fn reap_all(child: Pid, watch: &MemoryWatch) -> Result<Ended, StageFailure> {
    let mut ended = None;
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                ended = Some((status.exit_status(), status.terminating_signal()));
                kill_all(Signal::KILL);
            }
            // A leftover may have forked between two kills.
            Ok(_) if ended.is_some() => kill_all(Signal::KILL),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::CHILD) => break,
            Err(error) => return Err(error).at(|| "wait for the workload".to_owned()),
        }
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).at(|| "read the usage".to_owned())?;
    let secs = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    let largest_bytes = u64::try_from(usage.max_rss()).unwrap_or(0) * 1024;
    let (code, signal) = ended.unwrap_or((None, None));
    Ok(Ended {
        code,
        signal,
        over_memory: watch.exceeded.load(Ordering::Relaxed),
        memory_peak_bytes: watch.peak_bytes.load(Ordering::Relaxed).max(largest_bytes),
        cpu_secs: secs(usage.user_time()) + secs(usage.system_time()),
    })
}

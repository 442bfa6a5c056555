//! What the thread of a sandbox and its handle share: the means to reach it and to measure it.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};

use super::report::Usage;
use super::wire::{self, Command};
use crate::limiter::{Limiter, LimiterKind, resident};
use crate::record::Identity;

#[derive(Debug)]
pub(super) struct Shared {
    pub limiter: Limiter,
    reach: Reach,
    frozen: AtomicBool,
    pub peak_bytes: AtomicU64,
}

/// How signals get inside.
#[derive(Debug)]
pub(super) enum Reach {
    /// Through the init; its end is everybody's.
    Init { control: UnixStream, init: Process, workload: i32 },
    /// The workload's process group.
    Group { leader: Pid, identity: Identity },
}

/// A process that cannot be mistaken for a later one.
#[derive(Debug)]
pub(super) struct Process {
    identity: Identity,
    descriptor: Option<OwnedFd>,
}

impl Process {
    pub(super) fn find(pid: i32) -> io::Result<Self> {
        let gone = || io::Error::new(io::ErrorKind::NotFound, "the process has ended");
        let raw = Pid::from_raw(pid).ok_or_else(gone)?;
        // Absent before Linux 5.3.
        let descriptor = pidfd_open(raw, PidfdFlags::empty()).ok();
        Ok(Self { identity: Identity::of(pid).ok_or_else(gone)?, descriptor })
    }

    fn kill(&self) {
        let _ = match &self.descriptor {
            Some(descriptor) => {
                pidfd_send_signal(descriptor, Signal::KILL).map_err(io::Error::from)
            }
            None => self.identity.kill().map(drop),
        };
    }
}

impl Shared {
    pub(super) fn new(limiter: Limiter, reach: Reach) -> Self {
        Self { limiter, reach, frozen: AtomicBool::new(false), peak_bytes: AtomicU64::new(0) }
    }

    pub(super) fn limiter_kind(&self) -> LimiterKind {
        self.limiter.kind()
    }

    /// To the workload's process group.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match &self.reach {
            Reach::Init { control, .. } => wire::send(control, &Command::Signal(signal.as_raw())),
            Reach::Group { .. } => self.signal_all(signal),
        }
    }

    /// To every process inside.
    pub(super) fn signal_all(&self, signal: Signal) -> io::Result<()> {
        match &self.reach {
            Reach::Init { control, .. } => {
                wire::send(control, &Command::SignalAll(signal.as_raw()))
            }
            Reach::Group { leader, identity } if identity.lives() => {
                Ok(kill_process_group(*leader, signal)?)
            }
            Reach::Group { .. } => Ok(()),
        }
    }

    /// At once and without a word.
    pub(super) fn kill(&self) {
        let _ = self.set_frozen(false);
        match &self.reach {
            Reach::Init { init, .. } => init.kill(),
            Reach::Group { .. } => {
                let _ = self.signal_all(Signal::KILL);
            }
        }
    }

    pub(super) fn set_frozen(&self, frozen: bool) -> io::Result<()> {
        if self.frozen.swap(frozen, Ordering::SeqCst) == frozen {
            return Ok(());
        }
        if self.limiter.set_frozen(frozen)? {
            return Ok(());
        }
        self.signal_all(if frozen { Signal::STOP } else { Signal::CONT })
    }

    pub(super) fn usage(&self) -> Usage {
        let root = match &self.reach {
            Reach::Init { workload, .. } => *workload,
            Reach::Group { leader, .. } => leader.as_raw_nonzero().get(),
        };
        let processes = resident::tree(root);
        let (now, peak) = self
            .limiter
            .memory_bytes()
            .unwrap_or_else(|| (processes.iter().map(|pid| resident::of_process(*pid)).sum(), 0));
        let peak = self.peak_bytes.fetch_max(now.max(peak), Ordering::Relaxed).max(now).max(peak);
        Usage {
            memory_bytes: now,
            memory_peak_bytes: peak,
            cpu_secs: processes.iter().map(|pid| resident::cpu_secs(*pid)).sum(),
        }
    }
}

//! The processes that make a sandbox, each a re-execution of this binary under a hidden verb.
//!
//! ```text
//! supervisor ── __sandbox-enter ── __sandbox-init (pid 1) ── __sandbox-exec ──> the workload
//!   (host)       unshares, builds     mounts /proc, pivots,     drops all rights,
//!                the root, waits      relays, reaps, reports    then becomes the workload
//! ```
//! Re-execution instead of fork keeps every stage single-threaded and free of unsafe code. A stage
//! must never print: its output is the workload's.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, unshare};
use rustix::process::{DumpableBehavior, Pid, Signal};

use super::report::{At, StageFailure};
use super::wire::{self, EnterOrder, Mapped, Report};
use super::{caps, exec, init, mounts};
use crate::isolation::IdMapping;
use crate::sandbox::spec::INSIDE_ID;

pub(super) const ENTER: &str = "__sandbox-enter";
pub(super) const INIT: &str = "__sandbox-init";
pub(super) const EXEC: &str = "__sandbox-exec";
/// Ends with success at once: what a probe runs.
pub(crate) const NOTHING: &str = "__sandbox-nothing";

/// After standard input, output and error.
pub(crate) const FIRST_OTHER_DESCRIPTOR: i32 = 3;

/// A stage that could not do its work says so over its socket and ends with this code.
const FAILED: u8 = 125;

/// Becomes a stage of a sandbox when the arguments say so. The binary's `main` calls this first,
/// while it has a single thread; `None` means that this is an ordinary start.
pub fn reexec(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let verb = args.into_iter().nth(1)?;
    let run: fn(&UnixStream) -> Result<ExitCode, StageFailure> = match verb.to_str()? {
        ENTER => enter,
        INIT => init::run,
        EXEC => exec::run,
        NOTHING => return Some(ExitCode::SUCCESS),
        _ => return None,
    };
    let failed = ExitCode::from(FAILED);
    // Whatever the shell of the server's user left open goes no further than here.
    close_fds::set_fds_cloexec(FIRST_OTHER_DESCRIPTOR, &[]);
    let Ok(socket) = take_socket() else { return Some(failed) };
    Some(run(&socket).unwrap_or_else(|failure| {
        // Nobody is left to hear of an error here: the supervisor sees the end of the socket.
        let _ = wire::send(&socket, &Report::Failed(failure));
        failed
    }))
}

/// Standard input carries the socket to the supervisor.
fn take_socket() -> std::io::Result<UnixStream> {
    Ok(UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?))
}

/// The first stage: enters the namespaces, builds the root, and waits for the init.
fn enter(socket: &UnixStream) -> Result<ExitCode, StageFailure> {
    let order: EnterOrder = wire::receive(socket).at(|| "receive the order".to_owned())?;
    let all = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS;
    let step = || "create the namespaces".to_owned();
    match order.ids {
        IdMapping::Own => {
            let (user, group) =
                (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            unshare(all).at(step)?;
            map_own(user, group)?;
            mounts::build(&order.root, &order.plan)?;
            change_to(&order.root)?;
        }
        IdMapping::Pair => {
            // The host's root builds the mounts, so that sources below any directory are reached;
            // the second namespace then locks them against everybody inside.
            unshare(CloneFlags::CLONE_NEWNS).at(|| "create a mount namespace".to_owned())?;
            mounts::build(&order.root, &order.plan)?;
            change_to(&order.root)?;
            unshare(all).at(step)?;
        }
    }
    wire::send(socket, &Report::Unshared).at(|| "report".to_owned())?;
    let Mapped = wire::receive(socket).at(|| "wait for the id maps".to_owned())?;
    die_with_parent(Some(order.parent_pid))?;
    hide_from_debuggers()?;
    caps::pass_on()?;
    let mut child = Command::new("/proc/self/exe")
        .arg(INIT)
        .env_clear()
        .stdin(Stdio::from(
            socket.as_fd().try_clone_to_owned().at(|| "hand over the socket".to_owned())?,
        ))
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit())
        .spawn()
        .at(|| "start the init".to_owned())?;
    // Else the workload's output would not end while this process waits.
    silence()?;
    let status = child.wait().at(|| "wait for the init".to_owned())?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn change_to(root: &Path) -> Result<(), StageFailure> {
    rustix::process::chdir(root).at(|| "change to the new root".to_owned())
}

fn map_own(user: u32, group: u32) -> Result<(), StageFailure> {
    let writes = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/uid_map", format!("{INSIDE_ID} {user} 1")),
        ("/proc/self/gid_map", format!("{INSIDE_ID} {group} 1")),
    ];
    for (path, text) in writes {
        std::fs::write(path, text).at(|| format!("write {path}"))?;
    }
    Ok(())
}

/// SIGKILL when the parent thread ends. The parent may be gone already: then its id has changed.
pub(super) fn die_with_parent(expected: Option<i32>) -> Result<(), StageFailure> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .at(|| "tie to the parent".to_owned())?;
    let parent = rustix::process::getppid().map(Pid::as_raw_nonzero).map(i32::from);
    if expected.is_some() && parent != expected {
        return Err(StageFailure {
            step: "tie to the parent".to_owned(),
            cause: "the parent has ended".to_owned(),
            errno: None,
        });
    }
    Ok(())
}

pub(super) fn hide_from_debuggers() -> Result<(), StageFailure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .at(|| "become non-dumpable".to_owned())
}

/// Puts /dev/null in the place of standard input, output and error.
pub(super) fn silence() -> Result<(), StageFailure> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .at(|| "open /dev/null".to_owned())?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .at(|| "let go of the standard streams".to_owned())
}

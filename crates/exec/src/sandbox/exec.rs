//! The last stage: gives up every right, then becomes the workload.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::{fs::Gid, fs::Uid};

use super::report::{At, StageFailure};
use super::stages::die_with_parent;
use super::wire::{self, ExecOrder};
use super::{caps, seccomp};

pub(super) fn run(socket: &UnixStream) -> Result<ExitCode, StageFailure> {
    let order: ExecOrder = wire::receive(socket).at(|| "receive the order".to_owned())?;
    let null = fs::File::open("/dev/null").at(|| "open /dev/null".to_owned())?;
    rustix::stdio::dup2_stdin(&null).at(|| "let go of standard input".to_owned())?;
    // A session of its own: signals reach the workload and its children as one group.
    rustix::process::setsid().at(|| "start a session".to_owned())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    spread_over_cpus(order.cpus)?;
    limit(Resource::Nofile, order.files)?;
    limit(Resource::Core, 0)?;
    caps::empty_bounding_set()?;
    if let Some(id) = order.become_id {
        become_user(id)?;
    }
    // Counted for the user, and so set after the user is the workload's.
    if let Some(processes) = order.processes_max {
        limit(Resource::Nproc, processes)?;
    }
    rustix::process::chdir(&order.cwd).at(|| format!("change to {}", order.cwd.display()))?;
    caps::keep_only(CapabilitySet::empty())?;
    if let Some(parent) = order.parent_pid {
        die_with_parent(Some(parent))?;
    }
    rustix::thread::set_no_new_privs(true).at(|| "set no_new_privs".to_owned())?;
    if let Some(rules) = &order.landlock {
        rules.apply().map_err(io::Error::other).at(|| "confine by Landlock".to_owned())?;
    }
    seccomp::apply()?;
    let error = Command::new(&order.program)
        .args(&order.args)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .exec();
    Err(error).at(|| format!("execute {}", order.program.display()))
}

fn become_user(id: u32) -> Result<(), StageFailure> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    let step = || format!("become user {id}");
    rustix::thread::set_thread_groups(&[]).at(step)?;
    rustix::thread::set_thread_res_gid(group, group, group).at(step)?;
    rustix::thread::set_thread_res_uid(user, user, user).at(step)
}

fn limit(resource: Resource, value: u64) -> Result<(), StageFailure> {
    // Raising the hard limit takes a privilege that an ordinary user lacks.
    let value = getrlimit(resource).maximum.map_or(value, |maximum| maximum.min(value));
    setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) })
        .at(|| format!("limit {resource:?}"))
}

/// Takes some of the CPUs that are allowed, not always the first ones: sandboxes are spread by
/// their process id.
fn spread_over_cpus(count: u32) -> Result<(), StageFailure> {
    let step = || "choose CPUs".to_owned();
    let allowed = sched_getaffinity(None).at(step)?;
    let numbers: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let wanted = usize::try_from(count).unwrap_or(usize::MAX);
    if wanted >= numbers.len() {
        return Ok(());
    }
    let seed =
        usize::try_from(rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get()))
            .unwrap_or(0);
    let mut chosen = CpuSet::new();
    for cpu in numbers.iter().cycle().skip(seed % numbers.len()).take(wanted) {
        chosen.set(*cpu);
    }
    sched_setaffinity(None, &chosen).at(step)
}

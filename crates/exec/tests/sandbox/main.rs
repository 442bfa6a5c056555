//! Real sandboxes, on whatever rung this machine grants, and again under other conditions: as an
//! ordinary user, and with user namespaces denied.
//!
//! This program is every process of its tests: the stages of the sandbox, the workloads, and the
//! supervisors.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of this is test code, which the lints cannot see without the usual harness"
)]

mod basics;
mod conditions;
mod hostile;
mod launcher;
mod relays;
mod rig;
mod workload;

use std::process::ExitCode;

use kennel_exec::Isolation;
use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(code) = kennel_exec::reexec(std::env::args_os()) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [workload::VERB, rest @ ..] => return workload::run(rest),
        [launcher::VERB, run_dir, rest @ ..] => return launcher::supervise(run_dir.as_ref(), rest),
        _ => {}
    }
    let arguments = Arguments::from_args();
    let found = rig::probe();
    let mut trials: Vec<Trial> = Vec::new();
    // The lowest rung works everywhere, and so is tried everywhere.
    let rungs = [found.isolation, Isolation::Plain];
    for isolation in rungs.into_iter().take(if found.isolation == Isolation::Plain { 1 } else { 2 })
    {
        trials.extend(basics::trials(isolation));
        trials.extend(relays::trials(isolation));
        trials.extend(hostile::trials(isolation));
    }
    trials.extend(launcher::trials(found.isolation));
    trials.extend(conditions::trials(&found, &arguments));
    libtest_mimic::run(&arguments, trials).exit_code()
}

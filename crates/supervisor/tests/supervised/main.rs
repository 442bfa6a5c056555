//! Real supervisors with real sandboxes, against a bucket and a log in memory.
//!
//! This program is every process of its tests: the supervisors, the stages of their sandboxes and
//! the workloads.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "all of this is test code, which the lints cannot see without the usual harness"
)]

mod aws;
mod rig;
mod serving;
mod training;
mod workload;

use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    if let Some(code) = kennel_exec::reexec(std::env::args_os()) {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["__supervise", run_dir] => {
            let native = kennel_supervisor::Native { engine_library: || None };
            kennel_supervisor::main(Path::new(run_dir), &native)
        }
        ["image-classification", verb] => workload::run(verb),
        _ => {
            let mut trials = training::trials();
            trials.extend(serving::trials());
            libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
        }
    }
}

//! The `kennel` binary: the server, the verbs that talk to it, and the hidden verbs under which
//! it runs supervisors, sandboxes and the native workload.

mod commands;
mod connect;
mod crash_points;
mod data_dir;
mod defaults;
mod failure;
mod logging;
mod printer;
mod progress;
mod sagemaker;
mod server;
mod upload;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // Sandbox stages must run before any thread exists.
    if let Some(code) = kennel_exec::reexec(std::env::args_os()) {
        return code;
    }
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("__supervise") => {
            let run_dir = arguments.next().unwrap_or_default();
            let native = kennel_supervisor::Native {
                engine_library: || kennel_vision::engine::locate().map(|located| located.path),
            };
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
            kennel_supervisor::main(Path::new(&run_dir), &native)
        }
        Some("image-classification") => {
            let rest: Vec<String> =
                arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
            kennel_vision::main(&rest)
        }
        Some("__operations") => commands::operations::print(),
        _ => run(commands::CommandLine::parse()),
    }
}

#[tokio::main]
async fn run(command_line: commands::CommandLine) -> ExitCode {
    match commands::run(command_line).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            printer::remark(&format!("error: {failure}"));
            if let Some(hint) = failure.hint() {
                printer::remark(&format!("hint: {hint}"));
            }
            failure.exit_code()
        }
    }
}

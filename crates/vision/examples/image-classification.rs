//! The workload as a program of its own: `image-classification train` or `serve`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    kennel_vision::main(&args)
}

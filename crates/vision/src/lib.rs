//! The native workload: image classification on the SageMaker container contract.

pub mod backbone;
mod canvas;
pub mod engine;
mod host;
mod log;
mod onnx;
pub mod picture;
pub mod plot;
pub mod preprocess;
mod random;
pub mod train;

use std::process::ExitCode;

/// Runs the workload; `args` is what stands behind `image-classification`.
pub fn main(args: &[String]) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("train") => train::run(&train::Options::from_environment()),
        _ => ExitCode::from(2),
    }
}

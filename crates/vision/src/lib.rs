//! The native workload: image classification on the SageMaker container contract.
//!
//! [`train`] learns to tell classes of pictures apart, [`serve`] answers what pictures show;
//! [`draw`] makes a data set for a machine that has none, and [`plot`] shows people what came out.
//! The crate knows its base directory (`/opt/ml`), its port and the hosts it fetches pictures
//! from, and nothing of AWS's APIs, of buckets or of the server that started it. It starts no
//! processes.
//!
//! Read [`train`] next, from the top.

pub mod backbone;
mod canvas;
pub mod draw;
pub mod engine;
mod host;
pub mod log;
mod onnx;
pub mod picture;
pub mod plot;
pub mod preprocess;
mod random;
pub mod serve;
pub mod train;

use std::process::ExitCode;

/// The exit code of a program that was called wrongly.
const USAGE: u8 = 2;

/// Runs the workload: `args` is `train`, or `serve` and its options. Everything else comes from
/// the environment and the files that the container contract names.
pub fn main(args: &[String]) -> ExitCode {
    let log = log::Log::default();
    match args.split_first() {
        Some((verb, [])) if verb == "train" => train::run(&train::Options::from_environment()),
        Some((verb, rest)) if verb == "serve" => match serve::Options::from_environment(rest) {
            Ok(options) => serve::run(options),
            Err(error) => {
                log.line(&format!("Serving failed: {}.", engine::describe(&error)));
                ExitCode::from(USAGE)
            }
        },
        _ => {
            log.line("usage: image-classification train | serve [--bind ADDRESS]");
            ExitCode::from(USAGE)
        }
    }
}

//! The inference engines: what runs an ONNX model.
//!
//! Two engines give the same numbers within 1e-3 and pass the same tests. ONNX Runtime is the
//! fast one, loaded at run time from a library that may or may not be on the machine; `rten` is
//! pure Rust and always there. Nothing here may fail because ONNX Runtime is absent or broken.

mod locate;
mod onnxruntime;
mod portable;

pub use locate::{Located, locate};

use crate::log::Log;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{engine} cannot load the model")]
    Load {
        engine: &'static str,
        #[source]
        source: Cause,
    },
    #[error("{engine} cannot run the model")]
    Run {
        engine: &'static str,
        #[source]
        source: Cause,
    },
    #[error("the batch has {found} values instead of {expected}")]
    Batch { found: usize, expected: usize },
    #[error("the model gives no tensor of 32-bit floats")]
    Output,
}

/// What an engine said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Something that can run ONNX models.
pub trait Engine: Send + Sync {
    /// Name and version, for logs and `metrics.json`.
    fn name(&self) -> &str;

    /// Loads an ONNX model with one input and one output, `copies` times, each for one caller
    /// at a time and `threads` threads. The copies share the weights as far as the engine can.
    fn load(
        &self,
        model: &[u8],
        copies: usize,
        threads: usize,
    ) -> Result<Vec<Box<dyn Model>>, Error>;
}

/// A loaded model.
pub trait Model: Send {
    /// Runs a batch of shape N x C x H x W in row-major order; gives N rows one after another.
    /// Equal batches give equal numbers.
    fn run(&mut self, shape: [usize; 4], batch: &[f32]) -> Result<Vec<f32>, Error>;
}

/// The engine to use, and why.
pub struct Choice {
    pub engine: Box<dyn Engine>,
    /// One sentence for the log. It says what to do where the fast engine is absent.
    pub why: String,
}

/// Chooses ONNX Runtime where its library is found and works, else rten.
///
/// The library is looked for in `KENNEL_ONNXRUNTIME` (a path; `off` for none), then in
/// `KENNEL_RUNTIME_DIR`, the system's library directories and installed Python packages.
pub fn choose() -> Choice {
    if locate::switched_off() {
        return portable_because("KENNEL_ONNXRUNTIME=off");
    }
    let mut failures = Vec::new();
    for candidate in locate::candidates() {
        match onnxruntime::OnnxRuntime::open(&candidate.path) {
            Ok(engine) => {
                let why = format!(
                    "Inference engine: {} ({}, {}).",
                    engine.name(),
                    candidate.source,
                    candidate.path.display()
                );
                return Choice { engine: Box::new(engine), why };
            }
            Err(error) => failures.push(format!(
                "`{}` does not load ({})",
                candidate.path.display(),
                describe(&*error)
            )),
        }
    }
    match failures.first() {
        Some(failure) => portable_because(failure),
        None => portable_because("ONNX Runtime is not on this machine"),
    }
}

/// The pure-Rust engine, by name: for tests and comparisons.
pub fn portable() -> Box<dyn Engine> {
    Box::new(portable::Rten)
}

/// Chooses the engine and says so in the log.
pub fn choose_and_log(log: &Log) -> Box<dyn Engine> {
    let choice = choose();
    log.line(&choice.why);
    choice.engine
}

fn portable_because(reason: &str) -> Choice {
    let engine = portable();
    let why = format!(
        "Inference engine: {}, because {reason}; for about five times the speed install \
         ONNX Runtime (`pip install onnxruntime`) or set KENNEL_ONNXRUNTIME to the path of \
         its library.",
        engine.name()
    );
    Choice { engine, why }
}

/// An error and its causes in one line.
pub(crate) fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn check_batch(shape: [usize; 4], batch: &[f32]) -> Result<(), Error> {
    let expected = shape.iter().product();
    if batch.len() == expected {
        return Ok(());
    }
    Err(Error::Batch { found: batch.len(), expected })
}

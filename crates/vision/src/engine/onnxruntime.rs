//! ONNX Runtime, opened at run time from a shared library.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder};
use ort::value::TensorRef;

use super::{Cause, Engine, Error, Model, check_batch};

const NAME: &str = "ONNX Runtime";

/// The library can be opened once a process, so the first that opened is kept.
static OPENED: Mutex<Option<OnnxRuntime>> = Mutex::new(None);

#[derive(Clone)]
pub struct OnnxRuntime {
    environment: Environment,
    name: String,
}

impl OnnxRuntime {
    /// Opens the library, or gives the one that this process opened before.
    pub fn open(library: &Path) -> Result<Self, Cause> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = opened.as_ref() {
            return Ok(runtime.clone());
        }
        let runtime = Self::open_first(library)?;
        *opened = Some(runtime.clone());
        Ok(runtime)
    }

    fn open_first(library: &Path) -> Result<Self, Cause> {
        let environment =
            ort::init_from(library)?.with_name("kennel").with_telemetry(false).build()?;
        environment.set_log_level(ort::logging::LogLevel::Error);
        Ok(Self { environment, name: name_with_version(library) })
    }

    fn session(
        &self,
        model: &[u8],
        threads: usize,
        weights: &PrepackedWeights,
    ) -> Result<Session, ort::Error> {
        let builder: SessionBuilder = Session::builder(&self.environment)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            .with_intra_op_spinning(false)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_prepacked_weights(weights)?;
        let mut builder = builder;
        builder.commit_from_memory(model)
    }
}

impl Engine for OnnxRuntime {
    fn name(&self) -> &str {
        &self.name
    }

    fn load(
        &self,
        model: &[u8],
        copies: usize,
        threads: usize,
    ) -> Result<Vec<Box<dyn Model>>, Error> {
        let weights = PrepackedWeights::new();
        (0..copies)
            .map(|_| {
                let session = self
                    .session(model, threads, &weights)
                    .map_err(|source| Error::Load { engine: NAME, source: source.into() })?;
                let loaded: Box<dyn Model> = Box::new(OnnxRuntimeModel { session });
                Ok(loaded)
            })
            .collect()
    }
}

struct OnnxRuntimeModel {
    session: Session,
}

impl Model for OnnxRuntimeModel {
    fn run(&mut self, shape: [usize; 4], batch: &[f32]) -> Result<Vec<f32>, Error> {
        check_batch(shape, batch)?;
        let failed = |source: ort::Error| Error::Run { engine: NAME, source: source.into() };
        let input = TensorRef::from_array_view((shape, batch)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![input]).map_err(failed)?;
        let (_, output) = outputs.iter().next().ok_or(Error::Output)?;
        let (_, values) = output.try_extract_tensor::<f32>().map_err(failed)?;
        Ok(values.to_vec())
    }
}

/// The version stands in the library's file name: `libonnxruntime.so.1.32.0`.
fn name_with_version(library: &Path) -> String {
    let file = library.file_name().unwrap_or_default().to_string_lossy();
    let version = file
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .trim_end_matches(|c: char| !c.is_ascii_digit());
    if version.is_empty() { NAME.to_owned() } else { format!("{NAME} {version}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_file_name() {
        let name = |path: &str| name_with_version(Path::new(path));
        assert_eq!(name("/x/libonnxruntime.so.1.32.0"), "ONNX Runtime 1.32.0");
        assert_eq!(name("/x/libonnxruntime.1.32.0.dylib"), "ONNX Runtime 1.32.0");
        assert_eq!(name("/x/libonnxruntime.so"), "ONNX Runtime");
    }
}

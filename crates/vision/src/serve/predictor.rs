//! The loaded model: a copy for each core, lent to one picture at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::engine::{self, Model};
use crate::log::Log;
use crate::picture;
use crate::preprocess::{self, Preprocessing};

/// A model of more bytes could not be one protobuf message.
const MODEL_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Labels and preprocessing are small; more is no such file.
const JSON_BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{path}` cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` has {bytes} bytes, which is too much")]
    Size { path: PathBuf, bytes: u64 },
    #[error("`{path}` is not what this workload writes")]
    Format {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("the model gives {found} numbers for {labels} labels")]
    Labels { found: usize, labels: usize },
    #[error("the picture cannot be decoded")]
    Picture(#[from] picture::Error),
    #[error("the picture cannot be prepared")]
    Preprocess(#[from] preprocess::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("the engine broke down")]
    Broken,
}

pub struct Predictor {
    labels: Vec<String>,
    preprocessing: Preprocessing,
    models: Arc<Mutex<Vec<Classifier>>>,
    free: Semaphore,
    healthy: AtomicBool,
}

impl Predictor {
    /// Loads `model.onnx`, `labels.json` and `preprocess.json`, and `head.onnx` where the model is
    /// a backbone alone; lets the model answer a first
    /// picture, so that nobody waits for what engines do only once.
    pub fn load(folder: &Path, threads: usize, log: &Log) -> Result<Self, Error> {
        let labels: Vec<String> = read_json(&folder.join("labels.json"))?;
        let preprocessing: Preprocessing = read_json(&folder.join("preprocess.json"))?;
        preprocessing.check()?;
        let model = read(&folder.join("model.onnx"), MODEL_BYTES_MAX)?;
        let head = folder.join("head.onnx");
        let head = head.exists().then(|| read(&head, MODEL_BYTES_MAX)).transpose()?;
        let engine = engine::choose_and_log(log);
        let mut heads = match head {
            Some(bytes) => engine.load(&bytes, threads, 1)?,
            None => Vec::new(),
        };
        let models = engine.load(&model, threads, 1)?;
        let mut models: Vec<Classifier> =
            models.into_iter().map(|model| Classifier { model, head: heads.pop() }).collect();
        let black = vec![0.0; preprocessing.len()];
        for model in &mut models {
            let found = model.run(preprocessing.shape(1), &black)?.len();
            if found != labels.len() {
                return Err(Error::Labels { found, labels: labels.len() });
            }
        }
        Ok(Self {
            labels,
            preprocessing,
            free: Semaphore::new(models.len()),
            models: Arc::new(Mutex::new(models)),
            healthy: AtomicBool::new(true),
        })
    }

    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// False once a copy of the model was lost.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// One logit a label for an encoded picture. Whoever drops the future before its turn costs
    /// no computation.
    pub async fn predict(&self, bytes: Bytes) -> Result<Vec<f32>, Error> {
        let _turn = self.free.acquire().await.map_err(|_| Error::Broken)?;
        let (models, preprocessing) = (Arc::clone(&self.models), self.preprocessing);
        let work = tokio::task::spawn_blocking(move || {
            let lock = || models.lock().unwrap_or_else(PoisonError::into_inner);
            let mut model = lock().pop().ok_or(Error::Broken)?;
            let row = predict_with(&mut model, &preprocessing, &bytes);
            lock().push(model);
            row
        });
        let row = work.await.unwrap_or(Err(Error::Broken));
        if matches!(row, Err(Error::Broken)) {
            self.healthy.store(false, Ordering::Relaxed);
        }
        row
    }
}

/// A model from pictures to logits, in one piece or as a backbone with a head behind it.
struct Classifier {
    model: Box<dyn Model>,
    head: Option<Box<dyn Model>>,
}

impl Classifier {
    /// Runs one picture.
    fn run(&mut self, shape: [usize; 4], batch: &[f32]) -> Result<Vec<f32>, engine::Error> {
        let output = self.model.run(shape, batch)?;
        match &mut self.head {
            Some(head) => head.run([1, output.len(), 1, 1], &output),
            None => Ok(output),
        }
    }
}

fn predict_with(
    model: &mut Classifier,
    preprocessing: &Preprocessing,
    bytes: &[u8],
) -> Result<Vec<f32>, Error> {
    let picture = picture::decode(bytes)?;
    let mut batch = Vec::with_capacity(preprocessing.len());
    preprocessing.append(&picture, &mut batch)?;
    Ok(model.run(preprocessing.shape(1), &batch)?)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path, JSON_BYTES_MAX)?)
        .map_err(|source| Error::Format { path: path.to_owned(), source })
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let bytes = fs::metadata(path).map_err(failed)?.len();
    if bytes > bytes_max {
        return Err(Error::Size { path: path.to_owned(), bytes });
    }
    fs::read(path).map_err(failed)
}

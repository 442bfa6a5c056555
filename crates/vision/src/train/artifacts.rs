//! What a training job leaves: the model directory, pictures and tables of how it went, failures.
//!
//! Every file is written beside its place and renamed into it, the model itself last, so that
//! whoever finds `model.onnx` finds a whole model.

use std::borrow::Cow;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::head::Layer;
use crate::backbone;
use crate::plot;
use crate::preprocess::Preprocessing;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{path}` cannot be written")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the model cannot be put together")]
    Backbone(#[from] backbone::Error),
    #[error("a plot cannot be drawn")]
    Plot(#[from] plot::Error),
    #[error("a number cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// `metrics.json`.
#[derive(Debug, Serialize)]
pub struct Metrics {
    pub engine: String,
    pub backbone: String,
    pub classes: usize,
    pub images: ImageCounts,
    pub best_epoch: usize,
    pub train_accuracy: f32,
    pub validation_accuracy: f32,
    pub test_accuracy: Option<f32>,
    pub test_loss: Option<f32>,
    pub secs: Seconds,
    pub history: Vec<plot::Epoch>,
}

#[derive(Debug, Serialize)]
pub struct ImageCounts {
    pub train: usize,
    pub validation: usize,
    pub test: usize,
    pub skipped: usize,
}

#[derive(Debug, Serialize)]
pub struct Seconds {
    pub features: f64,
    pub training: f64,
    pub total: f64,
}

/// Everything that is written at the end.
pub struct Model<'a> {
    pub layer: &'a Layer,
    pub labels: &'a [String],
    pub preprocessing: Preprocessing,
    /// The bytes of a backbone that is not the carried one.
    pub backbone: Option<&'a [u8]>,
    pub metrics: &'a Metrics,
    /// `[actual][predicted]`.
    pub confusion: &'a [Vec<u32>],
    pub confusion_title: &'a str,
}

/// Writes `output/data` and then `model`.
pub fn write(base: &Path, model: &Model<'_>) -> Result<(), Error> {
    let data = base.join("output/data");
    let metrics = serde_json::to_vec_pretty(model.metrics)?;
    let history = &model.metrics.history;
    put(&data.join("confusion_matrix.csv"), confusion_csv(model).as_bytes())?;
    let matrix = plot::confusion_matrix(model.confusion_title, model.labels, model.confusion)?;
    put(&data.join("confusion_matrix.png"), &matrix)?;
    put(&data.join("training_curve.csv"), curve_csv(history).as_bytes())?;
    let curve = plot::training_curve("Training curve", history)?;
    put(&data.join("training_curve.png"), &curve)?;
    put(&data.join("metrics.json"), &metrics)?;

    let folder = base.join("model");
    put(&folder.join("labels.json"), &serde_json::to_vec_pretty(model.labels)?)?;
    put(&folder.join("preprocess.json"), &serde_json::to_vec_pretty(&model.preprocessing)?)?;
    put(&folder.join("metrics.json"), &metrics)?;
    let weights: Vec<f32> = model.layer.weights.iter().copied().collect();
    let bias: Vec<f32> = model.layer.bias.iter().copied().collect();
    let head = backbone::Head { classes: bias.len(), weights: &weights, bias: &bias };
    let head_path = folder.join("head.onnx");
    let model_bytes = match model.backbone {
        Some(bytes) => {
            put(&head_path, &backbone::head_model(&head)?)?;
            Cow::Borrowed(bytes)
        }
        None => {
            remove(&head_path)?;
            Cow::Owned(backbone::classifier_model(&head)?)
        }
    };
    put(&folder.join("model.onnx"), &model_bytes)
}

/// A head that an earlier run left would be put behind a model that has one.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Writes the sentence that becomes the job's FailureReason.
pub fn write_failure(base: &Path, sentence: &str) -> Result<(), Error> {
    put(&base.join("output/failure"), sentence.as_bytes())
}

/// Writes a file whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = fs::File::create(&partial)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&partial, path));
    written.map_err(|source| {
        // Best effort: the error that matters is the one that is returned.
        drop(fs::remove_file(&partial));
        failed(source)
    })
}

fn confusion_csv(model: &Model<'_>) -> String {
    let mut csv = String::from("actual");
    for label in model.labels {
        csv.push(',');
        csv.push_str(&csv_field(label));
    }
    csv.push('\n');
    for (label, row) in model.labels.iter().zip(model.confusion) {
        csv.push_str(&csv_field(label));
        for count in row {
            csv.push_str(&format!(",{count}"));
        }
        csv.push('\n');
    }
    csv
}

fn curve_csv(history: &[plot::Epoch]) -> String {
    let mut csv =
        String::from("epoch,train_loss,train_accuracy,validation_loss,validation_accuracy\n");
    for epoch in history {
        csv.push_str(&format!(
            "{},{},{},{},{}\n",
            epoch.epoch,
            epoch.train_loss,
            epoch.train_accuracy,
            epoch.validation_loss,
            epoch.validation_accuracy
        ));
    }
    csv
}

/// Folder names may hold commas and quotes.
fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_whole_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/file");
        put(&path, b"one").unwrap();
        put(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("model"), "").unwrap();
        let error = put(&dir.path().join("model/model.onnx"), b"x").unwrap_err();
        assert!(error.to_string().contains("model.onnx"));
    }

    #[test]
    fn labels_with_commas_stay_one_field() {
        assert_eq!(csv_field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv_field("001.Pug"), "001.Pug");
    }
}

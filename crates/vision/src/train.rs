//! `train`: from folders of pictures to a model directory, on the SageMaker container contract.
//!
//! The backbone is frozen, so every picture goes through it once; the head is then trained on the
//! features in seconds. Lines on standard output carry the metrics. A failure is one sentence in
//! `output/failure` and the exit code 1; a SIGTERM keeps the best model so far and exits 0. The
//! model directory holds a whole model or none. Nothing outside the base directory is written.

mod artifacts;
mod base;
mod channels;
mod features;
mod head;
mod hyperparameters;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde::Deserialize;

use crate::engine;
use crate::host;
use crate::log::Log;
use crate::plot;
use artifacts::{ImageCounts, Metrics, Seconds};
use base::Base;
use channels::Dataset;
use features::{Extractor, Features};
use head::{Layer, Scaler, Score, Training};
use hyperparameters::Hyperparameters;

/// SageMaker shows this many characters of a failure.
const FAILURE_CHARACTERS_MAX: usize = 1024;
/// Unusable pictures that are named in the log before it only counts them.
const SKIPPED_NAMED_MAX: usize = 200;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{path}` cannot be read")]
    Configuration {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("`{path}` is not what the container contract says")]
    ConfigurationFormat {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error(
        "channel `{channel}` has {member} `{value}`, and this workload reads only `{expected}`"
    )]
    Channel { channel: String, member: &'static str, value: String, expected: &'static str },
    #[error("channel `{0}` is configured but its folder is missing or empty")]
    ChannelMissing(String),
    #[error("{0} instances were given, and this workload trains on one")]
    Instances(usize),
    #[error("hyperparameter `num_classes` is {given} but the training data has {found} classes")]
    Classes { given: usize, found: usize },
    #[error("class `{0}` of the training data has no picture that can be read")]
    UnreadableClass(String),
    #[error("no picture of the {0} data can be read")]
    Unreadable(&'static str),
    #[error("SIGTERM cannot be handled")]
    Signal(#[source] std::io::Error),
    #[error(transparent)]
    Hyperparameters(#[from] hyperparameters::Error),
    #[error(transparent)]
    Channels(#[from] channels::Error),
    #[error(transparent)]
    Features(#[from] features::Error),
    #[error(transparent)]
    Base(#[from] base::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Artifacts(#[from] artifacts::Error),
}

/// Where to work and with how many cores.
#[derive(Debug, Clone)]
pub struct Options {
    /// `/opt/ml` of the container contract.
    pub base: PathBuf,
    pub threads: usize,
}

impl Options {
    /// What the environment says.
    pub fn from_environment() -> Self {
        Self { base: host::base_directory(), threads: host::threads() }
    }
}

/// Runs the job; the exit code is the container's.
pub fn run(options: &Options) -> ExitCode {
    let log = Log::default();
    match Job::new(options, &log).and_then(Job::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let sentence = failure_sentence(&error);
            log.line(&format!("Training failed: {sentence}"));
            if let Err(error) = artifacts::write_failure(&options.base, &sentence) {
                log.line(&format!("The failure was not written: {}", engine::describe(&error)));
            }
            ExitCode::FAILURE
        }
    }
}

fn failure_sentence(error: &Error) -> String {
    let text = engine::describe(error);
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    let sentence = first.into_iter().chain([characters.collect()]).collect::<String>() + ".";
    sentence.chars().take(FAILURE_CHARACTERS_MAX).collect()
}

struct Job<'a> {
    options: &'a Options,
    log: &'a Log,
    settings: Hyperparameters,
    dataset: Dataset,
    stop: Arc<AtomicBool>,
    start: Instant,
}

impl<'a> Job<'a> {
    /// Reads and checks everything that was given, before any work.
    fn new(options: &'a Options, log: &'a Log) -> Result<Self, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&stop))
            .map_err(Error::Signal)?;
        let config = options.base.join("input/config");
        let settings = match read_optional(&config.join("hyperparameters.json"))? {
            Some(json) => Hyperparameters::parse(&json)?,
            None => Hyperparameters::default(),
        };
        check_instances(&config.join("resourceconfig.json"))?;
        let data = options.base.join("input/data");
        check_channels(&config.join("inputdataconfig.json"), &data)?;
        let dataset = channels::read(&data, settings.seed)?;
        let job = Self { options, log, settings, dataset, stop, start: Instant::now() };
        job.check_counts()?;
        job.introduce();
        Ok(job)
    }

    fn run(self) -> Result<(), Error> {
        let engine = engine::choose_and_log(self.log);
        let base = Base::open(self.dataset.backbone.as_deref())?;
        let mut models = engine.load(&base.model, self.options.threads, 1)?;
        let width = base.width(&mut models)?;
        let mut extractor = Extractor { models, preprocessing: base.preprocessing, width };
        let mut extract =
            |what, samples: &[channels::Sample]| extractor.run(what, samples, &self.stop, self.log);
        let train = extract("training", &self.dataset.train)?;
        let validation = extract("validation", &self.dataset.validation)?;
        let mut skipped = self.report_skipped(&[&train, &validation]);
        if !train.complete || !validation.complete {
            self.log.line("Stopped before the first epoch: there is no model to keep.");
            return Ok(());
        }
        self.check_usable(&train, &validation)?;

        let begin = Instant::now();
        let fitted = self.fit(train, &validation);
        let training_secs = begin.elapsed().as_secs_f64();

        let test = extract("test", &self.dataset.test)?;
        skipped += self.report_skipped(&[&test]);
        let outcome = self.evaluate(&fitted, &validation, &test);
        let images = ImageCounts {
            train: fitted.pictures,
            validation: validation.classes.len(),
            test: test.classes.len(),
            skipped,
        };
        let total = self.start.elapsed().as_secs_f64();
        let secs = Seconds { features: total - training_secs, training: training_secs, total };
        let metrics = Metrics {
            engine: engine.name().to_owned(),
            backbone: base.name.to_owned(),
            classes: self.dataset.labels.len(),
            images,
            best_epoch: fitted.best.epoch,
            train_accuracy: fitted.best.train_accuracy,
            validation_accuracy: fitted.best.validation_accuracy,
            test_accuracy: outcome.test.map(|score| score.accuracy),
            test_loss: outcome.test.map(|score| score.loss),
            secs,
            history: fitted.history,
        };
        let model = artifacts::Model {
            layer: &fitted.layer,
            labels: &self.dataset.labels,
            preprocessing: base.preprocessing,
            backbone: base.foreign(),
            metrics: &metrics,
            confusion: &outcome.confusion,
            confusion_title: outcome.title,
        };
        artifacts::write(&self.options.base, &model)?;
        self.log.line(&format!("Training took {:.1} s in all.", metrics.secs.total));
        Ok(())
    }

    /// Trains the head and keeps the layer of the best epoch.
    fn fit(&self, train: Features, validation: &Features) -> Fitted {
        let scaler = Scaler::fit(&train.rows);
        let rows = scaler.apply(train.rows);
        let count = self.dataset.labels.len();
        let mut training = Training::new(&self.settings, &rows, &train.classes, count);
        let mut history: Vec<plot::Epoch> = Vec::new();
        let mut best: Option<(plot::Epoch, Layer)> = None;
        for number in 1..=self.settings.epochs {
            let Score { loss, accuracy } = training.epoch();
            let layer = scaler.fold(&training.layer);
            let checked = head::evaluate(&layer, validation, 1).score;
            let epoch = plot::Epoch {
                epoch: number,
                train_loss: loss,
                train_accuracy: accuracy,
                validation_loss: checked.loss,
                validation_accuracy: checked.accuracy,
            };
            self.log.line(&epoch_line(&epoch, self.settings.epochs));
            history.push(epoch);
            if best.as_ref().is_none_or(|(best, _)| is_better(&epoch, best)) {
                best = Some((epoch, layer));
            }
            if self.stop.load(Ordering::Relaxed) {
                self.log.line("Asked to stop: the best epoch so far is kept.");
                break;
            }
            if self.may_stop_early(&history) {
                self.log.line("Stopped early: validation:accuracy no longer grows.");
                break;
            }
        }
        let (best, layer) =
            best.unwrap_or_else(|| (plot::Epoch::default(), scaler.fold(&training.layer)));
        self.log.line(&format!("The best epoch is {}.", best.epoch));
        Fitted { layer, best, history, pictures: rows.nrows() }
    }

    /// The rule of the built-in algorithm: no gain above the tolerance for `patience` epochs.
    fn may_stop_early(&self, history: &[plot::Epoch]) -> bool {
        let Some(rule) = self.settings.early_stopping else {
            return false;
        };
        if history.len() < rule.min_epochs.max(rule.patience + 1) {
            return false;
        }
        let (before, recent) = history.split_at(history.len() - rule.patience);
        let best = |epochs: &[plot::Epoch]| {
            epochs.iter().map(|epoch| epoch.validation_accuracy).fold(0.0, f32::max)
        };
        best(recent) <= best(before) + rule.tolerance
    }

    /// Evaluates on the test split, or on the validation split where there is none.
    fn evaluate(&self, fitted: &Fitted, validation: &Features, test: &Features) -> Outcome {
        let k = self.settings.top_k.unwrap_or(1);
        let has_test = test.complete && !test.classes.is_empty();
        let measured = if has_test { test } else { validation };
        let evaluation = head::evaluate(&fitted.layer, measured, k);
        let confusion = confusion(self.dataset.labels.len(), &measured.classes, &evaluation.chosen);
        if !has_test {
            self.log.line(if self.stop.load(Ordering::Relaxed) {
                "Stopped before the end of the test: its results are left out."
            } else {
                "There is no test data: nothing was tested."
            });
            return Outcome { confusion, title: "Confusion matrix, validation data", test: None };
        }
        let score = evaluation.score;
        self.log.line(&format!("Testing Loss: {:.4}", score.loss));
        self.log.line(&format!("Testing Accuracy: {:.4}", score.accuracy));
        if self.settings.top_k.is_some() {
            self.log.line(&format!("Testing Top {k} Accuracy: {:.4}", evaluation.top_k));
        }
        Outcome { confusion, title: "Confusion matrix, test data", test: Some(score) }
    }

    fn check_counts(&self) -> Result<(), Error> {
        let found = self.dataset.labels.len();
        match self.settings.num_classes {
            Some(given) if given != found => Err(Error::Classes { given, found }),
            _ => Ok(()),
        }
    }

    fn introduce(&self) {
        let Dataset { labels, train, validation, test, notes, .. } = &self.dataset;
        self.log.line(&format!(
            "Image classification: {} classes; {} training, {} validation and {} test pictures; \
             {} cores.",
            labels.len(),
            train.len(),
            validation.len(),
            test.len(),
            self.options.threads
        ));
        self.log.line(&format!("Hyperparameters: {}.", self.settings.summary()));
        if let Some(given) = self.settings.num_training_samples.filter(|n| *n != train.len()) {
            self.log.line(&format!(
                "num_training_samples={given} differs from the {} training pictures; all are used.",
                train.len()
            ));
        }
        for note in self.settings.notes.iter().chain(notes) {
            self.log.line(note);
        }
    }

    /// Names the pictures that were left out; gives their number.
    fn report_skipped(&self, parts: &[&Features]) -> usize {
        let skipped: Vec<_> = parts.iter().flat_map(|part| &part.skipped).collect();
        let data = self.options.base.join("input/data");
        for (path, reason) in skipped.iter().take(SKIPPED_NAMED_MAX) {
            let name = path.strip_prefix(&data).unwrap_or(path);
            self.log.line(&format!("Skipped `{}`: {reason}.", name.display()));
        }
        if !skipped.is_empty() {
            self.log.line(&format!("Skipped {} pictures in all.", skipped.len()));
        }
        skipped.len()
    }

    fn check_usable(&self, train: &Features, validation: &Features) -> Result<(), Error> {
        for (class, label) in self.dataset.labels.iter().enumerate() {
            if !train.classes.contains(&class) {
                return Err(Error::UnreadableClass(label.clone()));
            }
        }
        if validation.classes.is_empty() {
            return Err(Error::Unreadable("validation"));
        }
        Ok(())
    }
}

/// The trained head and how it came about.
struct Fitted {
    layer: Layer,
    best: plot::Epoch,
    history: Vec<plot::Epoch>,
    pictures: usize,
}

struct Outcome {
    /// `[actual][predicted]`.
    confusion: Vec<Vec<u32>>,
    title: &'static str,
    test: Option<Score>,
}

/// More pictures right, or as many with less doubt.
fn is_better(epoch: &plot::Epoch, best: &plot::Epoch) -> bool {
    epoch.validation_loss < best.validation_loss
}

/// The line that metric definitions read; every number stands behind its own name.
fn epoch_line(epoch: &plot::Epoch, epochs: usize) -> String {
    format!(
        "Epoch {}/{epochs} train:accuracy={:.4} train:loss={:.4} validation:accuracy={:.4} \
         validation:loss={:.4}",
        epoch.epoch,
        epoch.train_accuracy,
        epoch.train_loss,
        epoch.validation_accuracy,
        epoch.validation_loss
    )
}

fn confusion(count: usize, actual: &[usize], predicted: &[usize]) -> Vec<Vec<u32>> {
    let mut counts = vec![vec![0; count]; count];
    for (actual, predicted) in actual.iter().zip(predicted) {
        if let Some(cell) = counts.get_mut(*actual).and_then(|row| row.get_mut(*predicted)) {
            *cell += 1;
        }
    }
    counts
}

/// A configuration file may be absent when the program is run by hand.
fn read_optional(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Configuration { path: path.to_owned(), source }),
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(text) = read_optional(path)? else {
        return Ok(None);
    };
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|source| Error::ConfigurationFormat { path: path.to_owned(), source })
}

#[derive(Deserialize)]
struct ResourceConfig {
    #[serde(default)]
    hosts: Vec<String>,
}

fn check_instances(path: &Path) -> Result<(), Error> {
    match read_json::<ResourceConfig>(path)? {
        Some(config) if config.hosts.len() > 1 => Err(Error::Instances(config.hosts.len())),
        _ => Ok(()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChannelConfig {
    training_input_mode: Option<String>,
    record_wrapper_type: Option<String>,
    compression_type: Option<String>,
}

fn check_channels(path: &Path, data: &Path) -> Result<(), Error> {
    let channels: BTreeMap<String, ChannelConfig> = read_json(path)?.unwrap_or_default();
    for (channel, config) in channels {
        for (member, value, expected) in [
            ("TrainingInputMode", config.training_input_mode, "File"),
            ("RecordWrapperType", config.record_wrapper_type, "None"),
            ("CompressionType", config.compression_type, "None"),
        ] {
            if let Some(value) = value.filter(|value| value != expected) {
                return Err(Error::Channel { channel, member, value, expected });
            }
        }
        let folder = data.join(&channel);
        let filled = fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
        if !filled {
            return Err(Error::ChannelMissing(channel));
        }
    }
    Ok(())
}

//! The hyperparameters of a training job: read, checked and named before any work is done.
//!
//! Two sets of names are understood: those of AWS's built-in Image Classification algorithm and
//! those of a typical training script (`batch_size`, `lr`). A name that means something this
//! workload does not do is refused, unless its value asks for nothing; a name without effect here
//! is accepted and said in the log. Nothing is ignored silently.

use std::collections::BTreeMap;

use serde_json::Value;

/// Enough for any head; a number above is a mistake that would only cost time.
const EPOCHS_MAX: usize = 10_000;
const BATCH_MAX: usize = 65_536;

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum Error {
    #[error("`hyperparameters.json` is not a JSON object of names and values")]
    Format,
    #[error("hyperparameter `{0}` is not known to this workload")]
    Unknown(String),
    #[error("hyperparameter `{name}` has the value `{value}`, which is not {expected}")]
    Value { name: String, value: String, expected: String },
    #[error("hyperparameter `{name}` with the value `{value}` is not supported: {reason}")]
    Unsupported { name: String, value: String, reason: &'static str },
    #[error("hyperparameters `{0}` and `{1}` mean the same: give one of them")]
    Twice(String, String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimizer {
    Adam,
    Sgd,
    Nag,
    RmsProp,
}

/// When to stop before the last epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EarlyStopping {
    pub min_epochs: usize,
    pub patience: usize,
    pub tolerance: f32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Hyperparameters {
    pub epochs: usize,
    pub batch_size: usize,
    pub learning_rate: f32,
    pub optimizer: Optimizer,
    pub weight_decay: f32,
    pub momentum: f32,
    pub beta_1: f32,
    pub beta_2: f32,
    pub gamma: f32,
    pub epsilon: f32,
    /// Epochs at which the learning rate is multiplied by `schedule_factor`; without any, it
    /// falls to zero along half a cosine.
    pub schedule_epochs: Vec<usize>,
    pub schedule_factor: f32,
    pub early_stopping: Option<EarlyStopping>,
    pub weighted_loss: bool,
    pub top_k: Option<usize>,
    pub num_classes: Option<usize>,
    pub num_training_samples: Option<usize>,
    pub seed: u64,
    /// What the log says about values that have no effect here.
    pub notes: Vec<String>,
}

/// The defaults were chosen on the validation split of photos of 25 breeds, never on the test split.
impl Default for Hyperparameters {
    fn default() -> Self {
        Self {
            epochs: 40,
            batch_size: 32,
            learning_rate: 0.02,
            optimizer: Optimizer::Adam,
            weight_decay: 0.0001,
            momentum: 0.9,
            beta_1: 0.9,
            beta_2: 0.999,
            gamma: 0.9,
            epsilon: 1e-8,
            schedule_epochs: Vec::new(),
            schedule_factor: 0.1,
            early_stopping: None,
            weighted_loss: false,
            top_k: None,
            num_classes: None,
            num_training_samples: None,
            seed: 1,
            notes: Vec::new(),
        }
    }
}

impl Hyperparameters {
    /// Reads the text of `hyperparameters.json`.
    pub fn parse(json: &str) -> Result<Self, Error> {
        let Ok(Value::Object(object)) = serde_json::from_str(json) else {
            return Err(Error::Format);
        };
        let mut given = Given::default();
        for (written, value) in object {
            given.add(written, &value)?;
        }
        given.read()
    }

    /// The values in force in one line, for the log.
    pub fn summary(&self) -> String {
        format!(
            "epochs={} batch_size={} learning_rate={} optimizer={:?} weight_decay={} seed={}",
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.optimizer,
            self.weight_decay,
            self.seed
        )
    }
}

/// Names as the algorithm knows them, with the value and the name as it was written.
#[derive(Default)]
struct Given {
    values: BTreeMap<String, (String, String)>,
}

impl Given {
    fn add(&mut self, written: String, value: &Value) -> Result<(), Error> {
        // The SageMaker SDK adds its own settings for script mode; tuning jobs add theirs.
        if written.starts_with("sagemaker_") || written == "_tuning_objective_metric" {
            return Ok(());
        }
        let name = match written.replace('-', "_").as_str() {
            "batch_size" => "mini_batch_size".to_owned(),
            "lr" => "learning_rate".to_owned(),
            name => name.to_owned(),
        };
        let value = match value {
            Value::String(text) => unquote(text),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return Err(Error::Format),
        };
        match self.values.insert(name, (written.clone(), value)) {
            Some((other, _)) => Err(Error::Twice(other, written)),
            None => Ok(()),
        }
    }

    fn read(mut self) -> Result<Hyperparameters, Error> {
        let mut read = Hyperparameters::default();
        self.set("epochs", &mut read.epochs, 1..=EPOCHS_MAX)?;
        self.set("mini_batch_size", &mut read.batch_size, 1..=BATCH_MAX)?;
        read.optimizer = self.optimizer()?;
        if read.optimizer == Optimizer::Sgd || read.optimizer == Optimizer::Nag {
            read.learning_rate = 1.0;
        }
        self.set("learning_rate", &mut read.learning_rate, 1e-6..=100.0)?;
        self.set("weight_decay", &mut read.weight_decay, 0.0..=1.0)?;
        self.set("momentum", &mut read.momentum, 0.0..=0.9999)?;
        self.set("beta_1", &mut read.beta_1, 0.0..=0.9999)?;
        self.set("beta_2", &mut read.beta_2, 0.0..=0.999_999)?;
        self.set("gamma", &mut read.gamma, 0.0..=0.9999)?;
        self.set("eps", &mut read.epsilon, 1e-12..=1.0)?;
        self.set("lr_scheduler_factor", &mut read.schedule_factor, 1e-6..=1.0)?;
        self.set("seed", &mut read.seed, 0..=u64::MAX)?;
        read.schedule_epochs = self.epoch_list()?;
        read.early_stopping = self.early_stopping()?;
        read.weighted_loss = self.flag("use_weighted_loss")?.unwrap_or(false);
        read.top_k = self.optional("top_k", 2..=1000)?;
        read.num_classes = self.optional("num_classes", 2..=100_000)?;
        read.num_training_samples = self.optional("num_training_samples", 1..=usize::MAX)?;
        self.refuse_what_is_not_done(&mut read.notes)?;
        match self.values.into_values().next() {
            Some((written, _)) => Err(Error::Unknown(written)),
            None => Ok(read),
        }
    }

    /// Names of the built-in algorithm whose effect is missing here: values that ask for nothing
    /// pass, values without a meaning for a frozen backbone are noted, others are refused.
    fn refuse_what_is_not_done(&mut self, notes: &mut Vec<String>) -> Result<(), Error> {
        self.only(
            "use_pretrained_model",
            &["1", "true", "True"],
            "the backbone is always the pretrained one",
        )?;
        self.only("multi_label", &["0", "false", "False"], "a picture has one class")?;
        self.only("precision_dtype", &["float32"], "it computes in float32")?;
        self.only("image_shape", &["3,224,224"], "the backbone takes 3,224,224")?;
        self.only("resize", &["256"], "the shorter side is always scaled to 256")?;
        self.only("augmentation_type", &["none", "None", ""], "pictures are not augmented")?;
        for (name, effect) in [
            ("num_layers", "the backbone is EfficientNet-Lite0"),
            ("kv_store", "one instance trains the head"),
            ("checkpoint_frequency", "training the head takes seconds"),
        ] {
            if let Some((written, value)) = self.values.remove(name) {
                notes.push(format!("{written}={value} has no effect: {effect}."));
            }
        }
        Ok(())
    }

    fn only(&mut self, name: &str, accepted: &[&str], reason: &'static str) -> Result<(), Error> {
        match self.values.remove(name) {
            Some((name, value)) if !accepted.contains(&value.as_str()) => {
                Err(Error::Unsupported { name, value, reason })
            }
            _ => Ok(()),
        }
    }

    fn optimizer(&mut self) -> Result<Optimizer, Error> {
        let Some((name, value)) = self.values.remove("optimizer") else {
            return Ok(Hyperparameters::default().optimizer);
        };
        match value.to_ascii_lowercase().as_str() {
            "adam" => Ok(Optimizer::Adam),
            "sgd" => Ok(Optimizer::Sgd),
            "nag" => Ok(Optimizer::Nag),
            "rmsprop" => Ok(Optimizer::RmsProp),
            _ => {
                let expected = "one of adam, sgd, nag and rmsprop".to_owned();
                Err(Error::Value { name, value, expected })
            }
        }
    }

    fn early_stopping(&mut self) -> Result<Option<EarlyStopping>, Error> {
        let mut settings = EarlyStopping { min_epochs: 10, patience: 5, tolerance: 0.0 };
        self.set("early_stopping_min_epochs", &mut settings.min_epochs, 1..=EPOCHS_MAX)?;
        self.set("early_stopping_patience", &mut settings.patience, 1..=EPOCHS_MAX)?;
        self.set("early_stopping_tolerance", &mut settings.tolerance, 0.0..=1.0)?;
        let on = self.flag("early_stopping")?.unwrap_or(false);
        Ok(on.then_some(settings))
    }

    fn epoch_list(&mut self) -> Result<Vec<usize>, Error> {
        let Some((name, value)) = self.values.remove("lr_scheduler_step") else {
            return Ok(Vec::new());
        };
        let epochs: Option<Vec<usize>> =
            value.split(',').map(|epoch| epoch.trim().parse().ok()).collect();
        epochs.ok_or_else(|| {
            let expected = "a list of epochs such as `10,20`".to_owned();
            Error::Value { name, value, expected }
        })
    }

    fn flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        let Some((name, value)) = self.values.remove(name) else {
            return Ok(None);
        };
        match value.to_ascii_lowercase().as_str() {
            "1" | "true" => Ok(Some(true)),
            "0" | "false" => Ok(Some(false)),
            _ => Err(Error::Value { name, value, expected: "true or false".to_owned() }),
        }
    }

    fn set<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        target: &mut T,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<(), Error> {
        if let Some(value) = self.optional(name, range)? {
            *target = value;
        }
        Ok(())
    }

    fn optional<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<T>,
    ) -> Result<Option<T>, Error> {
        let Some((name, value)) = self.values.remove(name) else {
            return Ok(None);
        };
        match value.trim().parse::<T>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            _ => {
                let expected = format!("a number from {} to {}", range.start(), range.end());
                Err(Error::Value { name, value, expected })
            }
        }
    }
}

/// The SageMaker SDK writes values as JSON inside the JSON string: `"\"0.015\""`.
fn unquote(text: &str) -> String {
    match serde_json::from_str(text) {
        Ok(Value::String(inner)) => inner,
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hyperparameters_are_the_defaults() {
        assert_eq!(Hyperparameters::parse("{}").unwrap(), Hyperparameters::default());
    }

    #[test]
    fn names_of_the_built_in_algorithm_are_read() {
        let read = Hyperparameters::parse(
            r#"{"num_classes": "25", "num_training_samples": "408", "epochs": "7",
                "learning_rate": "0.05", "mini_batch_size": "16", "optimizer": "sgd",
                "use_pretrained_model": "1", "num_layers": "18", "image_shape": "3,224,224",
                "early_stopping": "True", "early_stopping_patience": "3", "top_k": "5",
                "lr_scheduler_step": "3,5", "lr_scheduler_factor": "0.5"}"#,
        )
        .unwrap();
        assert_eq!((read.epochs, read.batch_size, read.learning_rate), (7, 16, 0.05));
        assert_eq!(read.optimizer, Optimizer::Sgd);
        assert_eq!((read.num_classes, read.top_k), (Some(25), Some(5)));
        assert_eq!(read.schedule_epochs, [3, 5]);
        assert_eq!(read.early_stopping.unwrap().patience, 3);
        assert_eq!(read.notes.len(), 1, "num_layers is noted: {:?}", read.notes);
    }

    #[test]
    fn values_quoted_by_the_sdk_and_its_own_names_are_accepted() {
        let read = Hyperparameters::parse(
            r#"{"learning_rate": "\"0.015\"", "batch-size": "\"64\"", "seed": 5,
                "sagemaker_program": "\"train.py\"", "_tuning_objective_metric": "Testing Loss"}"#,
        )
        .unwrap();
        assert_eq!((read.learning_rate, read.batch_size, read.seed), (0.015, 64, 5));
    }

    #[test]
    fn a_wrong_hyperparameter_fails_by_its_name() {
        for (json, name) in [
            (r#"{"dropout": "0.5"}"#, "dropout"),
            (r#"{"epochs": "0"}"#, "epochs"),
            (r#"{"epochs": "many"}"#, "epochs"),
            (r#"{"learning_rate": "NaN"}"#, "learning_rate"),
            (r#"{"learning_rate": "-1"}"#, "learning_rate"),
            (r#"{"optimizer": "lion"}"#, "optimizer"),
            (r#"{"use_pretrained_model": "0"}"#, "use_pretrained_model"),
            (r#"{"augmentation_type": "crop"}"#, "augmentation_type"),
            (r#"{"image_shape": "3,32,32"}"#, "image_shape"),
            (r#"{"batch_size": "4", "mini_batch_size": "8"}"#, "mini_batch_size"),
            (r#"{"early_stopping": "perhaps"}"#, "early_stopping"),
        ] {
            let error = Hyperparameters::parse(json).unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{json}: {error}");
        }
    }

    #[test]
    fn what_is_no_object_of_values_is_refused() {
        for json in ["", "[]", r#"{"epochs": ["1"]}"#] {
            assert_eq!(Hyperparameters::parse(json), Err(Error::Format), "{json}");
        }
    }
}

//! The backbone of a job: the carried one, or one from the channel `backbone`.
//!
//! That channel holds `backbone.onnx`, any model from one N x 3 x crop x crop input to one output
//! with N rows of features (a ResNet-50 exported from PyTorch, say), and `preprocess.json` with
//! `resize`, `crop`, `mean` and `scale` as the model was trained with.

use std::fs;
use std::path::{Path, PathBuf};

use crate::backbone;
use crate::engine::{self, Model};
use crate::preprocess::{self, Preprocessing};

/// Above this a row of features would be a picture of its own.
const FEATURES_MAX: usize = 65_536;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{path}` of the channel `backbone` cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(
        "`preprocess.json` of the channel `backbone` does not hold resize, crop, mean and scale"
    )]
    Format(#[from] serde_json::Error),
    #[error("`preprocess.json` of the channel `backbone` cannot be used")]
    Preprocess(#[from] preprocess::Error),
    #[error("the backbone gives {0} features, and it has to be 1 to {FEATURES_MAX}")]
    Features(usize),
    #[error(transparent)]
    Carried(#[from] backbone::Error),
    #[error(transparent)]
    Engine(#[from] engine::Error),
}

/// A backbone and how pictures are prepared for it.
pub struct Base {
    pub name: &'static str,
    /// An ONNX model.
    pub model: Vec<u8>,
    pub preprocessing: Preprocessing,
    is_carried: bool,
}

impl Base {
    /// The one in `folder`, or the carried one.
    pub fn open(folder: Option<&Path>) -> Result<Self, Error> {
        let Some(folder) = folder else {
            return Ok(Self {
                name: backbone::NAME,
                model: backbone::features_model()?,
                preprocessing: Preprocessing::default(),
                is_carried: true,
            });
        };
        let read = |name: &str| {
            fs::read(folder.join(name))
                .map_err(|source| Error::Read { path: PathBuf::from(name), source })
        };
        let preprocessing: Preprocessing = serde_json::from_slice(&read("preprocess.json")?)?;
        preprocessing.check()?;
        let model = read("backbone.onnx")?;
        Ok(Self { name: "channel backbone", model, preprocessing, is_carried: false })
    }

    /// Features of one picture, found out with a black one.
    pub fn width(&self, models: &mut [Box<dyn Model>]) -> Result<usize, Error> {
        let black = vec![0.0; self.preprocessing.len()];
        let width = match models.first_mut() {
            Some(model) => model.run(self.preprocessing.shape(1), &black)?.len(),
            None => 0,
        };
        if (1..=FEATURES_MAX).contains(&width) { Ok(width) } else { Err(Error::Features(width)) }
    }

    /// The bytes that the model directory has to hold because the binary does not.
    pub fn foreign(&self) -> Option<&[u8]> {
        (!self.is_carried).then_some(self.model.as_slice())
    }
}

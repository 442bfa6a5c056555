//! `rten`: pure Rust, built into the binary, on every machine.

use std::sync::Arc;

use rten::{ModelOptions, RunOptions, ThreadPool};
use rten_tensor::prelude::*;
use rten_tensor::{NdTensorView, Tensor};

use super::{Engine, Error, Model, check_batch};

const NAME: &str = "rten 0.27";

pub struct Rten;

impl Engine for Rten {
    fn name(&self) -> &str {
        NAME
    }

    fn load(
        &self,
        model: &[u8],
        copies: usize,
        threads: usize,
    ) -> Result<Vec<Box<dyn Model>>, Error> {
        let model = ModelOptions::with_all_ops()
            .prepack_weights(true)
            .load(model.to_vec())
            .map_err(|source| Error::Load { engine: NAME, source: source.into() })?;
        let model = Arc::new(model);
        let copy = |_| -> Box<dyn Model> {
            Box::new(RtenModel {
                model: Arc::clone(&model),
                threads: Arc::new(ThreadPool::with_num_threads(threads)),
            })
        };
        Ok((0..copies).map(copy).collect())
    }
}

struct RtenModel {
    model: Arc<rten::Model>,
    threads: Arc<ThreadPool>,
}

impl Model for RtenModel {
    fn run(&mut self, shape: [usize; 4], batch: &[f32]) -> Result<Vec<f32>, Error> {
        check_batch(shape, batch)?;
        let failed = |source: super::Cause| Error::Run { engine: NAME, source };
        let input = NdTensorView::from_data(shape, batch);
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::clone(&self.threads));
        let output = self
            .model
            .run_one(input.into(), Some(options))
            .map_err(|source| failed(source.into()))?;
        let output: Tensor<f32> = output.try_into().map_err(|_| Error::Output)?;
        Ok(output.to_vec())
    }
}

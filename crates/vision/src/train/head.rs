//! The head: one linear layer with a softmax, trained on features by mini-batches.
//!
//! Features are first brought to a mean of 0 and a length of about 1, so that the usual learning
//! rates work whatever the backbone; the exported layer has that folded in and takes the raw
//! features. Equal data, settings and seed give equal numbers, bit by bit.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, Axis, Zip};

use super::features::Features;
use super::hyperparameters::{Hyperparameters, Optimizer};
use crate::random::Random;

/// Rows whose logits are computed at a time in an evaluation.
const EVALUATION_BATCH: usize = 256;

/// Weights (classes x features) and bias of a linear layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub weights: Array2<f32>,
    pub bias: Array1<f32>,
}

impl Layer {
    fn zeros(classes: usize, features: usize) -> Self {
        Self { weights: Array2::zeros((classes, features)), bias: Array1::zeros(classes) }
    }

    /// One row of logits for each row of features.
    pub fn logits(&self, rows: ArrayView2<'_, f32>) -> Array2<f32> {
        rows.dot(&self.weights.t()) + &self.bias
    }
}

/// How well a layer does on some data.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Mean cross-entropy.
    pub loss: f32,
    pub accuracy: f32,
}

/// Shifts and scales features; computed on the training data.
#[derive(Debug)]
pub struct Scaler {
    mean: Array1<f32>,
    factor: Array1<f32>,
}

impl Scaler {
    pub fn fit(rows: &Array2<f32>) -> Self {
        let (count, width) = rows.dim();
        let mean = rows.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(width));
        let mut variance = Array1::<f32>::zeros(width);
        for row in rows.rows() {
            Zip::from(&mut variance).and(row).and(&mean).for_each(|variance, value, mean| {
                *variance += (value - mean) * (value - mean);
            });
        }
        let (count, width) = (count.max(1) as f32, width.max(1) as f32);
        // A feature that hardly varies would be blown up: its spread counts as at least this
        // part of the mean spread.
        let typical = (variance.sum() / count / width).sqrt();
        let smallest = (0.1 * typical).max(1e-6);
        let factor = variance.mapv(|sum| 1.0 / ((sum / count).sqrt().max(smallest) * width.sqrt()));
        Self { mean, factor }
    }

    pub fn apply(&self, mut rows: Array2<f32>) -> Array2<f32> {
        rows -= &self.mean;
        rows *= &self.factor;
        rows
    }

    /// The layer that takes raw features and gives what `layer` gives for scaled ones.
    pub fn fold(&self, layer: &Layer) -> Layer {
        let weights = &layer.weights * &self.factor;
        let bias = &layer.bias - &weights.dot(&self.mean);
        Layer { weights, bias }
    }
}

/// Training under way: one call of [`Training::epoch`] goes over the data once.
pub struct Training<'a> {
    settings: &'a Hyperparameters,
    rows: &'a Array2<f32>,
    classes: &'a [usize],
    /// What a picture of each class counts.
    class_weights: Vec<f32>,
    pub layer: Layer,
    memory: [Layer; 2],
    steps: i32,
    epoch: usize,
    random: Random,
}

impl<'a> Training<'a> {
    /// `rows` and `classes` are scaled features and their classes, `count` the number of classes.
    pub fn new(
        settings: &'a Hyperparameters,
        rows: &'a Array2<f32>,
        classes: &'a [usize],
        count: usize,
    ) -> Self {
        let zeros = Layer::zeros(count, rows.ncols());
        Self {
            settings,
            rows,
            classes,
            class_weights: class_weights(classes, count, settings.weighted_loss),
            layer: zeros.clone(),
            memory: [zeros.clone(), zeros],
            steps: 0,
            epoch: 0,
            random: Random::for_part(settings.seed, 0x6865_6164),
        }
    }

    /// Goes over the training data once, in a new order. The score is the mean over the batches
    /// as they were before each step.
    pub fn epoch(&mut self) -> Score {
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        self.random.shuffle(&mut order);
        let batches = order.len().div_ceil(self.settings.batch_size).max(1);
        let mut loss = 0.0;
        let mut correct = 0;
        for (index, batch) in order.chunks(self.settings.batch_size).enumerate() {
            let rows = self.rows.select(Axis(0), batch);
            let classes: Vec<usize> =
                batch.iter().filter_map(|row| self.classes.get(*row).copied()).collect();
            let step = gradient(&self.layer, rows.view(), &classes, &self.class_weights);
            loss += step.loss * classes.len() as f32;
            correct += step.correct;
            let progress = self.epoch as f32 + index as f32 / batches as f32;
            self.update(&step.gradient, self.learning_rate(progress));
        }
        self.epoch += 1;
        let count = order.len().max(1) as f32;
        Score { loss: loss / count, accuracy: correct as f32 / count }
    }

    /// The learning rate after `progress` epochs.
    fn learning_rate(&self, progress: f32) -> f32 {
        let settings = self.settings;
        if settings.schedule_epochs.is_empty() {
            let part = (progress / settings.epochs as f32).min(1.0);
            return settings.learning_rate * 0.5 * (1.0 + (std::f32::consts::PI * part).cos());
        }
        let passed =
            settings.schedule_epochs.iter().filter(|epoch| **epoch as f32 <= progress).count();
        settings.learning_rate * settings.schedule_factor.powi(passed as i32)
    }

    fn update(&mut self, gradient: &Layer, rate: f32) {
        self.steps += 1;
        let rule = Rule { settings: self.settings, rate, steps: self.steps };
        let [first, second] = &mut self.memory;
        Zip::from(&mut self.layer.weights)
            .and(&gradient.weights)
            .and(&mut first.weights)
            .and(&mut second.weights)
            .for_each(|weight, gradient, first, second| {
                rule.apply(weight, *gradient, first, second, self.settings.weight_decay);
            });
        // The bias is not decayed: it carries how common a class is, not how a picture looks.
        Zip::from(&mut self.layer.bias)
            .and(&gradient.bias)
            .and(&mut first.bias)
            .and(&mut second.bias)
            .for_each(|weight, gradient, first, second| {
                rule.apply(weight, *gradient, first, second, 0.0);
            });
    }
}

/// One step of an optimizer for one number. `first` and `second` are its memory.
struct Rule<'a> {
    settings: &'a Hyperparameters,
    rate: f32,
    steps: i32,
}

impl Rule<'_> {
    fn apply(
        &self,
        weight: &mut f32,
        gradient: f32,
        first: &mut f32,
        second: &mut f32,
        decay: f32,
    ) {
        let settings = self.settings;
        match settings.optimizer {
            Optimizer::Adam => {
                *first += (1.0 - settings.beta_1) * (gradient - *first);
                *second += (1.0 - settings.beta_2) * (gradient * gradient - *second);
                let mean = *first / (1.0 - settings.beta_1.powi(self.steps));
                let spread = (*second / (1.0 - settings.beta_2.powi(self.steps))).sqrt();
                *weight -= self.rate * (mean / (spread + settings.epsilon) + decay * *weight);
            }
            Optimizer::Sgd => {
                let gradient = gradient + decay * *weight;
                *first = settings.momentum * *first + gradient;
                *weight -= self.rate * *first;
            }
            Optimizer::Nag => {
                let gradient = gradient + decay * *weight;
                *first = settings.momentum * *first + gradient;
                *weight -= self.rate * (gradient + settings.momentum * *first);
            }
            Optimizer::RmsProp => {
                let gradient = gradient + decay * *weight;
                *second += (1.0 - settings.gamma) * (gradient * gradient - *second);
                *weight -= self.rate * gradient / (second.sqrt() + settings.epsilon);
            }
        }
    }
}

/// A batch's gradient and how the layer did on it.
struct Step {
    gradient: Layer,
    /// Mean weighted cross-entropy.
    loss: f32,
    correct: usize,
}

/// The gradient of the mean weighted cross-entropy of a batch.
fn gradient(
    layer: &Layer,
    rows: ArrayView2<'_, f32>,
    classes: &[usize],
    class_weights: &[f32],
) -> Step {
    let mut errors = layer.logits(rows);
    let mut loss = 0.0;
    let mut correct = 0;
    let count = classes.len().max(1) as f32;
    for (mut logits, class) in errors.rows_mut().into_iter().zip(classes) {
        let weight = class_weights.get(*class).copied().unwrap_or(1.0);
        let best = argmax(logits.iter().copied());
        correct += usize::from(best == *class);
        softmax(&mut logits);
        if let Some(probability) = logits.get_mut(*class) {
            loss -= weight * probability.max(f32::MIN_POSITIVE).ln();
            *probability -= 1.0;
        }
        logits *= weight / count;
    }
    let mut weights = Array2::zeros(layer.weights.raw_dim());
    general_mat_mul(1.0, &errors.t(), &rows, 0.0, &mut weights);
    let bias = errors.sum_axis(Axis(0));
    Step { gradient: Layer { weights, bias }, loss: loss / count, correct }
}

/// What a layer says about features: the score and the class chosen for each row.
pub struct Evaluation {
    pub score: Score,
    pub chosen: Vec<usize>,
    /// Share of rows whose class is among the `k` most probable.
    pub top_k: f32,
}

/// Evaluates a layer that takes the features as they are. An empty set scores 0.
pub fn evaluate(layer: &Layer, features: &Features, k: usize) -> Evaluation {
    let mut chosen = Vec::with_capacity(features.classes.len());
    let (mut loss, mut correct, mut among) = (0.0, 0_usize, 0_usize);
    let batches = features.rows.axis_chunks_iter(Axis(0), EVALUATION_BATCH);
    for (rows, classes) in batches.zip(features.classes.chunks(EVALUATION_BATCH)) {
        let mut logits = layer.logits(rows);
        for (mut row, class) in logits.rows_mut().into_iter().zip(classes) {
            let best = argmax(row.iter().copied());
            chosen.push(best);
            correct += usize::from(best == *class);
            softmax(&mut row);
            let own = row.get(*class).copied().unwrap_or(0.0);
            among += usize::from(row.iter().filter(|other| **other > own).count() < k);
            loss -= f64::from(own.max(f32::MIN_POSITIVE)).ln();
        }
    }
    let count = features.classes.len().max(1);
    let share = |number: usize| number as f32 / count as f32;
    Evaluation {
        score: Score { loss: (loss / count as f64) as f32, accuracy: share(correct) },
        chosen,
        top_k: share(among),
    }
}

/// Turns logits into probabilities.
fn softmax(logits: &mut ndarray::ArrayViewMut1<'_, f32>) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.mapv_inplace(|logit| (logit - largest).exp());
    let sum = logits.sum();
    *logits /= sum;
}

fn argmax(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in values.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0
}

/// 1 for every class, or weights with which each class counts the same in total.
fn class_weights(classes: &[usize], count: usize, weighted: bool) -> Vec<f32> {
    if !weighted {
        return vec![1.0; count];
    }
    (0..count)
        .map(|class| {
            let own = classes.iter().filter(|other| **other == class).count().max(1);
            classes.len() as f32 / (count as f32 * own as f32)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number around 0 with a standard deviation of 1.
    fn normal(random: &mut Random) -> f32 {
        (0..12).map(|_| random.unit()).sum::<f32>() - 6.0
    }

    /// Three clouds of points in five dimensions.
    fn clouds(seed: u64, count: usize) -> Features {
        let mut random = Random::new(seed);
        let classes: Vec<usize> = (0..count).map(|n| n % 3).collect();
        let rows = classes
            .iter()
            .flat_map(|class| {
                (0..5)
                    .map(|axis| if axis == *class { 5.0 } else { 1.0 } + normal(&mut random))
                    .collect::<Vec<f32>>()
            })
            .collect();
        Features {
            rows: Array2::from_shape_vec((count, 5), rows).unwrap(),
            classes,
            skipped: Vec::new(),
            complete: true,
        }
    }

    fn trained(settings: &Hyperparameters, data: &Features) -> (Layer, Vec<Score>) {
        let scaler = Scaler::fit(&data.rows);
        let rows = scaler.apply(data.rows.clone());
        let mut training = Training::new(settings, &rows, &data.classes, 3);
        let scores = (0..settings.epochs).map(|_| training.epoch()).collect();
        (scaler.fold(&training.layer), scores)
    }

    #[test]
    fn the_gradient_equals_finite_differences() {
        let data = clouds(3, 12);
        let mut random = Random::new(4);
        let mut layer = Layer::zeros(3, 5);
        layer.weights.mapv_inplace(|_| 0.3 * normal(&mut random));
        layer.bias.mapv_inplace(|_| 0.3 * normal(&mut random));
        let weights = [1.0, 0.5, 2.0];
        let step = gradient(&layer, data.rows.view(), &data.classes, &weights);
        let loss = |layer: &Layer| gradient(layer, data.rows.view(), &data.classes, &weights).loss;
        const H: f32 = 1e-2;
        for class in 0..3 {
            for feature in 0..5 {
                let mut up = layer.clone();
                let mut down = layer.clone();
                up.weights[(class, feature)] += H;
                down.weights[(class, feature)] -= H;
                let measured = (loss(&up) - loss(&down)) / (2.0 * H);
                let computed = step.gradient.weights[(class, feature)];
                assert!((measured - computed).abs() < 5e-3, "{measured} {computed}");
            }
            let mut up = layer.clone();
            let mut down = layer.clone();
            up.bias[class] += H;
            down.bias[class] -= H;
            let measured = (loss(&up) - loss(&down)) / (2.0 * H);
            assert!((measured - step.gradient.bias[class]).abs() < 5e-3);
        }
    }

    #[test]
    fn adam_takes_the_steps_that_pytorch_takes() {
        // torch.optim.AdamW(lr=0.1, weight_decay=0.01) from 1.0 with the gradients 0.5, -0.25, 1.0.
        let settings = Hyperparameters::default();
        let (mut weight, mut first, mut second) = (1.0, 0.0, 0.0);
        let expected = [0.899, 0.871_467_3, 0.804_784_7];
        for (step, (gradient, expected)) in [0.5, -0.25, 1.0].into_iter().zip(expected).enumerate()
        {
            let rule = Rule { settings: &settings, rate: 0.1, steps: step as i32 + 1 };
            rule.apply(&mut weight, gradient, &mut first, &mut second, 0.01);
            assert!((weight - expected).abs() < 1e-5, "step {step}: {weight} {expected}");
        }
    }

    #[test]
    fn every_optimizer_separates_the_clouds() {
        let (train, test) = (clouds(1, 150), clouds(2, 150));
        for (optimizer, learning_rate) in [
            (Optimizer::Adam, 0.1),
            (Optimizer::Sgd, 1.0),
            (Optimizer::Nag, 1.0),
            (Optimizer::RmsProp, 0.1),
        ] {
            let settings =
                Hyperparameters { optimizer, learning_rate, epochs: 20, ..Default::default() };
            let (layer, scores) = trained(&settings, &train);
            let evaluation = evaluate(&layer, &test, 2);
            assert!(evaluation.score.accuracy > 0.93, "{optimizer:?}: {:?}", evaluation.score);
            assert!(evaluation.top_k >= evaluation.score.accuracy);
            assert!(scores[19].loss < scores[0].loss);
        }
    }

    #[test]
    fn equal_seeds_give_equal_layers_and_other_seeds_others() {
        let data = clouds(1, 100);
        let settings = Hyperparameters { epochs: 5, ..Default::default() };
        let (layer, scores) = trained(&settings, &data);
        assert_eq!((layer.clone(), scores), trained(&settings, &data));
        let other = Hyperparameters { seed: 2, ..settings };
        assert_ne!(layer, trained(&other, &data).0);
    }

    #[test]
    fn folding_the_scaler_changes_no_logit() {
        let data = clouds(5, 40);
        let scaler = Scaler::fit(&data.rows);
        let mut layer = Layer::zeros(3, 5);
        let mut random = Random::new(6);
        layer.weights.mapv_inplace(|_| normal(&mut random));
        layer.bias.mapv_inplace(|_| normal(&mut random));
        let scaled = layer.logits(scaler.apply(data.rows.clone()).view());
        let folded = scaler.fold(&layer).logits(data.rows.view());
        assert!(scaled.iter().zip(&folded).all(|(a, b)| (a - b).abs() < 1e-4));
    }

    #[test]
    fn a_weighted_loss_lets_each_class_count_the_same() {
        let weights = class_weights(&[0, 0, 0, 1], 2, true);
        assert!((weights[0] * 3.0 - weights[1]).abs() < 1e-6);
        assert_eq!(class_weights(&[0, 0, 0, 1], 2, false), [1.0, 1.0]);
    }
}

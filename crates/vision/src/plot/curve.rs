//! The training curve: loss and accuracy of every epoch, training beside validation.

use serde::{Deserialize, Serialize};
use tiny_skia::Color;

use super::{BLUE, Error, GRID, INK, MUTED, ORANGE, PAPER};
use crate::canvas::{Align, Canvas, Style, colour};

const WIDTH: f32 = 1000.0;
const HEIGHT: f32 = 400.0;
const SCALE: f32 = 2.0;

/// One epoch of a training run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    pub epoch: usize,
    pub train_loss: f32,
    pub train_accuracy: f32,
    pub validation_loss: f32,
    pub validation_accuracy: f32,
}

/// Loss on the left, accuracy on the right, over the epochs; the epoch with the lowest validation
/// loss is marked.
pub fn training_curve(title: &str, epochs: &[Epoch]) -> Result<Vec<u8>, Error> {
    let (first, last) = epochs.first().zip(epochs.last()).ok_or(Error::Empty)?;
    let best = epochs
        .iter()
        .min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss))
        .map_or(last.epoch, |best| best.epoch);
    let mut canvas = Canvas::new(WIDTH, HEIGHT, SCALE, colour(PAPER))?;
    canvas.text(title, 40.0, 38.0, Style::new(20.0, colour(INK)).bold());
    legend(&mut canvas);
    let panel = |left, caption, train: fn(&Epoch) -> f32, validation: fn(&Epoch) -> f32| Panel {
        left,
        caption,
        series: [
            (colour(BLUE), epochs.iter().map(train).collect()),
            (colour(ORANGE), epochs.iter().map(validation).collect()),
        ],
        epochs: (first.epoch, last.epoch),
        best,
    };
    let loss = panel(70.0, "Loss", |e| e.train_loss, |e| e.validation_loss);
    let accuracy = panel(570.0, "Accuracy", |e| e.train_accuracy, |e| e.validation_accuracy);
    let largest = loss.largest().max(f32::MIN_POSITIVE);
    loss.draw(&mut canvas, 0.0, largest);
    let smallest = accuracy.smallest().clamp(0.0, 1.0);
    accuracy.draw(&mut canvas, smallest, 1.0);
    Ok(canvas.png()?)
}

fn legend(canvas: &mut Canvas) {
    let mut x = WIDTH - 40.0;
    for (name, line) in [("validation", ORANGE), ("training", BLUE)] {
        let style = Style::new(14.0, colour(INK)).align(Align::Right);
        x -= canvas.text(name, x, 37.0, style) + 8.0;
        canvas.line(&[(x - 22.0, 32.0), (x, 32.0)], 3.0, colour(line));
        x -= 44.0;
    }
}

const TOP: f32 = 92.0;
const PANEL_WIDTH: f32 = 390.0;
const PANEL_HEIGHT: f32 = 240.0;

struct Panel {
    left: f32,
    caption: &'static str,
    series: [(Color, Vec<f32>); 2],
    epochs: (usize, usize),
    best: usize,
}

impl Panel {
    fn values(&self) -> impl Iterator<Item = f32> {
        self.series.iter().flat_map(|(_, values)| values.iter().copied()).filter(|v| v.is_finite())
    }

    fn largest(&self) -> f32 {
        self.values().fold(0.0, f32::max)
    }

    fn smallest(&self) -> f32 {
        self.values().fold(f32::INFINITY, f32::min)
    }

    fn draw(&self, canvas: &mut Canvas, low: f32, high: f32) {
        let ticks = Ticks::new(low, high, 5.0);
        let y = |value: f32| {
            let part = (value - ticks.first) / (ticks.last - ticks.first);
            TOP + PANEL_HEIGHT * (1.0 - part.clamp(0.0, 1.0))
        };
        canvas.text(self.caption, self.left, TOP - 16.0, Style::new(15.0, colour(INK)).bold());
        let small = Style::new(13.0, colour(MUTED));
        for value in ticks.values() {
            let edge = [(self.left, y(value)), (self.left + PANEL_WIDTH, y(value))];
            canvas.line(&edge, 1.0, colour(GRID));
            let label = ticks.label(value);
            canvas.text(&label, self.left - 9.0, y(value) + 4.5, small.align(Align::Right));
        }
        self.draw_epochs(canvas, small);
        for (line, values) in &self.series {
            let points: Vec<(f32, f32)> = values
                .iter()
                .enumerate()
                .map(|(index, value)| (self.x(self.epochs.0 + index), y(*value)))
                .collect();
            if let [(x, y)] = points.as_slice() {
                canvas.circle(*x, *y, 4.0, *line);
            }
            canvas.line(&points, 2.5, *line);
            if let Some((x, y)) = points.get(self.best - self.epochs.0) {
                canvas.circle(*x, *y, 5.5, colour(PAPER));
                canvas.circle(*x, *y, 4.0, *line);
            }
        }
    }

    fn draw_epochs(&self, canvas: &mut Canvas, small: Style) {
        let (first, last) = self.epochs;
        let step = Ticks::new(first as f32, last as f32, 8.0).step.max(1.0) as usize;
        let bottom = TOP + PANEL_HEIGHT;
        let middle = small.align(Align::Middle);
        for epoch in (first..=last).filter(|epoch| epoch % step == 0 || *epoch == first) {
            canvas.text(&epoch.to_string(), self.x(epoch), bottom + 20.0, middle);
        }
        let x = self.x(self.best);
        canvas.line(&[(x, TOP), (x, bottom)], 1.0, colour(MUTED));
        canvas.text(
            &format!("best: epoch {}", self.best),
            self.left + PANEL_WIDTH,
            TOP - 16.0,
            small.align(Align::Right),
        );
        canvas.text("epoch", self.left + PANEL_WIDTH / 2.0, bottom + 42.0, middle);
    }

    fn x(&self, epoch: usize) -> f32 {
        let (first, last) = self.epochs;
        if first == last {
            return self.left + PANEL_WIDTH / 2.0;
        }
        self.left + PANEL_WIDTH * (epoch.saturating_sub(first)) as f32 / (last - first) as f32
    }
}

/// Round numbers along an axis.
struct Ticks {
    first: f32,
    last: f32,
    step: f32,
}

impl Ticks {
    /// About `count` ticks that span `low` to `high`.
    fn new(low: f32, high: f32, count: f32) -> Self {
        let span = (high - low).max(1e-6);
        let rough = span / count;
        let power = 10_f32.powf(rough.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|factor| factor * power)
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        Self {
            first: (low / step + 1e-3).floor() * step,
            last: (high / step - 1e-3).ceil() * step,
            step,
        }
    }

    fn values(&self) -> impl Iterator<Item = f32> {
        let count = ((self.last - self.first) / self.step).round() as usize;
        (0..=count).map(|index| self.first + index as f32 * self.step)
    }

    fn label(&self, value: f32) -> String {
        let decimals = (0..4)
            .find(|decimals| {
                let shifted = self.step * 10_f32.powi(*decimals);
                (shifted - shifted.round()).abs() < 1e-3
            })
            .unwrap_or(4) as usize;
        format!("{value:.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_that_span_the_values() {
        let ticks = Ticks::new(0.0, 2.37, 5.0);
        let labels: Vec<String> = ticks.values().map(|value| ticks.label(value)).collect();
        assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5"]);
        let ticks = Ticks::new(0.69, 1.0, 5.0);
        assert!(ticks.first <= 0.69 && ticks.last >= 0.999);
    }

    #[test]
    fn one_epoch_and_equal_values_can_be_plotted() {
        assert!(training_curve("t", &[Epoch { epoch: 1, ..Epoch::default() }]).is_ok());
        let nan = Epoch { epoch: 1, train_loss: f32::NAN, ..Epoch::default() };
        assert!(training_curve("t", &[nan, Epoch { epoch: 2, ..nan }]).is_ok());
        assert!(matches!(training_curve("t", &[]), Err(Error::Empty)));
    }
}

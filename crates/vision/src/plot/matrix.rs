//! The confusion matrix: what each class was taken for.

use tiny_skia::Color;

use super::{Error, INK, MUTED, PAPER, readable};
use crate::canvas::{Align, Canvas, Style, colour};

/// The matrix is about this large, whatever the number of classes.
const SIDE: f32 = 760.0;
const CELL_MAX: f32 = 64.0;
const CELL_MIN: f32 = 1.0;
/// Below this size of a cell, labels or counts could not be read.
const LABEL_CELL_MIN: f32 = 9.0;
const COUNT_CELL_MIN: f32 = 17.0;
const LABEL_WIDTH_MAX: f32 = 200.0;
const SCALE: f32 = 2.0;

/// Rows are the actual classes, columns the predicted ones; a row's colours are its shares.
/// `counts[actual][predicted]` is the number of pictures.
pub fn confusion_matrix(
    title: &str,
    labels: &[String],
    counts: &[Vec<u32>],
) -> Result<Vec<u8>, Error> {
    if labels.is_empty() {
        return Err(Error::Empty);
    }
    if counts.len() != labels.len() || counts.iter().any(|row| row.len() != labels.len()) {
        return Err(Error::Table { labels: labels.len(), rows: counts.len() });
    }
    let layout = Layout::new(labels)?;
    let mut canvas = Canvas::new(layout.width, layout.height, layout.scale, colour(PAPER))?;
    let ink = colour(INK);
    canvas.text(title, 28.0, 40.0, Style::new(20.0, ink).bold());
    canvas.text(&summary(counts), 28.0, 64.0, Style::new(14.0, colour(MUTED)));
    layout.draw_labels(&mut canvas, labels);
    for (row, counts) in counts.iter().enumerate() {
        layout.draw_row(&mut canvas, row, counts);
    }
    Ok(canvas.png()?)
}

fn summary(counts: &[Vec<u32>]) -> String {
    let total: u64 = counts.iter().flatten().map(|count| u64::from(*count)).sum();
    let right: u64 = counts
        .iter()
        .enumerate()
        .filter_map(|(index, row)| row.get(index))
        .map(|count| u64::from(*count))
        .sum();
    let percent = 100.0 * right as f64 / total.max(1) as f64;
    format!("{right} of {total} pictures right ({percent:.1} %)")
}

struct Layout {
    cell: f32,
    left: f32,
    top: f32,
    width: f32,
    height: f32,
    scale: f32,
    label: Style,
}

impl Layout {
    fn new(labels: &[String]) -> Result<Self, Error> {
        let count = labels.len() as f32;
        let cell = (SIDE / count).clamp(CELL_MIN, CELL_MAX);
        let label = Style::new((cell * 0.62).clamp(7.0, 14.0), colour(INK));
        let labelled = cell >= LABEL_CELL_MIN;
        let longest = if labelled {
            let ruler = Canvas::new(1.0, 1.0, 1.0, colour(PAPER))?;
            let width = |text: &String| ruler.text_width(&readable(text), label);
            labels.iter().map(width).fold(0.0, f32::max).min(LABEL_WIDTH_MAX)
        } else {
            0.0
        };
        let left = 62.0 + longest;
        let top = 114.0 + longest * 0.87;
        let side = count * cell;
        // The slanted label of the last column reaches beyond it.
        let width = (left + side + longest * 0.5 + 32.0).max(420.0);
        let scale = if side > 2.0 * SIDE { 1.0 } else { SCALE };
        Ok(Self { cell, left, top, width, height: top + side + 32.0, scale, label })
    }

    fn draw_labels(&self, canvas: &mut Canvas, labels: &[String]) {
        let axis = Style::new(14.0, colour(MUTED));
        let side = labels.len() as f32 * self.cell;
        canvas.text("predicted", self.left, 92.0, axis);
        canvas.text("actual", 30.0, self.top + side / 2.0, axis.turned(-90.0).align(Align::Middle));
        if self.cell < LABEL_CELL_MIN {
            return;
        }
        for (index, label) in labels.iter().enumerate() {
            let text = canvas.fitted(&readable(label), LABEL_WIDTH_MAX, self.label);
            let centre = (index as f32 + 0.5) * self.cell;
            let baseline = self.top + centre + self.label.size * 0.36;
            canvas.text(&text, self.left - 8.0, baseline, self.label.align(Align::Right));
            let x = self.left + centre + self.label.size * 0.3;
            canvas.text(&text, x, self.top - 6.0, self.label.turned(-60.0));
        }
    }

    fn draw_row(&self, canvas: &mut Canvas, row: usize, counts: &[u32]) {
        let total: u32 = counts.iter().sum::<u32>().max(1);
        let gap = if self.cell >= LABEL_CELL_MIN { 1.0 } else { 0.0 };
        if gap == 0.0 {
            let y = self.top + row as f32 * self.cell;
            let width = counts.len() as f32 * self.cell;
            canvas.rectangle(self.left, y, width, self.cell, shade(0.0, false));
        }
        for (column, count) in counts.iter().enumerate() {
            if *count == 0 && gap == 0.0 {
                continue;
            }
            let share = *count as f32 / total as f32;
            let x = self.left + column as f32 * self.cell;
            let y = self.top + row as f32 * self.cell;
            let side = self.cell - gap;
            canvas.rectangle(x, y, side, side, shade(share, row == column));
            if *count > 0 && self.cell >= COUNT_CELL_MIN {
                let ink = if share > 0.5 { PAPER } else { INK };
                let size = (self.cell * 0.42).min(17.0);
                let style = Style::new(size, colour(ink)).align(Align::Middle);
                canvas.text(
                    &count.to_string(),
                    x + side / 2.0,
                    y + side / 2.0 + size * 0.36,
                    style,
                );
            }
        }
    }
}

/// From pale grey to blue on the diagonal, to orange beside it: mistakes catch the eye.
fn shade(share: f32, right: bool) -> Color {
    let (low, high) = if right {
        ([226.0, 234.0, 250.0], [29.0, 78.0, 216.0])
    } else if share > 0.0 {
        ([254.0, 226.0, 190.0], [194.0, 65.0, 12.0])
    } else {
        ([245.0, 246.0, 248.0], [245.0, 246.0, 248.0])
    };
    let share = share.clamp(0.0, 1.0);
    let [red, green, blue] = [0, 1, 2].map(|i: usize| {
        let at = |colours: [f32; 3]| colours.get(i).copied().unwrap_or_default();
        (at(low) + (at(high) - at(low)) * share).round() as u8
    });
    Color::from_rgba8(red, green, blue, 255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_one_to_many_classes_a_picture_is_made() {
        for count in [1, 2, 25, 133, 300] {
            let labels: Vec<String> = (0..count).map(|n| format!("{n:03}.Class_{n}")).collect();
            let mut counts = vec![vec![0; count]; count];
            counts[0][0] = 3;
            let png = confusion_matrix("t", &labels, &counts).unwrap();
            let picture = crate::picture::decode(&png).unwrap();
            assert!(picture.width > 400 && picture.width < 4100, "{}", picture.width);
        }
    }

    #[test]
    fn a_table_that_does_not_fit_its_labels_is_refused() {
        let labels = vec!["a".to_owned(), "b".to_owned()];
        assert!(confusion_matrix("t", &labels, &[vec![1, 2]]).is_err());
        assert!(confusion_matrix("t", &[], &[]).is_err());
    }
}

//! Plots as PNG bytes, from plain data: confusion matrix, training curve, contact sheet.
//!
//! They are for people: labels lose their numbers and underscores, colours can be told apart by
//! everyone, and no number is drawn where it would not be readable.

mod contact_sheet;
mod curve;
mod matrix;

pub use contact_sheet::{Tile, contact_sheet};
pub use curve::{Epoch, training_curve};
pub use matrix::confusion_matrix;

use crate::canvas;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is nothing to plot")]
    Empty,
    #[error("a table of {labels} labels has {rows} rows")]
    Table { labels: usize, rows: usize },
    #[error(transparent)]
    Canvas(#[from] canvas::Error),
    #[error("picture {index} of the sheet cannot be read")]
    Picture {
        index: usize,
        #[source]
        source: crate::picture::Error,
    },
    #[error("picture {index} of the sheet cannot be resized")]
    Resize {
        index: usize,
        #[source]
        source: crate::preprocess::Error,
    },
}

const PAPER: u32 = 0xffffff;
const INK: u32 = 0x1f2937;
const MUTED: u32 = 0x6b7280;
const GRID: u32 = 0xe5e7eb;
const BLUE: u32 = 0x2563eb;
const ORANGE: u32 = 0xea8a0c;
const GREEN: u32 = 0x16a34a;
const RED: u32 = 0xdc2626;

/// A label for people: `001.American_bulldog` is "American bulldog".
fn readable(label: &str) -> String {
    let name = match label.split_once('.') {
        Some((number, name)) if !name.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            name
        }
        _ => label,
    };
    name.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lose_their_number_and_underscores() {
        assert_eq!(readable("001.American_bulldog"), "American bulldog");
        assert_eq!(readable("St._Bernard"), "St. Bernard");
        assert_eq!(readable("12."), "12.");
    }
}

//! The contact sheet: pictures with what the model says they are.

use super::{Error, GREEN, INK, MUTED, PAPER, RED, readable};
use crate::canvas::{Canvas, Style, colour};
use crate::picture;
use crate::preprocess;

/// Width and height of a picture on the sheet.
const SIDE: usize = 216;
const BORDER: f32 = 5.0;
const GAP: f32 = 20.0;
const CAPTION: f32 = 50.0;
const HEADER: f32 = 84.0;
const COLUMNS_MAX: usize = 6;
/// More would make a sheet nobody looks through.
const TILES_MAX: usize = 120;

/// A picture and its prediction.
#[derive(Debug, Clone)]
pub struct Tile {
    /// An encoded JPEG or PNG.
    pub image: Vec<u8>,
    /// The most probable label.
    pub predicted: String,
    /// From 0 to 1.
    pub probability: f32,
    /// What it really is, if that is known.
    pub expected: Option<String>,
}

/// A grid of pictures: green borders where the prediction is right, red where it is not, grey
/// where nobody knows. The first 120 tiles are shown.
pub fn contact_sheet(title: &str, tiles: &[Tile]) -> Result<Vec<u8>, Error> {
    let tiles = tiles.get(..TILES_MAX).unwrap_or(tiles);
    if tiles.is_empty() {
        return Err(Error::Empty);
    }
    let columns = columns(tiles.len());
    let rows = tiles.len().div_ceil(columns);
    let step = SIDE as f32 + 2.0 * BORDER + GAP;
    let width = columns as f32 * step + GAP;
    let height = HEADER + rows as f32 * (step + CAPTION) + GAP / 2.0;
    let mut canvas = Canvas::new(width, height, 1.0, colour(PAPER))?;
    let inner = width - 2.0 * GAP;
    let heading = Style::new(22.0, colour(INK)).bold();
    let title = canvas.fitted(title, inner, heading);
    canvas.text(&title, GAP, 38.0, heading);
    let plain = Style::new(15.0, colour(MUTED));
    let text = canvas.fitted(&summary(tiles), inner, plain);
    canvas.text(&text, GAP, 62.0, plain);
    for (index, tile) in tiles.iter().enumerate() {
        let x = GAP + (index % columns) as f32 * step;
        let y = HEADER + (index / columns) as f32 * (step + CAPTION);
        draw_tile(&mut canvas, index, tile, x, y)?;
    }
    Ok(canvas.png()?)
}

/// As square a grid as fits, with its last row as full as can be.
fn columns(tiles: usize) -> usize {
    let square = (1..=COLUMNS_MAX).find(|side| side * side >= tiles).unwrap_or(COLUMNS_MAX);
    let candidates = [square, square + 1];
    candidates
        .into_iter()
        .filter(|columns| *columns <= COLUMNS_MAX)
        .find(|columns| tiles.is_multiple_of(*columns))
        .unwrap_or(square)
}

fn summary(tiles: &[Tile]) -> String {
    let known: Vec<bool> = tiles.iter().filter_map(is_right).collect();
    if known.is_empty() {
        return format!("{} pictures", tiles.len());
    }
    let right = known.iter().filter(|right| **right).count();
    format!("{right} of {} right", known.len())
}

fn is_right(tile: &Tile) -> Option<bool> {
    tile.expected.as_ref().map(|expected| *expected == tile.predicted)
}

fn draw_tile(canvas: &mut Canvas, index: usize, tile: &Tile, x: f32, y: f32) -> Result<(), Error> {
    let decoded =
        picture::decode(&tile.image).map_err(|source| Error::Picture { index, source })?;
    let rgb = preprocess::square(&decoded, SIDE, SIDE)
        .map_err(|source| Error::Resize { index, source })?;
    let right = is_right(tile);
    let border = match right {
        Some(true) => GREEN,
        Some(false) => RED,
        None => MUTED,
    };
    let outer = SIDE as f32 + 2.0 * BORDER;
    canvas.rounded(x, y, outer, outer, 2.0 * BORDER, colour(border));
    canvas.picture(&rgb, SIDE, x + BORDER, y + BORDER);

    let bold = Style::new(16.0, colour(INK)).bold();
    let plain = Style::new(14.0, colour(MUTED));
    let percent = format!("{:.0} %", 100.0 * tile.probability);
    let room = outer - canvas.text_width(&percent, plain) - 10.0;
    let name = canvas.fitted(&readable(&tile.predicted), room, bold);
    let baseline = y + outer + 21.0;
    canvas.text(&name, x, baseline, bold);
    canvas.text(&percent, x + outer, baseline, plain.align(crate::canvas::Align::Right));
    if let (Some(false), Some(expected)) = (right, &tile.expected) {
        let red = Style::new(14.0, colour(RED));
        let text = canvas.fitted(&format!("really: {}", readable(expected)), outer, red);
        canvas.text(&text, x, baseline + 19.0, red);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(expected: Option<&str>) -> Tile {
        let mut image = Vec::new();
        jpeg_encoder::Encoder::new(&mut image, 80)
            .encode(&[90; 3 * 64], 8, 8, jpeg_encoder::ColorType::Rgb)
            .unwrap();
        let expected = expected.map(str::to_owned);
        Tile { image, predicted: "001.Pug".to_owned(), probability: 0.97, expected }
    }

    #[test]
    fn any_number_of_tiles_makes_a_sheet() {
        for count in [1, 2, 7, 12, 200] {
            let png = contact_sheet("t", &vec![tile(Some("001.Pug")); count]).unwrap();
            assert!(picture::decode(&png).unwrap().height > 200);
        }
        assert!(matches!(contact_sheet("t", &[]), Err(Error::Empty)));
    }

    #[test]
    fn the_summary_counts_what_is_known() {
        assert_eq!(summary(&[tile(Some("001.Pug")), tile(Some("002.Lab"))]), "1 of 2 right");
        assert_eq!(summary(&[tile(None)]), "1 pictures");
    }

    #[test]
    fn a_picture_that_cannot_be_read_is_named_by_its_number() {
        let broken = Tile { image: b"no".to_vec(), ..tile(None) };
        let error = contact_sheet("t", &[tile(None), broken]).unwrap_err();
        assert!(error.to_string().contains("picture 1"), "{error}");
    }
}

//! What covers a dog: strands and curls of its coat, dots, stripes.

use tiny_skia::Path;

use super::breed::{Breed, Coat};
use super::sketch::{Clip, Sketch, Xy, curve, darker, joined, lighter, oval};
use crate::random::Random;

/// Left, top, right, bottom.
pub type Area = (f32, f32, f32, f32);

/// Strands and curls, light and dark, inside a shape.
pub fn texture(sketch: &mut Sketch, breed: &Breed, area: Area, clip: &Clip, random: &mut Random) {
    let (strokes, length) = match breed.texture {
        Coat::Smooth => (0.0, 0.0),
        Coat::Fluffy => (0.011, 9.0),
        Coat::Wiry => (0.018, 7.0),
        Coat::Curly => (0.012, 5.0),
    };
    let count = ((area.2 - area.0) * (area.3 - area.1) * strokes) as usize;
    // All strands of a colour are drawn at once: one by one they took most of the time.
    for colour in [lighter(breed.coat, 0.35), darker(breed.coat, 0.22)] {
        let strands = (0..count / 2).filter_map(|_| {
            let at = (random.between(area.0, area.2), random.between(area.1, area.3));
            strand(breed, at, length, random)
        });
        let path = joined(strands);
        sketch.line_within(path, 1.5, colour, 0.6, Some(clip));
    }
}

fn strand(breed: &Breed, (x, y): Xy, length: f32, random: &mut Random) -> Option<Path> {
    if breed.texture == Coat::Curly {
        return curve(&[
            (x - length, y),
            (x - length * 0.4, y - length * 0.8),
            (x + length * 0.7, y - length * 0.3),
            (x + length * 0.3, y + length * 0.6),
            (x - length * 0.3, y + length * 0.3),
        ]);
    }
    let lean = x * 0.06 + random.between(-2.0, 2.0);
    curve(&[(x, y), (x + lean * 0.4, y + length * 0.5), (x + lean, y + length)])
}

pub fn dots(
    sketch: &mut Sketch,
    colour: u32,
    area: Area,
    count: usize,
    clip: &Clip,
    random: &mut Random,
) {
    let spots = (0..count).filter_map(|_| {
        let (x, y) = (random.between(area.0, area.2), random.between(area.1, area.3));
        let size = random.between(2.4, 6.5);
        oval(x, y, size * random.between(0.8, 1.25), size)
    });
    let path = joined(spots);
    sketch.glaze_within(path, colour, 1.0, clip);
}

/// Large irregular patches.
pub fn patches(sketch: &mut Sketch, colour: u32, area: Area, clip: &Clip, random: &mut Random) {
    for part in [0.2, 0.55, 0.9] {
        let x = area.0 + (area.2 - area.0) * (part + random.between(-0.08, 0.08));
        let y = random.between(area.1, area.1 + (area.3 - area.1) * 0.5);
        let size = (area.2 - area.0) * random.between(0.13, 0.18);
        sketch.glaze_within(oval(x, y, size, size * 0.8), colour, 1.0, clip);
        sketch.glaze_within(
            oval(x + size * 0.5, y + size * 0.4, size * 0.7, size * 0.6),
            colour,
            1.0,
            clip,
        );
    }
}

pub fn stripes(sketch: &mut Sketch, colour: u32, area: Area, clip: &Clip, random: &mut Random) {
    let mut x = area.0;
    while x < area.2 {
        let lean = random.between(-6.0, 6.0);
        let top = area.1 + random.between(-4.0, 14.0);
        let bottom = area.3 - random.between(0.0, (area.3 - area.1) * 0.5);
        let path = curve(&[(x, top), (x + lean, (top + bottom) / 2.0), (x + lean * 0.3, bottom)]);
        sketch.line_within(path, random.between(2.2, 4.4), colour, 0.75, Some(clip));
        x += random.between(8.0, 13.0);
    }
}

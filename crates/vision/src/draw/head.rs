//! A dog's head, seen from the front, around (0, 0) and about 100 wide.

use super::breed::{Breed, Coat, Ears, Muzzle, Pattern};
use super::fur;
use super::sketch::{
    Sketch, Xy, blob, curve, darker, lighter, mirrored, mix, oval, symmetric, tufted,
};
use crate::random::Random;

const NOSE: u32 = 0x2a2325;
const TONGUE: u32 = 0xee7f88;
const INNER_EAR: u32 = 0xe5a59b;

/// What a dog's face does in one picture.
#[derive(Debug, Clone, Copy)]
pub struct Mood {
    /// The tongue is out.
    pub panting: bool,
    /// Where it looks, from -1 to 1.
    pub glance: f32,
    /// How far the ears are turned, in units.
    pub perk: f32,
}

/// Draws the head where `sketch.at` is.
pub fn draw(sketch: &mut Sketch, breed: &Breed, mood: Mood, random: &mut Random) {
    let hanging = matches!(breed.ears, Ears::Long | Ears::Floppy | Ears::Puffs);
    if !hanging {
        ears(sketch, breed, mood, random);
    }
    let skull = skull(breed);
    let path = outline(breed, &skull);
    sketch.shape(path.clone(), breed.coat);
    let clip = sketch.clip(path.as_ref());
    fur::texture(sketch, breed, (-55.0, -55.0, 55.0, 60.0), &clip, random);
    markings(sketch, breed, &clip, random);
    // Light from above, shade below.
    sketch.glaze_within(oval(-12.0, -34.0, 34.0, 20.0), 0xffffff, 0.13, &clip);
    sketch.glaze_within(oval(0.0, 66.0, 60.0, 26.0), 0x2a1620, 0.13, &clip);
    sketch.outline(path);
    if hanging {
        ears(sketch, breed, mood, random);
    }
    topknot(sketch, breed);
    muzzle(sketch, breed, mood);
    eyes(sketch, breed, mood);
}

fn skull(breed: &Breed) -> Vec<Xy> {
    let (jaw, chin) = match breed.muzzle {
        Muzzle::Short => (46.0, 46.0),
        Muzzle::Medium => (41.0, 48.0),
        Muzzle::Long => (34.0, 50.0),
    };
    let half = [
        (0.0, -46.0),
        (25.0, -43.0),
        (43.0, -24.0),
        (48.0, 2.0),
        (jaw, 28.0),
        (jaw * 0.55, chin - 4.0),
        (0.0, chin),
    ];
    symmetric(&half.map(|(x, y)| (x * breed.head, y)))
}

/// Long fur shows at the edge.
fn outline(breed: &Breed, points: &[Xy]) -> Option<tiny_skia::Path> {
    match breed.texture {
        Coat::Smooth => blob(points),
        Coat::Fluffy => tufted(points, 17.0, 0.42),
        Coat::Curly => tufted(points, 21.0, 0.62),
        Coat::Wiry => tufted(points, 11.0, 0.55),
    }
}

fn ears(sketch: &mut Sketch, breed: &Breed, mood: Mood, random: &mut Random) {
    let colour = ear_colour(breed);
    let wide = breed.head;
    let lift = mood.perk;
    let right = ear_outline(breed.ears, lift);
    let right: Vec<Xy> = right.iter().map(|(x, y)| (x * wide, *y)).collect();
    for points in [right.clone(), mirrored(&right).into_iter().rev().collect()] {
        let path = match (breed.ears, breed.texture) {
            (Ears::Puffs, _) | (_, Coat::Curly) => tufted(&points, 17.0, 0.6),
            (Ears::Pointed | Ears::Bat | Ears::Button, _) | (_, Coat::Smooth) => blob(&points),
            (_, Coat::Fluffy | Coat::Wiry) => tufted(&points, 13.0, 0.45),
        };
        sketch.shape(path.clone(), colour);
        let clip = sketch.clip(path.as_ref());
        fur::texture(sketch, breed, (-80.0, -100.0, 80.0, 60.0), &clip, random);
        sketch.glaze_within(
            blob(&points.iter().map(|(x, y)| (x * 1.12, y + 24.0)).collect::<Vec<_>>()),
            0x2a1620,
            0.08,
            &clip,
        );
        sketch.outline(path);
    }
    for side in [1.0, -1.0] {
        inner_ear(sketch, breed, side * wide, lift);
    }
}

/// The right ear, clockwise. `lift` turns its tip outwards.
fn ear_outline(ears: Ears, lift: f32) -> Vec<Xy> {
    match ears {
        Ears::Long => vec![
            (26.0, -41.0),
            (50.0, -36.0),
            (66.0, -8.0),
            (70.0 + lift, 34.0),
            (60.0 + lift, 58.0),
            (46.0 + lift, 48.0),
            (43.0, 14.0),
            (36.0, -14.0),
        ],
        Ears::Floppy => vec![
            (22.0, -44.0),
            (48.0, -45.0 - lift),
            (66.0, -26.0),
            (65.0 + lift, 4.0),
            (55.0, 16.0),
            (45.0, 2.0),
            (36.0, -20.0),
        ],
        Ears::Pointed => vec![
            (8.0, -40.0),
            (20.0, -64.0),
            (39.0 + lift, -92.0),
            (46.0 + lift, -90.0),
            (53.0, -58.0),
            (47.0, -16.0),
            (28.0, -24.0),
        ],
        Ears::Bat => vec![
            (8.0, -38.0),
            (14.0, -74.0),
            (34.0 + lift, -98.0),
            (56.0 + lift, -92.0),
            (66.0, -62.0),
            (54.0, -20.0),
            (30.0, -22.0),
        ],
        Ears::Button => vec![
            (10.0, -40.0),
            (20.0, -66.0),
            (38.0, -74.0 - lift),
            (56.0, -64.0),
            (52.0, -22.0),
            (30.0, -24.0),
        ],
        Ears::Puffs => vec![
            (34.0, -34.0),
            (58.0, -30.0),
            (74.0, -6.0),
            (76.0 + lift, 26.0),
            (62.0, 46.0),
            (44.0, 38.0),
            (38.0, 6.0),
        ],
    }
}

fn inner_ear(sketch: &mut Sketch, breed: &Breed, side: f32, lift: f32) {
    let inner = mix(INNER_EAR, breed.coat, 0.25);
    let place = |points: &[Xy]| -> Vec<Xy> { points.iter().map(|(x, y)| (x * side, *y)).collect() };
    match breed.ears {
        Ears::Pointed => {
            let points = [(24.0, -46.0), (40.0 + lift, -78.0), (46.0, -52.0), (42.0, -30.0)];
            sketch.fill(blob(&place(&points)), inner);
        }
        Ears::Bat => {
            let points = [
                (22.0, -46.0),
                (32.0 + lift, -80.0),
                (47.0 + lift, -80.0),
                (54.0, -58.0),
                (44.0, -32.0),
            ];
            sketch.fill(blob(&place(&points)), inner);
        }
        Ears::Button => {
            let points =
                [(20.0, -68.0), (42.0, -77.0), (60.0, -62.0), (58.0, -38.0), (44.0, -34.0)];
            sketch.shape(blob(&place(&points)), darker(ear_colour(breed), 0.12));
        }
        Ears::Long | Ears::Floppy | Ears::Puffs => {}
    }
}

fn ear_colour(breed: &Breed) -> u32 {
    match breed.pattern {
        Pattern::Mask | Pattern::Patches | Pattern::Saddle => breed.mark,
        Pattern::Dots => mix(breed.coat, breed.mark, 0.85),
        Pattern::Solid | Pattern::Brindle => darker(breed.coat, 0.16),
        Pattern::Blaze | Pattern::Points => breed.coat,
    }
}

fn markings(sketch: &mut Sketch, breed: &Breed, clip: &super::sketch::Clip, random: &mut Random) {
    let mark = breed.mark;
    match breed.pattern {
        Pattern::Solid => {}
        Pattern::Blaze => {
            let stripe = symmetric(&[
                (0.0, -52.0),
                (7.0, -40.0),
                (6.0, -16.0),
                (17.0, 4.0),
                (36.0, 22.0),
                (30.0, 56.0),
                (0.0, 60.0),
            ]);
            sketch.glaze_within(blob(&stripe), mark, 1.0, clip);
        }
        Pattern::Mask => {
            let mask = symmetric(&[
                (0.0, -4.0),
                (16.0, -17.0),
                (32.0, -12.0),
                (33.0, 8.0),
                (31.0, 36.0),
                (0.0, 56.0),
            ]);
            sketch.glaze_within(blob(&mask), mark, 0.92, clip);
        }
        Pattern::Patches => {
            sketch.glaze_within(oval(22.0, -12.0, 22.0, 26.0), mark, 1.0, clip);
            sketch.glaze_within(oval(-34.0, -44.0, 22.0, 16.0), mark, 1.0, clip);
        }
        Pattern::Saddle => {
            let crown = symmetric(&[
                (0.0, -26.0),
                (15.0, -22.0),
                (30.0, -26.0),
                (60.0, -2.0),
                (60.0, -60.0),
                (0.0, -60.0),
            ]);
            sketch.glaze_within(blob(&crown), mark, 1.0, clip);
        }
        Pattern::Points => {
            for side in [1.0, -1.0] {
                sketch.glaze_within(oval(side * 17.0, -23.0, 6.0, 5.0), mark, 1.0, clip);
                sketch.glaze_within(oval(side * 30.0, 28.0, 14.0, 14.0), mark, 1.0, clip);
            }
            sketch.glaze_within(oval(0.0, 40.0, 28.0, 18.0), mark, 1.0, clip);
        }
        Pattern::Dots => fur::dots(sketch, mark, (-46.0, -44.0, 46.0, 30.0), 16, clip, random),
        Pattern::Brindle => {
            fur::stripes(
                sketch,
                darker(breed.coat, 0.45),
                (-50.0, -46.0, 50.0, 30.0),
                clip,
                random,
            );
        }
    }
}

/// Hair on the crown: a puff, or strands.
fn topknot(sketch: &mut Sketch, breed: &Breed) {
    match (breed.texture, breed.ears) {
        (Coat::Curly, _) => {
            let puff = symmetric(&[
                (0.0, -72.0),
                (24.0, -66.0),
                (33.0, -46.0),
                (20.0, -32.0),
                (0.0, -29.0),
            ]);
            sketch.shape(tufted(&puff, 17.0, 0.6), lighter(breed.coat, 0.12));
        }
        (Coat::Fluffy, _) => {
            for (x, tip) in [(-9.0, -15.0), (0.0, 1.0), (9.0, 14.0)] {
                sketch.outline(curve(&[(x * 0.5, -38.0), (x, -48.0), (tip, -56.0)]));
            }
        }
        (Coat::Wiry | Coat::Smooth, _) => {}
    }
}

fn muzzle(sketch: &mut Sketch, breed: &Breed, mood: Mood) {
    let (across, down, y) = match breed.muzzle {
        Muzzle::Short => (31.0, 19.0, 25.0),
        Muzzle::Medium => (25.0, 21.0, 27.0),
        Muzzle::Long => (21.0, 29.0, 32.0),
    };
    let colour = match breed.pattern {
        Pattern::Blaze | Pattern::Points => breed.mark,
        Pattern::Mask => darker(breed.mark, 0.1),
        Pattern::Dots | Pattern::Patches => lighter(breed.coat, 0.3),
        Pattern::Saddle | Pattern::Solid | Pattern::Brindle => lighter(breed.coat, 0.28),
    };
    let nose = y - down * 0.5;
    let smile = y + down * 0.28;
    if mood.panting {
        let tongue = symmetric(&[
            (0.0, smile),
            (9.0, smile + 3.0),
            (10.0, smile + 19.0),
            (5.0, smile + 27.0),
            (0.0, smile + 28.0),
        ]);
        sketch.shape(blob(&tongue), TONGUE);
        sketch.line(curve(&[(0.0, smile + 4.0), (0.0, smile + 18.0)]), 1.6, darker(TONGUE, 0.3));
    }
    beard(sketch, breed, colour, y + down);
    let snout = symmetric(&[
        (0.0, y - down),
        (across * 0.55, y - down * 0.78),
        (across, y + down * 0.12),
        (across * 0.72, y + down * 0.82),
        (0.0, y + down * if mood.panting { 0.62 } else { 0.95 }),
    ]);
    let path = if breed.texture == Coat::Wiry || breed.texture == Coat::Curly {
        tufted(&snout, 12.0, 0.4)
    } else {
        blob(&snout)
    };
    sketch.fill(path, colour);
    for side in [1.0, -1.0] {
        let corner = side * across * 0.72;
        sketch.outline(curve(&[
            (0.0, smile - 3.0),
            (corner * 0.45, smile + 5.0),
            (corner, smile - 5.0),
        ]));
        for (x, dy) in [(0.5, 0.0), (0.68, 4.5), (0.62, -4.0)] {
            sketch.fill(oval(side * across * x, smile - 5.0 + dy, 1.1, 1.1), darker(colour, 0.5));
        }
    }
    sketch.outline(curve(&[(0.0, nose + 4.0), (0.0, smile - 2.0)]));
    let tip = symmetric(&[
        (0.0, nose - 9.0),
        (9.0, nose - 8.5),
        (13.5, nose - 2.0),
        (7.0, nose + 5.5),
        (0.0, nose + 8.0),
    ]);
    sketch.fill(blob(&tip), NOSE);
    sketch.glaze(oval(-4.5, nose - 4.5, 3.8, 2.2), 0xffffff, 0.55);
}

fn beard(sketch: &mut Sketch, breed: &Breed, colour: u32, bottom: f32) {
    if breed.texture != Coat::Wiry {
        return;
    }
    let beard = symmetric(&[
        (0.0, bottom - 26.0),
        (30.0, bottom - 26.0),
        (35.0, bottom - 4.0),
        (22.0, bottom + 14.0),
        (0.0, bottom + 20.0),
    ]);
    sketch.shape(tufted(&beard, 10.0, 0.6), lighter(colour, 0.18));
    for side in [1.0, -1.0] {
        let brow = [
            (side * 9.0, -19.0),
            (side * 22.0, -27.0),
            (side * 34.0, -20.0),
            (side * 26.0, -14.0),
            (side * 14.0, -13.0),
        ];
        let points: Vec<Xy> =
            if side > 0.0 { brow.to_vec() } else { brow.iter().rev().copied().collect() };
        sketch.shape(tufted(&points, 8.0, 0.5), lighter(colour, 0.2));
    }
}

fn eyes(sketch: &mut Sketch, breed: &Breed, mood: Mood) {
    let apart = 20.5 * breed.head;
    let y = -4.0;
    for side in [1.0, -1.0] {
        let x = side * apart;
        // On a dark coat the eye would drown.
        sketch.fill(oval(x, y, 11.0, 11.5), lighter(breed.coat, 0.22));
        sketch.fill(oval(x, y, 8.8, 9.6), 0x1c1413);
        let look = x + mood.glance * 1.6;
        sketch.fill(oval(look, y + 0.8, 6.8, 7.4), breed.eyes);
        sketch.fill(oval(look, y + 0.6, 4.3, 4.8), 0x120c0b);
        sketch.fill(oval(look - 2.8, y - 3.4, 2.7, 2.9), 0xffffff);
        sketch.glaze(oval(look + 2.6, y + 3.6, 1.5, 1.6), 0xffffff, 0.8);
        if breed.texture != Coat::Wiry {
            let lid = [(x - 9.5, y - 4.0), (x, y - 10.5), (x + 9.5, y - 4.0)];
            sketch.line(curve(&lid), 2.2, sketch.ink);
        }
    }
}

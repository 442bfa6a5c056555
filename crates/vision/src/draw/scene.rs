//! What surrounds a dog: the place, the light, and the noise of a camera.

use super::sketch::{SPACE, Sketch, Xy, blob, curve, darker, lighter, mix, oval, tufted};
use crate::random::Random;

/// Places to take a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Meadow,
    Park,
    Beach,
    Room,
    Snow,
    Studio,
}

const PLACES: [Place; 6] =
    [Place::Meadow, Place::Park, Place::Beach, Place::Room, Place::Snow, Place::Studio];

/// Draws a random place.
pub fn background(sketch: &mut Sketch, random: &mut Random) {
    let place = PLACES.get(random.below(PLACES.len())).copied().unwrap_or(Place::Studio);
    let horizon = random.between(150.0, 190.0);
    match place {
        Place::Meadow => meadow(sketch, horizon, random),
        Place::Park => park(sketch, horizon, random),
        Place::Beach => beach(sketch, horizon, random),
        Place::Room => room(sketch, random.between(186.0, 214.0), random),
        Place::Snow => snow(sketch, horizon, random),
        Place::Studio => studio(sketch, random),
    }
}

/// The dog's shadow on the ground.
pub fn shadow(sketch: &mut Sketch, across: f32) {
    sketch.glaze(oval(150.0, 264.0, across, 13.0), 0x1b1a2b, 0.22);
}

fn box_of(left: f32, top: f32, right: f32, bottom: f32) -> Option<tiny_skia::Path> {
    tiny_skia::Rect::from_ltrb(left, top, right, bottom).map(tiny_skia::PathBuilder::from_rect)
}

/// Larger than the space, as the whole scene may be turned and moved.
fn sky(sketch: &mut Sketch, top: u32, bottom: u32, horizon: f32) {
    let all = box_of(-80.0, -80.0, SPACE + 80.0, SPACE + 80.0);
    sketch.gradient(all, (top, bottom), (0.0, horizon));
}

fn ground(sketch: &mut Sketch, near: u32, far: u32, horizon: f32) {
    let all = box_of(-80.0, horizon, SPACE + 80.0, SPACE + 80.0);
    sketch.gradient(all, (far, near), (horizon, SPACE));
}

fn clouds(sketch: &mut Sketch, random: &mut Random) {
    for _ in 0..random.below(4) {
        let (x, y) = (random.between(10.0, 290.0), random.between(14.0, 80.0));
        let size = random.between(12.0, 22.0);
        for (dx, dy, part) in [(-1.1, 0.2, 0.7), (0.0, 0.0, 1.0), (1.1, 0.25, 0.75)] {
            sketch.glaze(
                oval(x + dx * size, y + dy * size, size * part * 1.2, size * part * 0.8),
                0xffffff,
                0.85,
            );
        }
    }
}

fn sun(sketch: &mut Sketch, random: &mut Random) {
    let (x, y) = (random.between(30.0, 270.0), random.between(26.0, 60.0));
    sketch.glaze(oval(x, y, 30.0, 30.0), 0xfff3b0, 0.45);
    sketch.fill(oval(x, y, 17.0, 17.0), 0xffdf6b);
}

fn hills(sketch: &mut Sketch, colour: u32, horizon: f32, random: &mut Random) {
    for _ in 0..3 {
        let x = random.between(-20.0, 320.0);
        let size = random.between(50.0, 110.0);
        sketch.fill(oval(x, horizon + 12.0, size, size * random.between(0.3, 0.5)), colour);
    }
}

fn meadow(sketch: &mut Sketch, horizon: f32, random: &mut Random) {
    sky(sketch, 0x74bdf0, 0xd8effc, horizon);
    sun(sketch, random);
    clouds(sketch, random);
    hills(sketch, 0x9ac887, horizon, random);
    ground(sketch, 0x6aa84a, 0x9fd070, horizon);
    for _ in 0..46 {
        let (x, y) = (random.between(0.0, SPACE), random.between(horizon + 10.0, 298.0));
        let tall = 4.0 + (y - horizon) * 0.06;
        let blade = curve(&[(x, y), (x + random.between(-2.0, 2.0), y - tall)]);
        sketch.line(blade, 1.6, mix(0x4f8f38, 0x86c25a, random.unit()));
    }
    let petals = [0xffffff, 0xffe066, 0xf48fb1, 0xb39ddb];
    for _ in 0..random.below(14) {
        let (x, y) = (random.between(0.0, SPACE), random.between(horizon + 20.0, 296.0));
        let colour = petals.get(random.below(4)).copied().unwrap_or(0xffffff);
        for (dx, dy) in [(-2.4, 0.0), (2.4, 0.0), (0.0, -2.4), (0.0, 2.4)] {
            sketch.fill(oval(x + dx, y + dy, 2.1, 2.1), colour);
        }
        sketch.fill(oval(x, y, 1.6, 1.6), 0xf5b731);
    }
}

fn park(sketch: &mut Sketch, horizon: f32, random: &mut Random) {
    let autumn = random.chance(0.4);
    sky(sketch, 0x93cdf2, 0xe9f5fb, horizon);
    clouds(sketch, random);
    for _ in 0..5 {
        let x = random.between(0.0, SPACE);
        let tall = random.between(60.0, 110.0);
        sketch.line(curve(&[(x, horizon + 12.0), (x, horizon - tall * 0.5)]), 8.0, 0x80583a);
        let leaf = if autumn {
            mix(0xd9732b, 0xe9b43c, random.unit())
        } else {
            mix(0x3f8a46, 0x7cb85a, random.unit())
        };
        let (size, y) = (tall * 0.36, horizon - tall * 0.62);
        let crown: Vec<Xy> = (0..8)
            .map(|n| {
                let angle = n as f32 * std::f32::consts::TAU / 8.0;
                (x + size * angle.cos(), y + size * angle.sin())
            })
            .collect();
        sketch.fill(tufted(&crown, 18.0, 0.6), leaf);
        sketch.glaze(oval(x - size * 0.3, y - size * 0.35, size * 0.4, size * 0.3), 0xffffff, 0.15);
    }
    ground(sketch, 0x7cae58, 0xa8cf7c, horizon + 6.0);
    let path = [
        (110.0, 310.0),
        (150.0, 240.0),
        (196.0, horizon + 8.0),
        (214.0, horizon + 8.0),
        (210.0, 240.0),
        (230.0, 310.0),
    ];
    sketch.fill(blob(&path), 0xe0cda4);
}

fn beach(sketch: &mut Sketch, horizon: f32, random: &mut Random) {
    let evening = random.chance(0.4);
    let (top, low) = if evening { (0xf0997d, 0xfbe0b0) } else { (0x69b8ee, 0xd3eefa) };
    sky(sketch, top, low, horizon);
    sun(sketch, random);
    clouds(sketch, random);
    let shore = horizon + random.between(26.0, 40.0);
    ground(sketch, 0x3f9fc4, if evening { 0x7f8fc0 } else { 0x5fb4dc }, horizon);
    for _ in 0..8 {
        let (x, y) = (random.between(0.0, SPACE), random.between(horizon + 5.0, shore - 4.0));
        sketch.line(curve(&[(x - 9.0, y), (x, y - 2.0), (x + 9.0, y)]), 1.6, 0xe8f6fb);
    }
    let edge = [
        (-60.0, shore + 6.0),
        (60.0, shore),
        (150.0, shore + 7.0),
        (240.0, shore),
        (380.0, shore + 6.0),
        (380.0, 380.0),
        (-60.0, 380.0),
    ];
    sketch.fill(blob(&edge), 0xf0d9a4);
    for _ in 0..40 {
        let (x, y) = (random.between(0.0, SPACE), random.between(shore + 12.0, 299.0));
        sketch.glaze(oval(x, y, 1.1, 0.9), 0xb8935a, 0.5);
    }
}

fn room(sketch: &mut Sketch, floor: f32, random: &mut Random) {
    let walls = [0xf3d9c4, 0xcfe0d8, 0xd5dcee, 0xf0e3b8, 0xe6cfd8];
    let wall = walls.get(random.below(5)).copied().unwrap_or(0xf3d9c4);
    sky(sketch, lighter(wall, 0.2), wall, floor);
    let x = random.between(20.0, 190.0);
    sketch.fill(box_of(x, 26.0, x + 86.0, 112.0), 0xffffff);
    sketch.gradient(box_of(x + 6.0, 32.0, x + 80.0, 106.0), (0x9fd3f5, 0xe4f4fb), (32.0, 106.0));
    sketch.line(curve(&[(x + 43.0, 32.0), (x + 43.0, 106.0)]), 4.0, 0xffffff);
    sketch.line(curve(&[(x + 6.0, 69.0), (x + 80.0, 69.0)]), 4.0, 0xffffff);
    ground(sketch, 0xa97b50, 0xc79a6c, floor);
    for n in 0..7 {
        let y = floor + 4.0 + (n * n) as f32 * 2.6;
        sketch.line(curve(&[(-80.0, y), (380.0, y)]), 1.2, 0x94683f);
    }
    sketch.fill(box_of(-80.0, floor - 7.0, 380.0, floor), lighter(wall, 0.5));
    let rugs = [0xc8504b, 0x4f7cac, 0x5f9e7c, 0x8d6bb0];
    let rug = rugs.get(random.below(4)).copied().unwrap_or(0xc8504b);
    sketch.fill(oval(150.0, 266.0, 136.0, 28.0), rug);
    sketch.line(oval(150.0, 266.0, 120.0, 22.0), 2.4, lighter(rug, 0.45));
}

fn snow(sketch: &mut Sketch, horizon: f32, random: &mut Random) {
    sky(sketch, 0xa9c4de, 0xe3edf5, horizon);
    for _ in 0..6 {
        let x = random.between(0.0, SPACE);
        let size = random.between(24.0, 46.0);
        for level in 0..3 {
            let y = horizon + 6.0 - level as f32 * size * 0.42;
            let across = size * (0.62 - level as f32 * 0.15);
            let mut builder = tiny_skia::PathBuilder::new();
            builder.move_to(x - across, y);
            builder.line_to(x, y - size * 0.7);
            builder.line_to(x + across, y);
            builder.close();
            sketch.fill(builder.finish(), mix(0x4d7a68, 0xdfeaf0, 0.2 + 0.15 * level as f32));
        }
    }
    ground(sketch, 0xffffff, 0xe2ecf4, horizon);
    for _ in 0..50 {
        let (x, y, size) =
            (random.between(0.0, SPACE), random.between(0.0, SPACE), random.between(0.9, 2.4));
        sketch.glaze(oval(x, y, size, size), 0xffffff, 0.9);
    }
}

fn studio(sketch: &mut Sketch, random: &mut Random) {
    let papers = [0xf6c9c0, 0xbfe0ee, 0xd6e6b8, 0xf7e2a1, 0xd9cdef, 0xcfd6dc];
    let paper = papers.get(random.below(6)).copied().unwrap_or(0xcfd6dc);
    sky(sketch, lighter(paper, 0.25), paper, 240.0);
    sketch.glaze(oval(150.0, 130.0, 140.0, 120.0), 0xffffff, 0.18);
    sketch.glaze(oval(150.0, 300.0, 220.0, 60.0), darker(paper, 0.3), 0.3);
}

/// Light and camera: brightness, warmth, a darker rim and noise. `rgb` is a square picture.
pub fn develop(rgb: &mut [u8], side: usize, random: &mut Random) {
    let bright = random.between(0.88, 1.1);
    let warm = random.between(-0.07, 0.07);
    let gains = [bright * (1.0 + warm), bright, bright * (1.0 - warm)];
    let noise = random.between(1.0, 5.0);
    let rim = random.between(0.0, 0.18);
    let half = side as f32 / 2.0;
    let (pixels, _) = rgb.as_chunks_mut::<3>();
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let (x, y) = ((index % side) as f32 - half, (index / side) as f32 - half);
        let shade = 1.0 - rim * (x * x + y * y) / (half * half * 2.0);
        let grain = noise * (random.unit() + random.unit() + random.unit() - 1.5);
        for (value, gain) in pixel.iter_mut().zip(gains) {
            *value = (f32::from(*value) * gain * shade + grain).round().clamp(0.0, 255.0) as u8;
        }
    }
}

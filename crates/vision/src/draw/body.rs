//! Bodies in four poses, with the head where it belongs. The ground is at y = 262.

use tiny_skia::{Path, Transform};

use super::breed::{Breed, Coat, Pattern, Tail};
use super::fur::{self, Area};
use super::head::{self, Mood};
use super::sketch::{Clip, Sketch, Xy, blob, curve, darker, lighter, oval, tufted};
use crate::random::Random;

const GROUND: f32 = 262.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pose {
    Portrait,
    Sitting,
    Standing,
    Lying,
}

/// What one picture adds to a breed.
#[derive(Debug, Clone, Copy)]
pub struct Posture {
    pub pose: Pose,
    pub mood: Mood,
    /// Degrees that the head is tilted.
    pub tilt: f32,
    /// Colour of a collar, if it wears one.
    pub collar: Option<u32>,
}

/// Draws the whole dog.
pub fn draw(sketch: &mut Sketch, breed: &Breed, posture: Posture, random: &mut Random) {
    match posture.pose {
        Pose::Portrait => portrait(sketch, breed, posture, random),
        Pose::Sitting => sitting(sketch, breed, posture, random),
        Pose::Standing => standing(sketch, breed, posture, random),
        Pose::Lying => lying(sketch, breed, posture, random),
    }
}

fn portrait(sketch: &mut Sketch, breed: &Breed, posture: Posture, random: &mut Random) {
    let shoulders = [
        (150.0, 196.0),
        (206.0, 212.0),
        (250.0, 262.0),
        (262.0, 330.0),
        (38.0, 330.0),
        (50.0, 262.0),
        (94.0, 212.0),
    ];
    part(sketch, breed, &shoulders, (30.0, 190.0, 270.0, 310.0), random);
    chest(sketch, breed, (150.0, 296.0, 46.0, 56.0));
    collar(sketch, posture, (150.0, 236.0), 56.0);
    head_at(sketch, breed, posture, (150.0, 142.0), 1.5, random);
}

fn sitting(sketch: &mut Sketch, breed: &Breed, posture: Posture, random: &mut Random) {
    // Short legs sit lower.
    let low = (1.0 - breed.legs) * 26.0;
    tail(sketch, breed, (186.0, 236.0), 1.0, random);
    for side in [-1.0, 1.0] {
        let x = 150.0 + side * 37.0;
        let thigh = [
            (x, 204.0),
            (x + 25.0, 214.0),
            (x + 30.0, 240.0),
            (x + 18.0, GROUND),
            (x - 18.0, GROUND),
            (x - 30.0, 240.0),
            (x - 25.0, 214.0),
        ];
        part(sketch, breed, &thigh, (x - 30.0, 204.0, x + 30.0, GROUND), random);
        paw(sketch, breed, x + side * 14.0, 20.0);
    }
    let top = 126.0 + low;
    let torso = [
        (150.0, top),
        (178.0, top + 16.0),
        (190.0, top + 66.0),
        (184.0, 246.0),
        (150.0, 256.0),
        (116.0, 246.0),
        (110.0, top + 66.0),
        (122.0, top + 16.0),
    ];
    part(sketch, breed, &torso, (106.0, top, 194.0, 258.0), random);
    chest(sketch, breed, (150.0, top + 62.0, 24.0, 42.0));
    for side in [-1.0, 1.0] {
        leg(sketch, breed, 150.0 + side * 17.0, 186.0 + low * 0.5, 12.0);
    }
    collar(sketch, posture, (150.0, top + 26.0), 31.0);
    head_at(sketch, breed, posture, (150.0, 92.0 + low), 0.98, random);
}

fn standing(sketch: &mut Sketch, breed: &Breed, posture: Posture, random: &mut Random) {
    let half = 62.0 * breed.length;
    let belly = GROUND - 16.0 - 50.0 * breed.legs;
    let (cx, top) = (132.0, belly - 54.0);
    tail(sketch, breed, (cx - half + 4.0, top + 14.0), -1.0, random);
    // The legs on the far side are in the shade.
    let far =
        Breed { coat: darker(breed.coat, 0.22), mark: darker(breed.mark, 0.22), ..breed.clone() };
    leg(sketch, &far, cx + half - 30.0, belly - 24.0, 11.0);
    leg(sketch, &far, cx - half + 32.0, belly - 24.0, 11.0);
    let torso = [
        (cx - half, top + 20.0),
        (cx - half + 22.0, top + 2.0),
        (cx, top + 4.0),
        (cx + half - 16.0, top - 4.0),
        (cx + half + 6.0, top + 18.0),
        (cx + half, top + 48.0),
        (cx + half * 0.4, belly + 3.0),
        (cx - half * 0.4, belly - 5.0),
        (cx - half + 8.0, belly - 6.0),
    ];
    part(sketch, breed, &torso, (cx - half - 4.0, top - 4.0, cx + half + 6.0, belly + 4.0), random);
    leg(sketch, breed, cx + half - 14.0, belly - 20.0, 12.5);
    let hind = cx - half + 14.0;
    part(
        sketch,
        breed,
        &[
            (hind, top + 8.0),
            (hind + 22.0, top + 28.0),
            (hind + 14.0, belly + 6.0),
            (hind - 10.0, belly + 6.0),
            (hind - 17.0, top + 26.0),
        ],
        (hind - 18.0, top + 8.0, hind + 22.0, belly + 6.0),
        random,
    );
    leg(sketch, breed, hind - 1.0, belly - 8.0, 11.5);
    let neck = (cx + half + 2.0, top + 2.0);
    collar(sketch, posture, (neck.0 + 2.0, neck.1 + 8.0), 25.0);
    head_at(sketch, breed, posture, (neck.0 + 12.0, neck.1 - 32.0), 0.84, random);
}

fn lying(sketch: &mut Sketch, breed: &Breed, posture: Posture, random: &mut Random) {
    let half = 84.0 * breed.length.min(1.1);
    tail(sketch, breed, (150.0 + half - 14.0, 224.0), 1.0, random);
    let torso = [
        (150.0 - half, 236.0),
        (150.0 - half * 0.72, 186.0),
        (150.0, 166.0),
        (150.0 + half * 0.72, 186.0),
        (150.0 + half, 236.0),
        (150.0 + half * 0.7, GROUND),
        (150.0 - half * 0.7, GROUND),
    ];
    part(sketch, breed, &torso, (150.0 - half, 166.0, 150.0 + half, GROUND), random);
    for side in [-1.0, 1.0] {
        let x = 150.0 + side * 46.0;
        sketch.shape(oval(x, 250.0, 22.0, 15.0), sock(breed));
        paw(sketch, breed, x - side * 2.0, 19.0);
    }
    collar(sketch, posture, (150.0, 218.0), 36.0);
    head_at(sketch, breed, posture, (150.0, 172.0), 1.06, random);
}

/// A piece of the body, with fur and pattern.
fn part(sketch: &mut Sketch, breed: &Breed, points: &[Xy], area: Area, random: &mut Random) {
    let path: Option<Path> = match breed.texture {
        Coat::Smooth => blob(points),
        Coat::Fluffy => tufted(points, 16.0, 0.42),
        Coat::Curly => tufted(points, 20.0, 0.6),
        Coat::Wiry => tufted(points, 11.0, 0.45),
    };
    sketch.fill(path.clone(), breed.coat);
    let clip = sketch.clip(path.as_ref());
    fur::texture(sketch, breed, area, &clip, random);
    pattern(sketch, breed, area, &clip, random);
    let (left, top, right, bottom) = area;
    let (middle, across) = ((left + right) / 2.0, (right - left) / 2.0);
    sketch.glaze_within(
        oval(middle - across * 0.2, top + 8.0, across * 0.7, 16.0),
        0xffffff,
        0.1,
        &clip,
    );
    sketch.glaze_within(oval(middle, bottom + 4.0, across * 1.2, 22.0), 0x2a1620, 0.14, &clip);
    sketch.outline(path);
}

fn pattern(sketch: &mut Sketch, breed: &Breed, area: Area, clip: &Clip, random: &mut Random) {
    let (left, top, right, bottom) = area;
    let size = (right - left) * (bottom - top);
    match breed.pattern {
        Pattern::Solid | Pattern::Blaze | Pattern::Mask | Pattern::Points => {}
        Pattern::Patches => fur::patches(sketch, breed.mark, area, clip, random),
        Pattern::Dots => fur::dots(sketch, breed.mark, area, (size / 260.0) as usize, clip, random),
        Pattern::Brindle => fur::stripes(sketch, darker(breed.coat, 0.45), area, clip, random),
        Pattern::Saddle => {
            let (middle, across) = ((left + right) / 2.0, (right - left) / 2.0);
            let deep = (bottom - top) * 0.48;
            sketch.glaze_within(oval(middle, top, across * 0.95, deep), breed.mark, 1.0, clip);
        }
    }
}

fn chest(sketch: &mut Sketch, breed: &Breed, (x, y, across, down): (f32, f32, f32, f32)) {
    let colour = match breed.pattern {
        Pattern::Blaze | Pattern::Points => breed.mark,
        Pattern::Saddle | Pattern::Solid => lighter(breed.coat, 0.2),
        Pattern::Mask | Pattern::Patches | Pattern::Dots | Pattern::Brindle => return,
    };
    let points = [
        (x, y - down),
        (x + across, y - down * 0.3),
        (x + across * 0.6, y + down * 0.7),
        (x, y + down),
        (x - across * 0.6, y + down * 0.7),
        (x - across, y - down * 0.3),
    ];
    let path =
        if breed.texture == Coat::Smooth { blob(&points) } else { tufted(&points, 12.0, 0.5) };
    sketch.fill(path, colour);
}

fn leg(sketch: &mut Sketch, breed: &Breed, x: f32, top: f32, half: f32) {
    let points = [
        (x - half * 1.1, top),
        (x, top - 8.0),
        (x + half * 1.1, top),
        (x + half * 0.9, GROUND - 22.0),
        (x + half, GROUND - 4.0),
        (x - half, GROUND - 4.0),
        (x - half * 0.9, GROUND - 22.0),
    ];
    let path =
        if breed.texture == Coat::Curly { tufted(&points, 14.0, 0.5) } else { blob(&points) };
    sketch.fill(path.clone(), breed.coat);
    let clip = sketch.clip(path.as_ref());
    if sock(breed) != breed.coat {
        sketch.glaze_within(oval(x, GROUND, half * 1.6, 32.0), sock(breed), 1.0, &clip);
    }
    // The top flows into the body: only the sides are outlined.
    for side in [-1.0, 1.0] {
        let edge = [
            (x + side * half * 1.08, top + 12.0),
            (x + side * half * 0.88, GROUND - 24.0),
            (x + side * half, GROUND - 6.0),
        ];
        sketch.outline(curve(&edge));
    }
    paw(sketch, breed, x, half * 1.35);
}

fn paw(sketch: &mut Sketch, breed: &Breed, x: f32, across: f32) {
    sketch.shape(oval(x, GROUND - 5.0, across, 9.5), sock(breed));
    for toe in [-0.36, 0.36] {
        let line = [(x + across * toe, GROUND - 5.5), (x + across * toe * 1.05, GROUND + 2.0)];
        sketch.line(curve(&line), 1.8, sketch.ink);
    }
}

fn sock(breed: &Breed) -> u32 {
    match breed.pattern {
        Pattern::Blaze | Pattern::Points | Pattern::Mask => breed.mark,
        Pattern::Solid | Pattern::Patches | Pattern::Saddle | Pattern::Dots | Pattern::Brindle => {
            breed.coat
        }
    }
}

/// `side` is where it points: 1 to the right, -1 to the left.
fn tail(sketch: &mut Sketch, breed: &Breed, (x, y): Xy, side: f32, random: &mut Random) {
    let wag = random.between(-8.0, 8.0);
    let line: &[Xy] = match breed.tail {
        Tail::Curled => {
            &[(0.0, 6.0), (26.0, -8.0), (32.0, -34.0), (12.0, -46.0), (2.0, -32.0), (14.0, -24.0)]
        }
        Tail::Plume => &[(0.0, 6.0), (26.0, 0.0), (42.0, -22.0), (44.0, -48.0)],
        Tail::Thin => &[(0.0, 8.0), (28.0, 4.0), (46.0, -20.0), (54.0, -44.0)],
        Tail::Stub => &[(0.0, 4.0), (14.0, -4.0), (18.0, -12.0)],
    };
    let (width, end) = match breed.tail {
        Tail::Curled => (15.0, 1.0),
        Tail::Plume => (24.0, 0.6),
        Tail::Thin => (9.0, 0.8),
        Tail::Stub => (13.0, 1.0),
    };
    let points: Vec<Xy> =
        line.iter().map(|(dx, dy)| (x + side * dx, y + dy + wag * dx / 50.0)).collect();
    let width = if breed.texture == Coat::Smooth { width } else { width * 1.25 };
    let path = curve(&points);
    sketch.line(path.clone(), width + 2.0 * sketch.ink_width, sketch.ink);
    sketch.line(path, width, tail_colour(breed));
    if let (Some((tx, ty)), Pattern::Blaze | Pattern::Mask) = (points.last(), breed.pattern) {
        sketch.fill(oval(*tx, *ty, width * 0.5 * end, width * 0.5 * end), breed.mark);
    }
}

fn tail_colour(breed: &Breed) -> u32 {
    match breed.pattern {
        Pattern::Saddle => breed.mark,
        _ => breed.coat,
    }
}

fn collar(sketch: &mut Sketch, posture: Posture, (x, y): Xy, half: f32) {
    let Some(colour) = posture.collar else { return };
    let band = [(x - half, y - half * 0.28), (x, y + half * 0.2), (x + half, y - half * 0.28)];
    let width = (half * 0.26).max(7.0);
    sketch.line(curve(&band), width + 2.0 * sketch.ink_width, sketch.ink);
    sketch.line(curve(&band), width, colour);
    sketch.shape(oval(x, y + half * 0.2 + width * 0.8, width * 0.55, width * 0.55), 0xf5c542);
}

fn head_at(
    sketch: &mut Sketch,
    breed: &Breed,
    posture: Posture,
    (x, y): Xy,
    scale: f32,
    random: &mut Random,
) {
    let body = sketch.at;
    let width = sketch.ink_width;
    let place = Transform::from_translate(x, y).pre_rotate(posture.tilt).pre_scale(scale, scale);
    sketch.at = body.pre_concat(place);
    sketch.ink_width = width / scale;
    head::draw(sketch, breed, posture.mood, random);
    sketch.at = body;
    sketch.ink_width = width;
}

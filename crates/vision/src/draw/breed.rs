//! Breeds of cartoon dogs: what stays the same from picture to picture.
//!
//! The first twelve are made by hand; the others are combinations, in an order in which neighbours
//! share little. Equal indices are equal breeds, whatever the seed of a data set.

use crate::random::Random;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ears {
    /// Long and hanging, as a basset's.
    Long,
    /// Hanging to the cheek.
    Floppy,
    /// Upright triangles.
    Pointed,
    /// Upright, large and round.
    Bat,
    /// Upright with a folded tip.
    Button,
    /// Large curly balls.
    Puffs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Muzzle {
    Short,
    Medium,
    Long,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    Solid,
    /// A white stripe on the face, chest, socks and tip of the tail.
    Blaze,
    /// Dark muzzle, ears and socks.
    Mask,
    /// Large patches, one over an eye.
    Patches,
    /// A dark back and crown.
    Saddle,
    /// Marks over the eyes, on the muzzle and the legs.
    Points,
    /// Many small dots.
    Dots,
    /// Stripes.
    Brindle,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coat {
    Smooth,
    Fluffy,
    Curly,
    /// With a beard and brows.
    Wiry,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tail {
    Curled,
    Plume,
    Thin,
    Stub,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Breed {
    pub name: String,
    /// The coat, `0xrrggbb`.
    pub coat: u32,
    /// The pattern.
    pub mark: u32,
    pub eyes: u32,
    pub ears: Ears,
    pub muzzle: Muzzle,
    pub pattern: Pattern,
    pub texture: Coat,
    pub tail: Tail,
    /// Length of the legs, around 1.
    pub legs: f32,
    /// Length of the body, around 1.
    pub length: f32,
    /// Width of the head, around 1.
    pub head: f32,
}

const WHITE: u32 = 0xf8f4ec;
const CREAM: u32 = 0xf2dfb8;
const GOLD: u32 = 0xe2a750;
const TAN: u32 = 0xc48748;
const RED: u32 = 0xb35a2a;
const CHOCOLATE: u32 = 0x704528;
const BLACK: u32 = 0x3a3638;
const GREY: u32 = 0x9a9da3;
const SLATE: u32 = 0x65717f;
const BROWN_EYES: u32 = 0x4a2c17;
const BLUE_EYES: u32 = 0x5b9bd0;
const AMBER_EYES: u32 = 0x9a5f1c;

/// The breed with this index.
pub fn breed(index: usize) -> Breed {
    made_by_hand(index).unwrap_or_else(|| combined(index))
}

#[rustfmt::skip]
fn made_by_hand(index: usize) -> Option<Breed> {
    use {Ears::*, Muzzle::*, Pattern::*};
    let breed = match index {
        0 => like("Biscuit_hound", (RED, WHITE, BROWN_EYES), (Ears::Long, Muzzle::Long, Blaze), (Coat::Smooth, Tail::Thin), (0.62, 1.2, 1.0)),
        1 => like("Cloud_poodle", (WHITE, CREAM, BROWN_EYES), (Puffs, Medium, Solid), (Coat::Curly, Tail::Curled), (1.1, 0.85, 0.95)),
        2 => like("Ember_spitz", (GOLD, CREAM, BROWN_EYES), (Pointed, Medium, Blaze), (Coat::Fluffy, Tail::Curled), (0.9, 0.9, 1.05)),
        3 => like("Domino_pointer", (WHITE, BLACK, AMBER_EYES), (Floppy, Medium, Dots), (Coat::Smooth, Tail::Thin), (1.2, 1.1, 0.95)),
        4 => like("Midnight_shepherd", (TAN, BLACK, BROWN_EYES), (Pointed, Muzzle::Long, Saddle), (Coat::Smooth, Tail::Plume), (1.1, 1.15, 1.0)),
        5 => like("Pebble_terrier", (GREY, SLATE, BROWN_EYES), (Button, Medium, Solid), (Coat::Wiry, Tail::Stub), (0.75, 0.95, 0.95)),
        6 => like("Button_pug", (CREAM, BLACK, BROWN_EYES), (Floppy, Short, Mask), (Coat::Smooth, Tail::Curled), (0.75, 0.9, 1.12)),
        7 => like("Glacier_husky", (SLATE, WHITE, BLUE_EYES), (Pointed, Medium, Blaze), (Coat::Fluffy, Tail::Plume), (1.05, 1.05, 1.0)),
        8 => like("Cocoa_retriever", (CHOCOLATE, TAN, AMBER_EYES), (Floppy, Medium, Solid), (Coat::Smooth, Tail::Plume), (1.0, 1.1, 1.05)),
        9 => like("Radar_frenchie", (SLATE, WHITE, BROWN_EYES), (Bat, Short, Brindle), (Coat::Smooth, Tail::Stub), (0.7, 0.9, 1.15)),
        10 => like("Tuxedo_pinscher", (BLACK, RED, BROWN_EYES), (Pointed, Muzzle::Long, Points), (Coat::Smooth, Tail::Stub), (1.2, 0.95, 0.9)),
        11 => like("Patches_beagle", (WHITE, TAN, BROWN_EYES), (Ears::Long, Medium, Patches), (Coat::Smooth, Tail::Thin), (0.9, 1.0, 1.0)),
        _ => return None,
    };
    Some(breed)
}

fn like(
    name: &str,
    (coat, mark, eyes): (u32, u32, u32),
    (ears, muzzle, pattern): (Ears, Muzzle, Pattern),
    (texture, tail): (Coat, Tail),
    (legs, length, head): (f32, f32, f32),
) -> Breed {
    let name = name.to_owned();
    Breed { name, coat, mark, eyes, ears, muzzle, pattern, texture, tail, legs, length, head }
}

const COATS: [(&str, u32, u32); 11] = [
    ("Snow", WHITE, SLATE),
    ("Honey", GOLD, WHITE),
    ("Raven", BLACK, WHITE),
    ("Rust", RED, CREAM),
    ("Ash", GREY, BLACK),
    ("Mocha", CHOCOLATE, CREAM),
    ("Vanilla", CREAM, CHOCOLATE),
    ("Storm", SLATE, TAN),
    ("Maple", TAN, WHITE),
    ("Soot", BLACK, RED),
    ("Birch", WHITE, RED),
];
const KINDS: [(&str, Ears, Muzzle, Coat, Tail); 13] = [
    ("hound", Ears::Long, Muzzle::Long, Coat::Smooth, Tail::Thin),
    ("spitz", Ears::Pointed, Muzzle::Medium, Coat::Fluffy, Tail::Curled),
    ("bulldog", Ears::Floppy, Muzzle::Short, Coat::Smooth, Tail::Stub),
    ("poodle", Ears::Puffs, Muzzle::Long, Coat::Curly, Tail::Curled),
    ("terrier", Ears::Button, Muzzle::Medium, Coat::Wiry, Tail::Stub),
    ("shepherd", Ears::Pointed, Muzzle::Long, Coat::Fluffy, Tail::Plume),
    ("batear", Ears::Bat, Muzzle::Short, Coat::Smooth, Tail::Thin),
    ("setter", Ears::Long, Muzzle::Medium, Coat::Fluffy, Tail::Plume),
    ("griffon", Ears::Floppy, Muzzle::Medium, Coat::Wiry, Tail::Thin),
    ("papillon", Ears::Bat, Muzzle::Medium, Coat::Fluffy, Tail::Plume),
    ("barbet", Ears::Long, Muzzle::Short, Coat::Curly, Tail::Plume),
    ("collie", Ears::Button, Muzzle::Long, Coat::Fluffy, Tail::Plume),
    ("pinscher", Ears::Pointed, Muzzle::Short, Coat::Smooth, Tail::Stub),
];
const PATTERNS: [(&str, Pattern); 8] = [
    ("", Pattern::Solid),
    ("Patched_", Pattern::Patches),
    ("Masked_", Pattern::Mask),
    ("Dotted_", Pattern::Dots),
    ("Blazed_", Pattern::Blaze),
    ("Tiger_", Pattern::Brindle),
    ("Saddled_", Pattern::Saddle),
    ("Marked_", Pattern::Points),
];

/// How many breeds differ in more than their proportions.
pub const BREEDS_MAX: usize = 12 + COATS.len() * KINDS.len() * PATTERNS.len();

/// 11, 13 and 8 have no common divisor: counting up changes all three at once, and comes back to
/// a combination only after all of them.
fn combined(index: usize) -> Breed {
    let mut random = Random::for_part(0x6272_6565_6473, index as u64);
    let (colour, coat, mark) = COATS.get(index % COATS.len()).copied().unwrap_or(("", 0, 0));
    let (kind, ears, muzzle, texture, tail) = KINDS.get(index % KINDS.len()).copied().unwrap_or((
        "dog",
        Ears::Floppy,
        Muzzle::Medium,
        Coat::Smooth,
        Tail::Thin,
    ));
    let (adjective, pattern) =
        PATTERNS.get(index % PATTERNS.len()).copied().unwrap_or(("", Pattern::Solid));
    let eyes = [BROWN_EYES, AMBER_EYES, BLUE_EYES].get(random.below(3)).copied();
    Breed {
        name: format!(
            "{adjective}{}_{kind}",
            if adjective.is_empty() { colour.to_owned() } else { colour.to_ascii_lowercase() }
        ),
        coat,
        mark,
        eyes: eyes.unwrap_or(BROWN_EYES),
        ears,
        muzzle,
        pattern,
        texture,
        tail,
        legs: random.between(0.65, 1.2),
        length: random.between(0.85, 1.2),
        head: random.between(0.92, 1.12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_breed_has_a_name_and_a_look_of_its_own() {
        let breeds: Vec<Breed> = (0..BREEDS_MAX).map(breed).collect();
        let names: HashSet<&str> = breeds.iter().map(|breed| breed.name.as_str()).collect();
        assert_eq!(names.len(), BREEDS_MAX);
        let looks: HashSet<_> = breeds
            .iter()
            .skip(12)
            .map(|b| (b.coat, b.mark, b.ears, b.muzzle, b.pattern, b.texture, b.tail))
            .collect();
        assert_eq!(looks.len(), BREEDS_MAX - 12);
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_alphabetic() || c == '_')));
    }
}

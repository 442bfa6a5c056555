//! Both engines compute what PyTorch computed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test's helpers may fail, and say what they skip"
)]

use std::path::Path;

use kennel_vision::backbone::{self, FEATURES, SIDE};
use kennel_vision::engine::{self, Engine};
use safetensors::SafeTensors;

const TOLERANCE: f32 = 1e-3;

/// The fixture's picture: a pattern that exercises the whole input range.
fn pattern() -> Vec<f32> {
    (0..3 * SIDE * SIDE)
        .map(|i| {
            let (channel, y, x) = (i / (SIDE * SIDE), i / SIDE % SIDE, i % SIDE);
            ((x * (channel + 2) + y * (5 - channel) + (x * y) / 16) % 256) as f32 / 128.0
                - 127.0 / 128.0
        })
        .collect()
}

fn engines() -> Vec<Box<dyn Engine>> {
    let mut engines = vec![engine::portable()];
    let chosen = engine::choose();
    if chosen.engine.name().starts_with("ONNX") {
        engines.push(chosen.engine);
    } else {
        skip(&chosen.why);
    }
    engines
}

/// Says what is left out; fails where nothing may be.
fn skip(why: &str) {
    println!("skipped: {why}");
    let required = std::env::var_os("KENNEL_REQUIRE_ALL").is_some_and(|value| value == "1");
    assert!(!required, "{why}");
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn features_of_a_pattern_equal_the_recorded_ones() {
    let recorded = floats(include_bytes!("fixtures/pattern_features.f32"));
    let model = backbone::features_model().unwrap();
    for engine in engines() {
        let mut loaded = engine.load(&model, 1, 1).unwrap();
        let features = loaded[0].run([1, 3, SIDE, SIDE], &pattern()).unwrap();
        let difference = largest_difference(&features, &recorded);
        assert!(difference < TOLERANCE, "{}: {difference}", engine.name());
    }
}

#[test]
fn features_and_logits_of_a_photo_equal_those_of_pytorch() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/weights/efficientnet-lite0/reference_io.safetensors");
    let Ok(bytes) = std::fs::read(&path) else {
        // The recorded pattern above is compared everywhere.
        println!("no reference photo beside the checkout: the recorded pattern alone was compared");
        return;
    };
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| floats(reference.tensor(name).unwrap().data());
    let (weights, bias) = backbone::imagenet_head().unwrap();
    let head = backbone::Head { classes: 1000, weights: &weights, bias: &bias };
    for (model, expected) in [
        (backbone::features_model().unwrap(), tensor("pooled")),
        (backbone::classifier_model(&head).unwrap(), tensor("logits")),
    ] {
        for engine in engines() {
            let mut loaded = engine.load(&model, 1, 2).unwrap();
            let output = loaded[0].run([1, 3, SIDE, SIDE], &tensor("input")).unwrap();
            let difference = largest_difference(&output, &expected);
            println!("{}: {difference}", engine.name());
            assert!(difference < TOLERANCE, "{}: {difference}", engine.name());
        }
    }
}

#[test]
fn a_batch_gives_the_rows_of_its_pictures() {
    let model = backbone::features_model().unwrap();
    let mut batch = pattern();
    batch.extend(pattern().iter().map(|value| -value));
    for engine in engines() {
        let mut loaded = engine.load(&model, 2, 1).unwrap();
        let both = loaded[0].run([2, 3, SIDE, SIDE], &batch).unwrap();
        let second = loaded[1].run([1, 3, SIDE, SIDE], &batch[3 * SIDE * SIDE..]).unwrap();
        assert_eq!(both.len(), 2 * FEATURES);
        assert!(largest_difference(&both[FEATURES..], &second) < 1e-4);
    }
}

#[test]
fn a_batch_of_the_wrong_size_is_refused() {
    let model = backbone::features_model().unwrap();
    for engine in engines() {
        let mut loaded = engine.load(&model, 1, 1).unwrap();
        assert!(loaded[0].run([2, 3, SIDE, SIDE], &pattern()).is_err());
    }
}

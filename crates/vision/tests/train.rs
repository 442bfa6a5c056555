//! Training on drawn dogs leaves what the container contract asks for, or says why it cannot.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test's helpers may fail, and say what they skip"
)]

use std::fs;
use std::path::{Path, PathBuf};

use kennel_vision::{backbone, draw, train};
use serde_json::Value;

/// A base directory with drawn dogs in the channel `training`.
fn job(hyperparameters: &str) -> tempfile::TempDir {
    let base = tempfile::tempdir().unwrap();
    let options =
        draw::Options { breeds: 4, train: 8, valid: 3, test: 5, ..draw::Options::default() };
    draw::dataset(&data(base.path()), &options, &mut |_| {}).unwrap();
    configure(base.path(), hyperparameters);
    base
}

fn configure(base: &Path, hyperparameters: &str) {
    let config = base.join("input/config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("hyperparameters.json"), hyperparameters).unwrap();
    fs::write(
        config.join("resourceconfig.json"),
        r#"{"current_host": "algo-1", "hosts": ["algo-1"], "network_interface_name": "eth0"}"#,
    )
    .unwrap();
    fs::write(
        config.join("inputdataconfig.json"),
        r#"{"training": {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None"}}"#,
    )
    .unwrap();
}

fn data(base: &Path) -> PathBuf {
    base.join("input/data/training")
}

fn run(base: &Path) -> bool {
    let options = train::Options { base: base.to_owned(), threads: 2 };
    format!("{:?}", train::run(&options)) == format!("{:?}", std::process::ExitCode::SUCCESS)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn drawn_breeds_are_learned_and_everything_is_left_behind() {
    let base = job(r#"{"epochs": "\"20\"", "num_classes": "4"}"#);
    let broken = data(base.path()).join("train/001.Biscuit_hound/000_broken.jpg");
    fs::write(&broken, b"\xff\xd8 no picture").unwrap();
    assert!(run(base.path()));

    let model = base.path().join("model");
    let labels = json(model.join("labels.json"));
    assert_eq!(labels.as_array().unwrap().len(), 4);
    assert_eq!(labels[0], "001.Biscuit_hound");
    assert_eq!(json(model.join("preprocess.json"))["crop"], 224);
    let metrics = json(model.join("metrics.json"));
    assert!(metrics["test_accuracy"].as_f64().unwrap() > 0.9, "{metrics}");
    assert_eq!(metrics["images"]["train"], 32);
    assert_eq!(metrics["images"]["skipped"], 1);
    assert_eq!(metrics["history"].as_array().unwrap().len(), 20);
    assert!(fs::metadata(model.join("model.onnx")).unwrap().len() > 10_000_000);

    let output = base.path().join("output/data");
    for name in ["confusion_matrix.png", "training_curve.png"] {
        let png = fs::read(output.join(name)).unwrap();
        assert!(kennel_vision::picture::decode(&png).is_ok(), "{name}");
    }
    let table = fs::read_to_string(output.join("confusion_matrix.csv")).unwrap();
    assert_eq!(table.lines().count(), 5);
    assert_eq!(fs::read_to_string(output.join("training_curve.csv")).unwrap().lines().count(), 21);
    assert!(!base.path().join("output/failure").exists());
}

#[test]
fn another_backbone_is_used_by_configuration() {
    let base = job(r#"{"epochs": "10"}"#);
    let channel = base.path().join("input/data/backbone");
    fs::create_dir_all(&channel).unwrap();
    // The carried network with its ImageNet layer: a model that gives 1000 numbers a picture.
    let (weights, bias) = backbone::imagenet_head().unwrap();
    let head = backbone::Head { classes: 1000, weights: &weights, bias: &bias };
    fs::write(channel.join("backbone.onnx"), backbone::classifier_model(&head).unwrap()).unwrap();
    assert!(!run(base.path()));
    let failure = fs::read_to_string(base.path().join("output/failure")).unwrap();
    assert!(failure.contains("`preprocess.json` of the channel `backbone`"), "{failure}");

    let settings =
        r#"{"resize": 256, "crop": 224, "mean": [127, 127, 127], "scale": [128, 128, 128]}"#;
    fs::write(channel.join("preprocess.json"), settings).unwrap();
    assert!(run(base.path()));
    let model = base.path().join("model");
    assert!(model.join("head.onnx").exists());
    let metrics = json(model.join("metrics.json"));
    assert_eq!(metrics["backbone"], "channel backbone");
    assert!(metrics["test_accuracy"].as_f64().unwrap() > 0.8, "{metrics}");

    // Without the channel, the next run leaves a model in one piece.
    fs::remove_dir_all(&channel).unwrap();
    assert!(run(base.path()));
    assert!(!model.join("head.onnx").exists());
}

#[test]
fn equal_seeds_leave_equal_models() {
    let base = job(r#"{"epochs": "3", "seed": "5"}"#);
    assert!(run(base.path()));
    let first = fs::read(base.path().join("model/model.onnx")).unwrap();
    assert!(run(base.path()));
    assert!(first == fs::read(base.path().join("model/model.onnx")).unwrap());
}

#[test]
fn failures_are_one_sentence_and_leave_no_model() {
    let base = job("{}");
    let class = data(base.path()).join("train/002.Cloud_poodle");
    for file in fs::read_dir(&class).unwrap() {
        fs::write(file.unwrap().path(), b"\xff\xd8 no picture").unwrap();
    }
    let cases = [
        (r#"{"dropout": "0.5"}"#, "Hyperparameter `dropout` is not known to this workload."),
        (r#"{"num_classes": "133"}"#, "`num_classes` is 133 but the training data has 4 classes"),
        ("{}", "Class `002.Cloud_poodle` of the training data has no picture that can be read."),
    ];
    for (hyperparameters, expected) in cases {
        configure(base.path(), hyperparameters);
        assert!(!run(base.path()), "{hyperparameters}");
        let failure = fs::read_to_string(base.path().join("output/failure")).unwrap();
        assert!(failure.contains(expected), "{failure}");
        assert_eq!(failure.lines().count(), 1);
    }
    assert!(!base.path().join("model").exists());
}

#[test]
fn photos_are_learned_as_well_as_the_reference_does() {
    let photos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dogs25");
    if !photos.is_dir() {
        // The tests above learn from drawn pictures everywhere.
        println!("no photos beside the checkout: drawn pictures alone were learned");
        return;
    }
    let base = tempfile::tempdir().unwrap();
    let channel = data(base.path());
    fs::create_dir_all(&channel).unwrap();
    for split in ["train", "valid"] {
        std::os::unix::fs::symlink(photos.join(split), channel.join(split)).unwrap();
    }
    // A part of the test photos says enough, and sooner.
    for class in fs::read_dir(photos.join("test")).unwrap() {
        let class = class.unwrap();
        let folder = channel.join("test").join(class.file_name());
        fs::create_dir_all(&folder).unwrap();
        let mut files: Vec<PathBuf> =
            fs::read_dir(class.path()).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files.iter().take(6) {
            std::os::unix::fs::symlink(file, folder.join(file.file_name().unwrap())).unwrap();
        }
    }
    assert!(run(base.path()));
    let metrics = json(base.path().join("model/metrics.json"));
    assert_eq!(metrics["images"]["test"], 150);
    assert!(metrics["test_accuracy"].as_f64().unwrap() >= 0.89, "{metrics}");
    assert_eq!(metrics["images"]["skipped"], 0);
}

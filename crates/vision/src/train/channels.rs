//! Finds the pictures of a training job below `input/data`.
//!
//! Three layouts are understood: one channel that holds `train`, `valid` and `test`; one channel
//! for each of them; and a single channel of classes, of which a part is held out. Below a split,
//! each folder is a class and its name is the label. A channel `backbone` may come with any of
//! them; it holds no pictures but a model to use instead of the carried one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::random::Random;

/// A confusion matrix of more classes could not be looked at, and its table grows with the square.
const CLASSES_MAX: usize = 2000;
/// The features of more pictures would take over 2.5 GB of memory.
const PICTURES_MAX: usize = 500_000;
/// Folders below a class are searched this deep, so that a loop of links ends.
const DEPTH_MAX: usize = 8;
/// A bucket's prefix may hold the data set in a folder of its own, perhaps in another.
const WRAPPERS_MAX: usize = 3;
/// Share of the training pictures that is held out where there is no validation split.
const HELD_OUT_PERCENT: usize = 15;

const TRAIN_NAMES: [&str; 2] = ["train", "training"];
const VALIDATION_NAMES: [&str; 3] = ["validation", "valid", "val"];
/// The channel that may hold another backbone.
const BACKBONE_NAME: &str = "backbone";
const TEST_NAMES: [&str; 2] = ["test", "testing"];

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no channel: `{0}` holds no folder")]
    NoChannel(PathBuf),
    #[error(
        "channel `{0}` is not known to this workload: it reads train, validation, test and backbone"
    )]
    UnknownChannel(String),
    #[error("there is no `train` or `training` channel")]
    NoTraining,
    #[error("channels `{0}` and `{1}` hold the same split")]
    Twice(String, String),
    #[error("the {split} data in `{path}` has no class folders with pictures (.jpg, .jpeg, .png)")]
    NoClasses { split: &'static str, path: PathBuf },
    #[error("class `{0}` of the training data has no picture")]
    EmptyClass(String),
    #[error("there is only the class `{0}`: two are needed to tell apart")]
    OneClass(String),
    #[error("class `{class}` of the {split} data is missing from the training data")]
    ExtraClass { split: &'static str, class: String },
    #[error("there are {0} classes, more than {CLASSES_MAX}")]
    TooManyClasses(usize),
    #[error("there are more than {PICTURES_MAX} pictures")]
    TooMany,
    #[error("folder `{path}` cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// A picture on disk and its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub path: PathBuf,
    pub class: usize,
}

/// The pictures of a job, in the order of their names.
#[derive(Debug, Default)]
pub struct Dataset {
    /// The label of each class.
    pub labels: Vec<String>,
    pub train: Vec<Sample>,
    pub validation: Vec<Sample>,
    pub test: Vec<Sample>,
    /// The folder of the channel `backbone`, if there is one.
    pub backbone: Option<PathBuf>,
    /// What the log should say about the data.
    pub notes: Vec<String>,
}

/// Reads the channels below `data`. `seed` decides what is held out.
pub fn read(data: &Path, seed: u64) -> Result<Dataset, Error> {
    let splits = Splits::find(data)?;
    let train_path = splits.train.ok_or(Error::NoTraining)?;
    let mut dataset = Dataset { backbone: splits.backbone, ..Dataset::default() };
    let classes = read_split("training", &train_path, &mut dataset.notes)?;
    for (index, (label, files)) in classes.into_iter().enumerate() {
        if files.is_empty() {
            return Err(Error::EmptyClass(label));
        }
        dataset.labels.push(label);
        dataset.train.extend(files.into_iter().map(|path| Sample { path, class: index }));
    }
    if dataset.labels.len() > CLASSES_MAX {
        return Err(Error::TooManyClasses(dataset.labels.len()));
    }
    if let [only] = dataset.labels.as_slice() {
        return Err(Error::OneClass(only.clone()));
    }
    if let Some(path) = splits.validation {
        dataset.validation = labelled("validation", &path, &mut dataset)?;
    }
    if let Some(path) = splits.test {
        dataset.test = labelled("test", &path, &mut dataset)?;
    }
    let pictures = dataset.train.len() + dataset.validation.len() + dataset.test.len();
    if pictures > PICTURES_MAX {
        return Err(Error::TooMany);
    }
    if dataset.validation.is_empty() {
        hold_out(&mut dataset, seed);
    }
    Ok(dataset)
}

#[derive(Default)]
struct Splits {
    train: Option<PathBuf>,
    validation: Option<PathBuf>,
    test: Option<PathBuf>,
    backbone: Option<PathBuf>,
}

impl Splits {
    fn find(data: &Path) -> Result<Self, Error> {
        let (backbones, channels): (Vec<_>, Vec<_>) =
            folders(data)?.into_iter().partition(|path| file_name(path) == BACKBONE_NAME);
        let splits = Self::find_pictures(data, &channels)?;
        Ok(Self { backbone: backbones.into_iter().next(), ..splits })
    }

    fn find_pictures(data: &Path, channels: &[PathBuf]) -> Result<Self, Error> {
        if channels.is_empty() {
            return Err(Error::NoChannel(data.to_owned()));
        }
        // One channel may hold all splits.
        if let [channel] = channels {
            let root = unwrap(channel)?;
            let inside = Self::named(&folders(&root)?, false)?;
            if inside.train.is_some() {
                return Ok(inside);
            }
        }
        Self::named(channels, true)
    }

    /// Takes folders for splits by their names. `strict`: every folder has to be one.
    fn named(folders: &[PathBuf], strict: bool) -> Result<Self, Error> {
        let mut splits = Self::default();
        for folder in folders {
            let name = file_name(folder);
            let lower = name.to_ascii_lowercase();
            let split = if TRAIN_NAMES.contains(&lower.as_str()) {
                &mut splits.train
            } else if VALIDATION_NAMES.contains(&lower.as_str()) {
                &mut splits.validation
            } else if TEST_NAMES.contains(&lower.as_str()) {
                &mut splits.test
            } else if strict {
                return Err(Error::UnknownChannel(name));
            } else {
                continue;
            };
            if let Some(other) = split.replace(unwrap(folder)?) {
                return Err(Error::Twice(file_name(&other), name));
            }
        }
        Ok(splits)
    }
}

/// Steps into folders that hold nothing but one other folder.
fn unwrap(channel: &Path) -> Result<PathBuf, Error> {
    let mut path = channel.to_owned();
    for _ in 0..WRAPPERS_MAX {
        match folders(&path)?.as_slice() {
            [only] if !holds_pictures(only)? => path.clone_from(only),
            _ => break,
        }
    }
    Ok(path)
}

fn holds_pictures(folder: &Path) -> Result<bool, Error> {
    Ok(entries(folder)?.iter().any(|path| is_picture(path)))
}

/// The pictures of each class of a split.
fn read_split(
    split: &'static str,
    path: &Path,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, Vec<PathBuf>>, Error> {
    let mut classes = BTreeMap::new();
    let mut others = 0;
    let mut pictures = 0;
    for folder in folders(path)? {
        let mut files = Vec::new();
        collect(&folder, 0, &mut files, &mut others)?;
        files.sort();
        pictures += files.len();
        classes.insert(file_name(&folder), files);
    }
    if pictures == 0 {
        return Err(Error::NoClasses { split, path: path.to_owned() });
    }
    if others > 0 {
        notes.push(format!(
            "{others} files of the {split} data are neither .jpg, .jpeg nor .png and are left out."
        ));
    }
    Ok(classes)
}

/// The pictures of a split whose classes are those of the training data.
fn labelled(split: &'static str, path: &Path, dataset: &mut Dataset) -> Result<Vec<Sample>, Error> {
    let mut samples = Vec::new();
    for (label, files) in read_split(split, path, &mut dataset.notes)? {
        match dataset.labels.binary_search(&label) {
            Ok(class) => {
                samples.extend(files.into_iter().map(|path| Sample { path, class }));
            }
            Err(_) if files.is_empty() => {}
            Err(_) => return Err(Error::ExtraClass { split, class: label }),
        }
    }
    Ok(samples)
}

/// Moves a part of every class from training to validation; a class keeps at least one picture.
fn hold_out(dataset: &mut Dataset, seed: u64) {
    let mut random = Random::for_part(seed, 0x686f_6c64);
    let mut kept = Vec::new();
    for class in 0..dataset.labels.len() {
        let mut samples: Vec<Sample> =
            dataset.train.iter().filter(|sample| sample.class == class).cloned().collect();
        random.shuffle(&mut samples);
        let count = (samples.len() * HELD_OUT_PERCENT / 100).max(usize::from(samples.len() > 2));
        let mut rest = samples.split_off(count);
        rest.sort_by(|a, b| a.path.cmp(&b.path));
        samples.sort_by(|a, b| a.path.cmp(&b.path));
        dataset.validation.append(&mut samples);
        kept.append(&mut rest);
    }
    dataset.train = kept;
    dataset.notes.push(format!(
        "There is no validation data: {} training pictures are held out for it.",
        dataset.validation.len()
    ));
}

fn collect(
    folder: &Path,
    depth: usize,
    files: &mut Vec<PathBuf>,
    others: &mut usize,
) -> Result<(), Error> {
    for path in entries(folder)? {
        if path.is_dir() {
            if depth < DEPTH_MAX {
                collect(&path, depth + 1, files, others)?;
            }
        } else if is_picture(&path) {
            files.push(path);
        } else {
            *others += 1;
        }
        if files.len() > PICTURES_MAX {
            return Err(Error::TooMany);
        }
    }
    Ok(())
}

/// Anything that is no regular file could block a read for ever.
fn is_picture(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    (extension == "jpg" || extension == "jpeg" || extension == "png") && path.is_file()
}

fn folders(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut folders: Vec<PathBuf> =
        entries(path)?.into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    Ok(folders)
}

/// What is in a folder, hidden files left out.
fn entries(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            entries.push(entry.path());
        }
    }
    Ok(entries)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        dir
    }

    fn sizes(dataset: &Dataset) -> [usize; 3] {
        [dataset.train.len(), dataset.validation.len(), dataset.test.len()]
    }

    #[test]
    fn one_channel_with_three_splits_is_read() {
        let dir = folder(&[
            "training/train/002.B/1.jpg",
            "training/train/001.A/2.JPEG",
            "training/train/001.A/1.png",
            "training/valid/001.A/3.jpg",
            "training/test/002.B/4.jpg",
        ]);
        let dataset = read(dir.path(), 1).unwrap();
        assert_eq!(dataset.labels, ["001.A", "002.B"]);
        assert_eq!(sizes(&dataset), [3, 1, 1]);
        assert_eq!(dataset.test[0].class, 1);
        assert!(dataset.train[0].path.ends_with("001.A/1.png"));
    }

    #[test]
    fn a_folder_around_the_data_set_is_stepped_into() {
        let dir = folder(&[
            "training/dogs/photos/train/A/1.jpg",
            "training/dogs/photos/train/B/1.jpg",
            "training/dogs/photos/valid/A/1.jpg",
        ]);
        assert_eq!(sizes(&read(dir.path(), 1).unwrap()), [2, 1, 0]);
    }

    #[test]
    fn a_channel_for_each_split_is_read() {
        let dir = folder(&[
            "train/A/1.jpg",
            "train/B/1.jpg",
            "train/B/notes.txt",
            "validation/A/1.jpg",
            "test/B/1.jpg",
        ]);
        let dataset = read(dir.path(), 1).unwrap();
        assert_eq!(sizes(&dataset), [2, 1, 1]);
        assert!(dataset.notes[0].starts_with("1 files"), "{:?}", dataset.notes);
    }

    #[test]
    fn without_validation_a_part_of_each_class_is_held_out() {
        let files: Vec<String> = (0..40)
            .map(|n| format!("train/{}/{n:02}.jpg", if n < 20 { "A" } else { "B" }))
            .collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let dir = folder(&files);
        let dataset = read(dir.path(), 1).unwrap();
        assert_eq!(sizes(&dataset), [34, 6, 0]);
        assert_eq!(dataset.validation.iter().filter(|sample| sample.class == 0).count(), 3);
        let again = read(dir.path(), 1).unwrap();
        assert_eq!(dataset.validation, again.validation);
    }

    #[test]
    fn data_that_cannot_be_trained_on_fails_by_its_name() {
        for (files, expected) in [
            (&["other/A/1.jpg"][..], "`other`"),
            (&["test/A/1.jpg"][..], "`train`"),
            (&["train/A/1.jpg", "train/B/x.txt"][..], "`B`"),
            (&["train/A/1.jpg"][..], "`A`"),
            (&["train/a.rec"][..], "no class folders"),
            (
                &["train/A/1.jpg", "train/B/1.jpg", "validation/C/1.jpg"][..],
                "`C` of the validation data",
            ),
            (&["train/A/1.jpg", "training/A/1.jpg"][..], "same split"),
        ] {
            let dir = folder(files);
            let error = read(dir.path(), 1).unwrap_err().to_string();
            assert!(error.contains(expected), "{files:?}: {error}");
        }
    }

    #[test]
    fn no_channel_at_all_is_said() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read(dir.path(), 1), Err(Error::NoChannel(_))));
    }
}

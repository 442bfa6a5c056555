//! Draws a data set of cartoon dogs, for a machine that has no photos.
//!
//! A breed fixes ears, muzzle, coat, pattern, tail and proportions; a picture adds pose, mood,
//! place, light and noise. Equal options give equal files. Everything is labelled as drawn: a
//! text file in the folder and the description inside every picture.

mod body;
mod breed;
mod fur;
mod head;
mod scene;
mod sketch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tiny_skia::Transform;

use crate::host;
use crate::random::Random;
use body::{Pose, Posture};
use breed::Breed;
use head::Mood;
use sketch::Sketch;

pub use breed::BREEDS_MAX;

const PICTURES_MAX: usize = 200_000;
const SIDE_MIN: u32 = 32;
const SIDE_MAX: u32 = 2048;
const JPEG_QUALITY: u8 = 88;
const DESCRIPTION: &str = "Drawn by kennel, a cartoon and no photograph";

const LABEL: &str = "The pictures in this folder were drawn by `kennel data draw`.\n\
    They show cartoon dogs of breeds that do not exist; none is a photograph.\n";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{given} {what} were asked for: it has to be {least} to {most}")]
    Range { what: &'static str, given: usize, least: usize, most: usize },
    #[error("`{0}` is not empty: pictures are drawn into a new or an empty folder")]
    NotEmpty(PathBuf),
    #[error("`{path}` cannot be written")]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("a picture cannot be encoded")]
    Encode(#[from] jpeg_encoder::EncodingError),
    #[error("there is no memory for a picture")]
    Memory,
}

/// How large a data set to draw. Counts are pictures of each breed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub breeds: usize,
    pub train: usize,
    pub valid: usize,
    pub test: usize,
    /// Width and height of a picture in pixels.
    pub size: u32,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { breeds: 8, train: 20, valid: 6, test: 10, size: 299, seed: 7 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: usize,
    pub total: usize,
}

/// What was drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Names of the class folders: `001.Biscuit_hound`.
    pub breeds: Vec<String>,
    pub pictures: usize,
}

/// Draws `train`, `valid` and `test` below `folder`, each with a folder a breed, and `DRAWN.txt`.
/// The folder is made where it is missing; one that holds anything is refused. Uses every core.
pub fn dataset(
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Summary, Error> {
    check(options)?;
    prepare(folder)?;
    let breeds: Vec<Breed> = (0..options.breeds).map(breed::breed).collect();
    let names: Vec<String> = breeds
        .iter()
        .enumerate()
        .map(|(index, breed)| format!("{:03}.{}", index + 1, breed.name))
        .collect();
    let tasks = plan(folder, options, &names)?;
    draw_all(&tasks, &breeds, options, progress)?;
    Ok(Summary { breeds: names, pictures: tasks.len() })
}

/// One picture as JPEG bytes: breed `index`, picture number `picture` of the data set `seed`.
pub fn picture(index: usize, picture: u64, size: u32, seed: u64) -> Result<Vec<u8>, Error> {
    within("pixels", size as usize, SIDE_MIN as usize, SIDE_MAX as usize)?;
    draw_one(&breed::breed(index), size, Random::for_part(seed, picture))
}

fn check(options: &Options) -> Result<(), Error> {
    within("breeds", options.breeds, 2, BREEDS_MAX)?;
    within("pixels", options.size as usize, SIDE_MIN as usize, SIDE_MAX as usize)?;
    within("training pictures of a breed", options.train, 1, PICTURES_MAX)?;
    within("validation pictures of a breed", options.valid, 0, PICTURES_MAX)?;
    within("test pictures of a breed", options.test, 0, PICTURES_MAX)?;
    let pictures = options.breeds * (options.train + options.valid + options.test);
    within("pictures", pictures, 2, PICTURES_MAX)
}

fn within(what: &'static str, given: usize, least: usize, most: usize) -> Result<(), Error> {
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Error::Range { what, given, least, most })
}

fn prepare(folder: &Path) -> Result<(), Error> {
    make_folder(folder)?;
    let failed = |source| Error::Write { path: folder.to_owned(), source };
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Error::NotEmpty(folder.to_owned()));
    }
    write(&folder.join("DRAWN.txt"), LABEL.as_bytes())
}

struct Task {
    path: PathBuf,
    breed: usize,
    number: u64,
}

/// Makes the folders and says which picture goes where. A picture's number does not depend on
/// how many there are of others.
fn plan(folder: &Path, options: &Options, names: &[String]) -> Result<Vec<Task>, Error> {
    let mut tasks = Vec::new();
    let splits = [("train", options.train), ("valid", options.valid), ("test", options.test)];
    for (split, (split_name, count)) in splits.into_iter().enumerate() {
        for (breed, name) in names.iter().enumerate() {
            let class = folder.join(split_name).join(name);
            if count > 0 {
                make_folder(&class)?;
            }
            for index in 0..count {
                let path = class.join(format!("{name}_{:05}.jpg", index + 1));
                let number = ((split as u64) << 60) | ((breed as u64) << 32) | index as u64;
                tasks.push(Task { path, breed, number });
            }
        }
    }
    Ok(tasks)
}

fn draw_all(
    tasks: &[Task],
    breeds: &[Breed],
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let (sender, receiver) = mpsc::sync_channel::<()>(64);
    std::thread::scope(|scope| {
        for _ in 0..host::threads() {
            let (sender, next, failure) = (sender.clone(), &next, &failure);
            scope.spawn(move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(breed) = breeds.get(task.breed) else { break };
                    let random = Random::for_part(options.seed, task.number);
                    let drawn = draw_one(breed, options.size, random)
                        .and_then(|jpeg| write(&task.path, &jpeg));
                    if let Err(error) = drawn {
                        // The others stop at their next picture.
                        next.store(tasks.len(), Ordering::Relaxed);
                        failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        break;
                    }
                    if sender.send(()).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut done = 0;
        while receiver.recv().is_ok() {
            done += 1;
            progress(Progress { done, total: tasks.len() });
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

fn draw_one(breed: &Breed, size: u32, mut random: Random) -> Result<Vec<u8>, Error> {
    let random = &mut random;
    let mut sketch = Sketch::new(size).ok_or(Error::Memory)?;
    scene::background(&mut sketch, random);
    let posture = posture(random);
    let flip = if random.chance(0.5) { -1.0 } else { 1.0 };
    let scale = random.between(0.86, 1.1);
    let (dx, dy) = (random.between(-16.0, 16.0), random.between(-6.0, 10.0));
    // Around the middle of the ground, so that paws stay on it.
    sketch.at = Transform::from_translate(150.0 + dx, 262.0 + dy)
        .pre_scale(flip * scale, scale)
        .pre_translate(-150.0, -262.0);
    if posture.pose != Pose::Portrait {
        scene::shadow(&mut sketch, if posture.pose == Pose::Sitting { 72.0 } else { 96.0 });
    }
    body::draw(&mut sketch, breed, posture, random);
    let mut rgb = sketch.into_rgb();
    scene::develop(&mut rgb, size as usize, random);
    encode(&rgb, size)
}

fn posture(random: &mut Random) -> Posture {
    let pose = match random.below(10) {
        0..=2 => Pose::Portrait,
        3..=5 => Pose::Sitting,
        6..=7 => Pose::Standing,
        _ => Pose::Lying,
    };
    let mood = Mood {
        panting: random.chance(0.4),
        glance: random.between(-1.0, 1.0),
        perk: random.between(-4.0, 4.0),
    };
    let collars = [0xd6393a, 0x2f6fd0, 0x2f9e62, 0x8a4fc0];
    let collar = random.chance(0.5).then(|| collars.get(random.below(4)).copied()).flatten();
    Posture { pose, mood, tilt: random.between(-11.0, 11.0), collar }
}

fn encode(rgb: &[u8], size: u32) -> Result<Vec<u8>, Error> {
    let mut jpeg = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, JPEG_QUALITY);
    encoder.add_exif_metadata(&exif_description(DESCRIPTION))?;
    let side = u16::try_from(size).map_err(|_| Error::Memory)?;
    encoder.encode(rgb, side, side, jpeg_encoder::ColorType::Rgb)?;
    Ok(jpeg)
}

/// The smallest EXIF block with an ImageDescription: a TIFF header, one entry, the text.
fn exif_description(text: &str) -> Vec<u8> {
    const ENTRIES_AT: u32 = 8;
    const TEXT_AT: u32 = ENTRIES_AT + 2 + 12 + 4;
    let mut exif = b"II*\0".to_vec();
    exif.extend(ENTRIES_AT.to_le_bytes());
    exif.extend(1_u16.to_le_bytes());
    exif.extend(0x010e_u16.to_le_bytes());
    exif.extend(2_u16.to_le_bytes());
    exif.extend((text.len() as u32 + 1).to_le_bytes());
    exif.extend(TEXT_AT.to_le_bytes());
    exif.extend(0_u32.to_le_bytes());
    exif.extend(text.as_bytes());
    exif.push(0);
    exif
}

fn make_folder(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).map_err(|source| Error::Write { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(|source| Error::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Options = Options { breeds: 3, train: 2, valid: 1, test: 1, size: 64, seed: 5 };

    #[test]
    fn a_data_set_is_an_image_folder_labelled_as_drawn() {
        let dir = tempfile::tempdir().unwrap();
        let mut said = Vec::new();
        let summary = dataset(dir.path(), &SMALL, &mut |progress| said.push(progress)).unwrap();
        assert_eq!(summary.pictures, 12);
        assert_eq!(summary.breeds[0], "001.Biscuit_hound");
        assert_eq!(said.last(), Some(&Progress { done: 12, total: 12 }));
        let picture = dir.path().join("train/001.Biscuit_hound/001.Biscuit_hound_00002.jpg");
        let bytes = fs::read(picture).unwrap();
        assert_eq!(crate::picture::decode(&bytes).unwrap().width, 64);
        let mark = bytes.windows(DESCRIPTION.len()).any(|part| part == DESCRIPTION.as_bytes());
        assert!(mark, "the picture says that it is drawn");
        assert!(fs::read_to_string(dir.path().join("DRAWN.txt")).unwrap().contains("cartoon"));
    }

    #[test]
    fn equal_seeds_draw_equal_pictures_and_every_picture_differs() {
        let one = picture(4, 9, 80, 1).unwrap();
        assert_eq!(one, picture(4, 9, 80, 1).unwrap());
        assert_ne!(one, picture(4, 10, 80, 1).unwrap());
        assert_ne!(one, picture(4, 9, 80, 2).unwrap());
    }

    #[test]
    fn the_description_is_valid_exif() {
        let exif = exif::Reader::new().read_raw(exif_description(DESCRIPTION)).unwrap();
        let field = exif.get_field(exif::Tag::ImageDescription, exif::In::PRIMARY).unwrap();
        assert_eq!(field.display_value().to_string(), format!("\"{DESCRIPTION}\""));
    }

    #[test]
    fn a_folder_with_something_in_it_and_odd_numbers_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        for wrong in [
            Options { breeds: 1, ..SMALL },
            Options { breeds: BREEDS_MAX + 1, ..SMALL },
            Options { size: 1, ..SMALL },
            Options { train: 0, ..SMALL },
            Options { train: PICTURES_MAX, ..SMALL },
        ] {
            let error = dataset(dir.path(), &wrong, &mut |_| {}).unwrap_err();
            assert!(matches!(error, Error::Range { .. }), "{error}");
        }
        fs::write(dir.path().join("x"), "").unwrap();
        let error = dataset(dir.path(), &SMALL, &mut |_| {}).unwrap_err();
        assert!(matches!(error, Error::NotEmpty(_)));
    }
}

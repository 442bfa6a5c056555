//! Turns the pictures of a job into features: decoding and inference on every core at once.
//!
//! Each worker owns one copy of the model with one thread and claims a few pictures at a time, so
//! that decoding on one core overlaps with inference on another and no more than a handful of
//! pictures is in memory. Groups are fixed by position, not by timing: equal input gives equal
//! features.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ndarray::Array2;

use super::channels::Sample;
use crate::engine::{self, Model};
use crate::log::Log;
use crate::picture;
use crate::preprocess::{self, Preprocessing};

/// Small batches are the fastest on a CPU: activations stay in the cache.
const GROUP: usize = 4;
/// A line of progress every so often, for a person who watches.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the backbone failed")]
    Engine(#[from] engine::Error),
    #[error("the backbone gave {found} values instead of {expected}")]
    Shape { found: usize, expected: usize },
    #[error("the features do not fit in memory")]
    Memory(#[from] ndarray::ShapeError),
}

/// Why a picture was left out.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read: {0}")]
    Read(#[from] std::io::Error),
    #[error("{0}")]
    Picture(#[from] picture::Error),
    #[error("{0}")]
    Preprocess(#[from] preprocess::Error),
}

/// Features and classes of the pictures that could be used, in their order.
#[derive(Debug)]
pub struct Features {
    /// One row a picture.
    pub rows: Array2<f32>,
    pub classes: Vec<usize>,
    /// Pictures that could not be used, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// False where a stop was asked for before the last picture.
    pub complete: bool,
}

/// The backbone with one copy for each worker.
pub struct Extractor {
    pub models: Vec<Box<dyn Model>>,
    pub preprocessing: Preprocessing,
    /// Features of one picture.
    pub width: usize,
}

impl Extractor {
    /// Computes the features of `samples`. Ends early, with what there is, once `stop` is set.
    pub fn run(
        &mut self,
        what: &str,
        samples: &[Sample],
        stop: &AtomicBool,
        log: &Log,
    ) -> Result<Features, Error> {
        let groups: Vec<&[Sample]> = samples.chunks(GROUP).collect();
        let next = AtomicUsize::new(0);
        let (preprocessing, width) = (self.preprocessing, self.width);
        // Results wait for nobody, so a few of them are enough.
        let (sender, receiver) = mpsc::sync_channel(2 * self.models.len());
        let results = std::thread::scope(|scope| {
            for model in &mut self.models {
                let (sender, next, groups) = (sender.clone(), &next, &groups);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(group) = groups.get(index) else { break };
                        let result = run_group(model.as_mut(), &preprocessing, width, group);
                        let failed = result.is_err();
                        if sender.send((index, result)).is_err() || failed {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            gather(
                &receiver,
                groups.len(),
                |done| Progress { what, done, total: samples.len() },
                log,
            )
        })?;
        assemble(results, samples, width)
    }
}

struct Group {
    rows: Vec<f32>,
    /// For each picture of the group, why it was left out if it was.
    outcomes: Vec<Option<String>>,
}

fn run_group(
    model: &mut dyn Model,
    preprocessing: &Preprocessing,
    width: usize,
    samples: &[Sample],
) -> Result<Group, Error> {
    let mut batch = Vec::with_capacity(samples.len() * preprocessing.len());
    let mut outcomes = Vec::with_capacity(samples.len());
    let mut usable = 0;
    for sample in samples {
        match append(&sample.path, preprocessing, &mut batch) {
            Ok(()) => {
                usable += 1;
                outcomes.push(None);
            }
            Err(reason) => {
                batch.truncate(usable * preprocessing.len());
                outcomes.push(Some(reason.to_string()));
            }
        }
    }
    let rows =
        if usable == 0 { Vec::new() } else { model.run(preprocessing.shape(usable), &batch)? };
    if rows.len() != usable * width {
        return Err(Error::Shape { found: rows.len(), expected: usable * width });
    }
    Ok(Group { rows, outcomes })
}

fn append(
    path: &Path,
    preprocessing: &Preprocessing,
    batch: &mut Vec<f32>,
) -> Result<(), Unusable> {
    let size = fs::metadata(path)?.len() as usize;
    if size > picture::BYTES_MAX {
        return Err(picture::Error::TooManyBytes(size).into());
    }
    let picture = picture::decode(&fs::read(path)?)?;
    preprocessing.append(&picture, batch)?;
    Ok(())
}

struct Progress<'a> {
    what: &'a str,
    done: usize,
    total: usize,
}

impl Progress<'_> {
    fn line(&self, since: Instant) -> String {
        let speed = self.done as f64 / since.elapsed().as_secs_f64().max(1e-9);
        format!(
            "Features of the {} data: {}/{} pictures ({speed:.0} a second).",
            self.what, self.done, self.total
        )
    }
}

/// Takes the groups as they come and puts them in their places.
fn gather<'a>(
    receiver: &mpsc::Receiver<(usize, Result<Group, Error>)>,
    groups: usize,
    progress: impl Fn(usize) -> Progress<'a>,
    log: &Log,
) -> Result<Vec<Option<Group>>, Error> {
    let mut results: Vec<Option<Group>> = (0..groups).map(|_| None).collect();
    let start = Instant::now();
    let mut said = start;
    let mut done = 0;
    while let Ok((index, group)) = receiver.recv() {
        let group = group?;
        done += group.outcomes.len();
        if let Some(place) = results.get_mut(index) {
            *place = Some(group);
        }
        if said.elapsed() >= PROGRESS_EVERY {
            said = Instant::now();
            log.line(&progress(done).line(start));
        }
    }
    if groups > 0 {
        log.line(&progress(done).line(start));
    }
    Ok(results)
}

fn assemble(
    results: Vec<Option<Group>>,
    samples: &[Sample],
    width: usize,
) -> Result<Features, Error> {
    let mut rows = Vec::with_capacity(samples.len() * width);
    let mut classes = Vec::with_capacity(samples.len());
    let mut skipped = Vec::new();
    let mut complete = true;
    for (group, samples) in results.into_iter().zip(samples.chunks(GROUP)) {
        let Some(group) = group else {
            complete = false;
            continue;
        };
        rows.extend_from_slice(&group.rows);
        for (outcome, sample) in group.outcomes.into_iter().zip(samples) {
            match outcome {
                None => classes.push(sample.class),
                Some(reason) => skipped.push((sample.path.clone(), reason)),
            }
        }
    }
    let rows = Array2::from_shape_vec((classes.len(), width), rows)?;
    Ok(Features { rows, classes, skipped, complete })
}

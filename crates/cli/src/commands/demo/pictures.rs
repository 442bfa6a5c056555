//! Pictures the model has not seen, sent to the endpoint and shown with its answers.

use std::path::{Path, PathBuf};

use kennel_client::Client;
use kennel_vision::plot;

use super::report::Report;
use super::results;
use crate::commands::invoke;
use crate::failure::{Failure, Kind};

/// As many as fit a sheet that a person can take in.
const PICTURES: usize = 24;

/// Classifies test pictures of all breeds and draws the contact sheet.
pub async fn classify(
    client: &Client,
    endpoint: &str,
    data: &Path,
    files: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    let step = report.begin("classify pictures");
    let pictures = choose(data)?;
    if pictures.is_empty() {
        let reason = format!("`{}` has neither test nor valid pictures", data.display());
        report.skipped(step, &reason);
        return Ok(());
    }
    let mut tiles = Vec::with_capacity(pictures.len());
    let mut right = 0;
    for picture in &pictures {
        let image =
            std::fs::read(&picture.path).map_err(|error| unreadable(&picture.path, &error))?;
        let prediction = invoke::classify(client, endpoint, image.clone()).await?;
        right += usize::from(prediction.label == picture.label);
        tiles.push(plot::Tile {
            image,
            predicted: prediction.label,
            probability: prediction.probability,
            expected: Some(picture.label.clone()),
        });
    }
    let sheet = plot::contact_sheet("What the endpoint says", &tiles)
        .map_err(|error| Failure::caused(Kind::Failed, "cannot draw the contact sheet", &error))?;
    let path = files.join("contact_sheet.png");
    results::write(&path, &sheet)?;
    report.file(&path);
    report.done(step, &format!("{right} of {} test pictures right", tiles.len()));
    Ok(())
}

struct Picture {
    path: PathBuf,
    label: String,
}

/// The first pictures of each breed in turn, until the sheet is full.
fn choose(data: &Path) -> Result<Vec<Picture>, Failure> {
    let split = ["test", "valid", "validation"].map(|split| data.join(split));
    let Some(split) = split.into_iter().find(|split| split.is_dir()) else {
        return Ok(Vec::new());
    };
    let mut breeds = Vec::new();
    for breed in sorted(&split)?.into_iter().filter(|path| path.is_dir()) {
        let label = breed.file_name().map(|name| name.to_string_lossy().into_owned());
        breeds.push((label.unwrap_or_default(), sorted(&breed)?.into_iter()));
    }
    let mut chosen = Vec::new();
    loop {
        let before = chosen.len();
        for (label, pictures) in &mut breeds {
            if chosen.len() == PICTURES {
                return Ok(chosen);
            }
            if let Some(path) = pictures.next() {
                chosen.push(Picture { path, label: label.clone() });
            }
        }
        if chosen.len() == before {
            return Ok(chosen);
        }
    }
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::caused(Kind::Environment, &format!("cannot read `{}`", path.display()), error)
}

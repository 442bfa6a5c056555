//! Draws a data set of cartoon dogs, and a sheet of them to look at: `draw FOLDER [BREEDS]`.

use std::error::Error;
use std::path::{Path, PathBuf};

use kennel_vision::draw::{self, Options};
use kennel_vision::plot::{self, Tile};

/// Pictures of each breed on the sheet.
const SHOWN: usize = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = PathBuf::from(args.next().ok_or("usage: draw FOLDER [BREEDS]")?);
    let mut options = Options::default();
    if let Some(breeds) = args.next() {
        options.breeds = breeds.parse()?;
    }
    let summary = draw::dataset(&folder, &options, &mut |_| {})?;
    let mut tiles = Vec::new();
    for breed in &summary.breeds {
        for image in pictures(&folder.join("train").join(breed))? {
            let predicted = breed.clone();
            tiles.push(Tile { image, predicted, probability: 1.0, expected: None });
        }
    }
    std::fs::write(folder.join("sheet.png"), plot::contact_sheet("Drawn dogs", &tiles)?)?;
    Ok(())
}

fn pictures(folder: &Path) -> Result<Vec<Vec<u8>>, std::io::Error> {
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder)?.collect();
    let mut paths: Vec<PathBuf> = entries?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().take(SHOWN).map(std::fs::read).collect()
}

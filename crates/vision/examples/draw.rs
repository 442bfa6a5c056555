//! Draws cartoon dogs: `draw FOLDER [BREEDS [PICTURES]]`, and `FOLDER/sheet.png` to look at them.

use std::error::Error;
use std::path::Path;

use kennel_vision::draw;
use kennel_vision::plot::{self, Tile};

const COLUMNS: usize = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: draw FOLDER [BREEDS [PICTURES]]")?;
    let breeds: usize = args.next().map_or(Ok(12), |text| text.parse())?;
    let pictures: u64 = args.next().map_or(Ok(COLUMNS as u64), |text| text.parse())?;
    let mut tiles = Vec::new();
    for breed in 0..breeds {
        for picture in 0..pictures {
            let image = draw::picture(breed, (breed as u64) << 32 | picture, 299, 7)?;
            let predicted = format!("breed {}", breed + 1);
            tiles.push(Tile { image, predicted, probability: 1.0, expected: None });
        }
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        Path::new(&folder).join("sheet.png"),
        plot::contact_sheet("Drawn dogs", &tiles)?,
    )?;
    Ok(())
}

//! `kennel data draw`: a data set for machines that have none.

use std::path::{Path, PathBuf};

use kennel_vision::draw;
use serde_json::json;

use crate::failure::{Failure, Kind};
use crate::printer::{self, Output};
use crate::progress::Counter;

/// Make data sets
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draw cartoon dogs: DIR/{train,valid,test}/NNN.Breed/*.jpg, the same ones for the same seed
    Draw(Draw),
}

#[derive(Debug, clap::Args)]
struct Draw {
    /// An empty or new directory
    directory: PathBuf,
    #[arg(long, default_value_t = draw::Options::default().breeds)]
    breeds: usize,
    /// Pictures of each breed to train on
    #[arg(long, default_value_t = draw::Options::default().train)]
    train: usize,
    /// Pictures of each breed to choose by
    #[arg(long, default_value_t = draw::Options::default().valid)]
    valid: usize,
    /// Pictures of each breed to report on
    #[arg(long, default_value_t = draw::Options::default().test)]
    test: usize,
    /// Width and height in pixels
    #[arg(long, default_value_t = draw::Options::default().size)]
    size: u32,
    #[arg(long, default_value_t = draw::Options::default().seed)]
    seed: u64,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Draw(arguments) = &arguments.command;
    let options = draw::Options {
        breeds: arguments.breeds,
        train: arguments.train,
        valid: arguments.valid,
        test: arguments.test,
        size: arguments.size,
        seed: arguments.seed,
    };
    let summary = draw(&arguments.directory, &options)?;
    let place = arguments.directory.display();
    match arguments.output {
        Output::Json => printer::json(&json!({
            "directory": place.to_string(),
            "breeds": summary.breeds,
            "pictures": summary.pictures,
        })),
        Output::Text => {
            let breeds = summary.breeds.len();
            printer::data(&format!("{} pictures of {breeds} breeds in {place}", summary.pictures))
        }
    }
}

/// Draws the data set, with progress.
pub fn draw(directory: &Path, options: &draw::Options) -> Result<draw::Summary, Failure> {
    let per_breed = options.train + options.valid + options.test;
    let mut counter = Counter::start("drawing", (options.breeds * per_breed) as u64);
    let drawn = draw::dataset(directory, options, &mut |progress| {
        counter.at(progress.done as u64);
    });
    counter.finish();
    drawn.map_err(|error| Failure::caused(Kind::Environment, "could not draw", &error))
}

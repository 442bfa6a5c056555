//! The verbs, one file each.

mod data;
mod demo;
mod deploy;
mod env;
mod invoke;
mod logs;
pub mod operations;
mod status;
mod train;
mod up;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::data_dir::DataDir;
use crate::failure::Failure;

/// The SageMaker loop on your own machine: buckets, training jobs, endpoints, behind the AWS APIs.
#[derive(Debug, Parser)]
#[command(name = "kennel", version, propagate_version = true)]
pub struct CommandLine {
    /// Where the server keeps everything [default: $KENNEL_DATA_DIR, else ~/.local/share/kennel]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Arguments),
    Env(env::Arguments),
    Status(status::Arguments),
    Train(train::Arguments),
    Deploy(deploy::Arguments),
    Invoke(invoke::Arguments),
    Logs(logs::Arguments),
    Data(data::Arguments),
    Demo(demo::Arguments),
}

pub async fn run(command_line: CommandLine) -> Result<(), Failure> {
    let data_dir = DataDir::choose(command_line.data_dir.as_deref())?;
    match command_line.command {
        Command::Up(arguments) => up::run(&data_dir, arguments).await,
        Command::Env(arguments) => env::run(&data_dir, &arguments),
        Command::Status(arguments) => status::run(&data_dir, &arguments).await,
        Command::Train(arguments) => train::run(&data_dir, arguments).await,
        Command::Deploy(arguments) => deploy::run(&data_dir, arguments).await,
        Command::Invoke(arguments) => invoke::run(&data_dir, arguments).await,
        Command::Logs(arguments) => logs::run(&data_dir, &arguments).await,
        Command::Data(arguments) => data::run(&arguments),
        Command::Demo(arguments) => demo::run(&data_dir, arguments).await,
    }
}

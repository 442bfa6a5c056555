//! `kennel logs`: what a training job or an endpoint printed.

use std::time::Duration;

use serde_json::json;

use crate::connect::connect;
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};
use crate::printer::{self, Output};
use crate::sagemaker::{LogFollower, LogLine};

/// Print the log of a training job or an endpoint
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of a training job or an endpoint
    resource: String,
    /// Go on printing as lines come
    #[arg(short, long)]
    follow: bool,
    /// With json, one object a line
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(data_dir: &DataDir, arguments: &Arguments) -> Result<(), Failure> {
    let client = connect(data_dir).await?.client;
    let name = &arguments.resource;
    let training = LogFollower::of_training_job(&client, name);
    let endpoint = LogFollower::of_endpoint(&client, name);
    let is_training = !training.streams().await?.is_empty();
    if !is_training && endpoint.streams().await?.is_empty() {
        return Err(Failure::new(
            Kind::Refused,
            format!("no training job or endpoint `{name}` has a log"),
        )
        .hinted("kennel status lists both"));
    }
    let mut follower = if is_training { training } else { endpoint };
    loop {
        for line in follower.poll().await? {
            print(&line, arguments.output)?;
        }
        if !arguments.follow {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn print(line: &LogLine, output: Output) -> Result<(), Failure> {
    match output {
        Output::Text => printer::data(&line.message),
        Output::Json => printer::data(
            &json!({
                "logStreamName": line.stream,
                "timestamp": line.timestamp,
                "message": line.message,
            })
            .to_string(),
        ),
    }
}

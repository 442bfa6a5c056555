//! `kennel invoke`: a picture to an endpoint, its scores back.

use std::path::PathBuf;

use bytes::Bytes;
use kennel_client::InvokeEndpoint;
use serde::Deserialize;

use crate::connect::{connect, refused};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};
use crate::printer::{self, Output};

/// Classify a picture
#[derive(Debug, clap::Args)]
pub struct Arguments {
    endpoint: String,
    /// A JPEG or PNG file
    image: PathBuf,
    /// How many labels to show
    #[arg(long, default_value_t = 5)]
    top: usize,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What an endpoint of the native image says to `Accept: application/json;verbose`.
#[derive(Debug, Deserialize)]
pub struct Verbose {
    pub predictions: Vec<Prediction>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Prediction {
    pub label: String,
    pub probability: f32,
    pub probabilities: Vec<Score>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Score {
    pub label: String,
    pub probability: f32,
}

pub async fn run(data_dir: &DataDir, arguments: Arguments) -> Result<(), Failure> {
    let path = arguments.image.display().to_string();
    let image = std::fs::read(&arguments.image).map_err(|error| {
        Failure::caused(Kind::Environment, &format!("cannot read `{path}`"), &error)
    })?;
    let client = connect(data_dir).await?.client;
    if arguments.output == Output::Json {
        let answer = invoke(&client, &arguments.endpoint, image, "application/json").await?;
        return printer::data(String::from_utf8_lossy(&answer).trim_end());
    }
    let prediction = classify(&client, &arguments.endpoint, image).await?;
    let scores = prediction.probabilities.iter().take(arguments.top);
    let rows: Vec<Vec<String>> = scores
        .map(|score| vec![score.label.clone(), format!("{:.4}", score.probability)])
        .collect();
    printer::table(&["LABEL", "PROBABILITY"], &rows)
}

/// The labels of one picture, most probable first.
pub async fn classify(
    client: &kennel_client::Client,
    endpoint: &str,
    image: Vec<u8>,
) -> Result<Prediction, Failure> {
    let answer = invoke(client, endpoint, image, "application/json;verbose").await?;
    let verbose: Verbose = serde_json::from_slice(&answer).map_err(|error| {
        Failure::caused(Kind::Failed, "the endpoint's answer has no labels", &error)
            .hinted("--output json shows the answer of any model as it is")
    })?;
    verbose
        .predictions
        .into_iter()
        .next()
        .ok_or_else(|| Failure::new(Kind::Failed, "the endpoint answered with no prediction"))
}

async fn invoke(
    client: &kennel_client::Client,
    endpoint: &str,
    image: Vec<u8>,
    accept: &str,
) -> Result<Bytes, Failure> {
    let content_type = content_type(&image);
    let request =
        InvokeEndpoint { endpoint_name: endpoint, body: image.into(), content_type, accept };
    let answer = client.invoke_endpoint(request).await;
    answer.map(|answer| answer.body).map_err(|error| refused("InvokeEndpoint failed", &error))
}

/// By the first bytes: names lie more often.
fn content_type(image: &[u8]) -> &'static str {
    match image {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        _ => "application/x-image",
    }
}

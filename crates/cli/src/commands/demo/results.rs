//! What the training job left in the bucket: figures and plots, brought to the person.

use std::io::Read;
use std::path::Path;

use kennel_client::Client;
use serde_json::Value;

use super::report::Report;
use crate::connect::refused;
use crate::failure::{Failure, Kind};
use crate::sagemaker::TrainingJob;

/// Plots and tables of one job are far smaller; more is not ours.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;
const WANTED: [&str; 2] = ["confusion_matrix.png", "training_curve.png"];

/// Fetches output.tar.gz, keeps its plots, and takes the test accuracy from its metrics.
pub async fn collect(
    client: &Client,
    name: &str,
    job: &TrainingJob,
    files: &Path,
    report: &mut Report,
) -> Result<(), Failure> {
    let step = report.begin("fetch the results");
    let base = job.output_data_config.s3_output_path.trim_end_matches('/');
    let place = format!("{base}/{name}/output/output.tar.gz");
    let (bucket, key) = split(&place)?;
    let archive = client
        .s3()
        .get_bytes(bucket, key, OUTPUT_BYTES_MAX)
        .await
        .map_err(|error| refused(&format!("GetObject of `{place}` failed"), &error))?;
    let members = unpack(&archive).map_err(|error| {
        Failure::caused(Kind::Failed, &format!("`{place}` cannot be unpacked"), &error)
    })?;
    for (member, bytes) in members {
        if member == "metrics.json" {
            let metrics: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            report.test_accuracy = metrics.get("test_accuracy").and_then(Value::as_f64);
        } else {
            let path = files.join(&member);
            write(&path, &bytes)?;
            report.file(&path);
        }
    }
    let accuracy = report.test_accuracy.map_or_else(
        || "no test pictures".to_owned(),
        |accuracy| format!("test accuracy {:.1} %", accuracy * 100.0),
    );
    report.done(step, &accuracy);
    Ok(())
}

/// Writes a file of the result.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|error| {
        Failure::caused(Kind::Environment, &format!("cannot write `{}`", path.display()), &error)
    })
}

/// `s3://bucket/key`
fn split(uri: &str) -> Result<(&str, &str), Failure> {
    uri.strip_prefix("s3://")
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(|| Failure::new(Kind::Failed, format!("`{uri}` is not s3://bucket/key")))
}

/// The wanted members by their file names, whatever directory they lie in.
fn unpack(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>, std::io::Error> {
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let Some(name) = path.file_name().and_then(std::ffi::OsStr::to_str) else { continue };
        if name == "metrics.json" || WANTED.contains(&name) {
            let mut bytes = Vec::new();
            entry.by_ref().take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes)?;
            found.push((name.to_owned(), bytes));
        }
    }
    Ok(found)
}

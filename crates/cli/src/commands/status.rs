//! `kennel status`: the server, how it isolates workloads, and what there is.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::connect::{connect, refused};
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::printer::{self, Output};
use crate::sagemaker;

/// Show the server, its isolation, its training jobs and its endpoints
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What the server says about itself.
#[derive(Debug, Serialize, Deserialize)]
struct Server {
    version: String,
    account: String,
    region: String,
    cpus: u32,
    memory_bytes: u64,
    isolation: String,
    isolation_reason: String,
    limiter: String,
    limiter_reason: String,
}

/// How many of the newest of each kind are shown.
const SHOWN: u32 = 20;

pub async fn run(data_dir: &DataDir, arguments: &Arguments) -> Result<(), Failure> {
    let connection = connect(data_dir).await?;
    let server: Server = connection
        .client
        .get_own("/_kennel/status")
        .await
        .map_err(|error| refused("GetStatus failed", &error))?;
    // Only the server of this data directory tells what it found on this machine.
    let facts = data_dir.read_facts()?.filter(|facts| facts.endpoint == connection.endpoint);
    let input = json!({ "MaxResults": SHOWN, "SortBy": "CreationTime", "SortOrder": "Descending" });
    let jobs = sagemaker::call(&connection.client, "ListTrainingJobs", &input).await?;
    let endpoints = sagemaker::call(&connection.client, "ListEndpoints", &input).await?;
    let list = |answer: &Value, member: &str| {
        answer.get(member).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let jobs = list(&jobs, "TrainingJobSummaries");
    let endpoints = list(&endpoints, "Endpoints");
    if arguments.output == Output::Json {
        return printer::json(&json!({
            "server": server, "endpoint": connection.endpoint,
            "process": facts.as_ref().map(|facts| facts.pid),
            "engine": facts.as_ref().map(|facts| &facts.engine),
            "training_jobs": jobs, "endpoints": endpoints,
        }));
    }
    let gib = server.memory_bytes as f64 / f64::from(1 << 30);
    let mut rows = vec![
        ("endpoint", connection.endpoint.clone()),
        ("version", server.version),
        ("account", format!("{} in {}", server.account, server.region)),
        ("host", format!("{} CPUs, {gib:.1} GiB", server.cpus)),
        ("isolation", format!("{} ({})", server.isolation, server.isolation_reason)),
        ("limiter", format!("{} ({})", server.limiter, server.limiter_reason)),
    ];
    if let Some(facts) = facts {
        rows.extend([
            ("process", facts.pid.to_string()),
            ("data", data_dir.path().display().to_string()),
            ("engine", facts.engine),
        ]);
    }
    for (name, value) in rows {
        printer::data(&format!("{name:<10} {value}"))?;
    }
    section("TRAINING JOB", &jobs, "TrainingJobName", "TrainingJobStatus")?;
    section("ENDPOINT", &endpoints, "EndpointName", "EndpointStatus")
}

fn section(heading: &str, entries: &[Value], name: &str, status: &str) -> Result<(), Failure> {
    if entries.is_empty() {
        return Ok(());
    }
    let text = |entry: &Value, member: &str| {
        entry.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let rows: Vec<Vec<String>> =
        entries.iter().map(|entry| vec![text(entry, name), text(entry, status)]).collect();
    printer::data("")?;
    printer::table(&[heading, "STATUS"], &rows)
}

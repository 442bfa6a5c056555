//! `kennel status`: the server, how it isolates workloads, and what there is.

use serde_json::{Value, json};

use crate::connect::connect;
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

/// How many of the newest of each kind are shown.
const SHOWN: u32 = 20;

pub async fn run(data_dir: &DataDir, arguments: &Arguments) -> Result<(), Failure> {
    let connection = connect(data_dir).await?;
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
            "server": facts, "endpoint": connection.endpoint,
            "training_jobs": jobs, "endpoints": endpoints,
        }));
    }
    let mut rows = vec![("endpoint", connection.endpoint.clone())];
    if let Some(facts) = facts {
        let gib = facts.memory_bytes as f64 / f64::from(1 << 30);
        rows.extend([
            ("version", facts.version),
            ("process", facts.pid.to_string()),
            ("account", format!("{} in {}", facts.account, facts.region)),
            ("data", data_dir.path().display().to_string()),
            ("host", format!("{} CPUs, {gib:.1} GiB", facts.cpus)),
            ("isolation", format!("{} ({})", facts.isolation, facts.isolation_reason)),
            ("limiter", format!("{} ({})", facts.limiter, facts.limiter_reason)),
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

//! The SageMaker calls that several verbs make, and what they read of the answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use kennel_client::{Client, LOGS, SAGEMAKER};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::connect::refused;
use crate::failure::{Failure, Kind};
use crate::progress::Waiting;

/// The native image classifier.
pub const IMAGE: &str = "kennel/image-classification:1";
/// Often enough to feel live, seldom enough to cost nothing.
const POLL: Duration = Duration::from_millis(150);
/// Longer than any start-up the endpoint itself allows.
const IN_SERVICE_POLLS_MAX: usize = 8 * 3600;

/// What `kennel train` and the demo ask for.
#[derive(Debug)]
pub struct TrainingRequest {
    pub name: String,
    pub role_arn: String,
    /// `s3://bucket/prefix` of an ImageFolder.
    pub data: String,
    /// `s3://bucket/prefix` under which `<name>/output/` is written.
    pub output: String,
    pub instance_type: String,
    pub hyperparameters: BTreeMap<String, String>,
}

/// What is read of DescribeTrainingJob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TrainingJob {
    pub training_job_status: String,
    pub secondary_status: String,
    pub failure_reason: Option<String>,
    pub model_artifacts: Option<ModelArtifacts>,
    pub output_data_config: OutputDataConfig,
    pub billable_time_in_seconds: Option<u64>,
    #[serde(default)]
    pub secondary_status_transitions: Vec<Transition>,
    #[serde(default)]
    pub final_metric_data_list: Vec<Metric>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ModelArtifacts {
    pub s3_model_artifacts: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OutputDataConfig {
    pub s3_output_path: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Transition {
    pub status_message: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    pub metric_name: String,
    pub value: f64,
}

impl TrainingJob {
    pub fn is_final(&self) -> bool {
        matches!(self.training_job_status.as_str(), "Completed" | "Failed" | "Stopped")
    }

    /// The status with the last transition's sentence.
    pub fn sentence(&self) -> String {
        let message = self.secondary_status_transitions.last();
        match message.and_then(|transition| transition.status_message.as_deref()) {
            Some(message) => format!("{}: {message}", self.secondary_status),
            None => self.secondary_status.clone(),
        }
    }
}

/// Calls an operation whose answer is read loosely.
pub async fn call(client: &Client, operation: &str, input: &Value) -> Result<Value, Failure> {
    let answer = client.call_json(&SAGEMAKER, operation, input).await;
    answer.map_err(|error| refused(&format!("{operation} failed"), &error))
}

pub async fn create_training_job(
    client: &Client,
    request: &TrainingRequest,
) -> Result<(), Failure> {
    let input = json!({
        "TrainingJobName": request.name,
        "RoleArn": request.role_arn,
        "AlgorithmSpecification": { "TrainingImage": IMAGE, "TrainingInputMode": "File" },
        "HyperParameters": request.hyperparameters,
        "InputDataConfig": [{
            "ChannelName": "training",
            "DataSource": { "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": request.data,
                "S3DataDistributionType": "FullyReplicated",
            }},
        }],
        "OutputDataConfig": { "S3OutputPath": request.output },
        "ResourceConfig": {
            "InstanceCount": 1, "InstanceType": request.instance_type, "VolumeSizeInGB": 30,
        },
        "StoppingCondition": { "MaxRuntimeInSeconds": 86_400 },
    });
    call(client, "CreateTrainingJob", &input).await.map(drop)
}

pub async fn describe_training_job(client: &Client, name: &str) -> Result<TrainingJob, Failure> {
    let input = json!({ "TrainingJobName": name });
    let answer = client.call_json(&SAGEMAKER, "DescribeTrainingJob", &input).await;
    answer.map_err(|error| refused("DescribeTrainingJob failed", &error))
}

/// Waits until the job's status is final, showing each log line and each change of status.
async fn follow_training_job(
    client: &Client,
    name: &str,
    mut line: impl FnMut(&str),
    mut status: impl FnMut(&str),
) -> Result<TrainingJob, Failure> {
    let mut logs = LogFollower::of_training_job(client, name);
    loop {
        let job = describe_training_job(client, name).await?;
        status(&job.sentence());
        for event in logs.poll().await? {
            line(&event.message);
        }
        if job.is_final() {
            return Ok(job);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// [`follow_training_job`] for a person who waits: a spinner with the status, the log above it,
/// each line behind `indent`.
pub async fn watch_training_job(
    client: &Client,
    name: &str,
    indent: &str,
) -> Result<TrainingJob, Failure> {
    let waiting = RefCell::new(Waiting::start("Starting"));
    let job = follow_training_job(
        client,
        name,
        |line| waiting.borrow().line(&format!("{indent}{line}")),
        |status| waiting.borrow_mut().now(status),
    )
    .await;
    waiting.into_inner().finish();
    job
}

/// The model artifact of a job that completed.
pub fn artifact(name: &str, job: &TrainingJob) -> Result<String, Failure> {
    match (&job.model_artifacts, job.training_job_status.as_str()) {
        (Some(artifacts), "Completed" | "Stopped") => Ok(artifacts.s3_model_artifacts.clone()),
        (_, status) => {
            let reason = job.failure_reason.as_deref().unwrap_or("no reason was given");
            Err(Failure::new(Kind::Failed, format!("training job `{name}` is {status}: {reason}"))
                .hinted(format!("its log: kennel logs {name}")))
        }
    }
}

/// Creates model and endpoint configuration of the endpoint's name, then creates the endpoint.
pub async fn create_endpoint(
    client: &Client,
    endpoint: &str,
    role_arn: &str,
    model_artifact: &str,
    instance_type: &str,
    instances: u32,
) -> Result<(), Failure> {
    let model = json!({
        "ModelName": endpoint,
        "ExecutionRoleArn": role_arn,
        "PrimaryContainer": { "Image": IMAGE, "ModelDataUrl": model_artifact },
    });
    call(client, "CreateModel", &model).await?;
    let config = json!({
        "EndpointConfigName": endpoint,
        "ProductionVariants": [{
            "VariantName": "AllTraffic",
            "ModelName": endpoint,
            "InstanceType": instance_type,
            "InitialInstanceCount": instances,
            "InitialVariantWeight": 1.0,
        }],
    });
    call(client, "CreateEndpointConfig", &config).await?;
    let input = json!({ "EndpointName": endpoint, "EndpointConfigName": endpoint });
    call(client, "CreateEndpoint", &input).await.map(drop)
}

/// Waits until the endpoint is InService; any other final status is a failure with its reason.
pub async fn wait_in_service(client: &Client, endpoint: &str) -> Result<(), Failure> {
    let input = json!({ "EndpointName": endpoint });
    for _ in 0..IN_SERVICE_POLLS_MAX {
        let answer = call(client, "DescribeEndpoint", &input).await?;
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        match text("EndpointStatus") {
            "InService" => return Ok(()),
            "Creating" | "Updating" | "SystemUpdating" | "RollingBack" => {}
            status => {
                let reason = text("FailureReason");
                let message = format!("endpoint `{endpoint}` is {status}: {reason}");
                return Err(Failure::new(Kind::Failed, message)
                    .hinted(format!("its log: kennel logs {endpoint}")));
            }
        }
        tokio::time::sleep(POLL).await;
    }
    Err(Failure::new(Kind::Failed, format!("endpoint `{endpoint}` did not come into service")))
}

/// Deletes endpoint, configuration and model that [`create_endpoint`] made.
pub async fn delete_endpoint(client: &Client, endpoint: &str) -> Result<(), Failure> {
    call(client, "DeleteEndpoint", &json!({ "EndpointName": endpoint })).await?;
    call(client, "DeleteEndpointConfig", &json!({ "EndpointConfigName": endpoint })).await?;
    call(client, "DeleteModel", &json!({ "ModelName": endpoint })).await.map(drop)
}

/// The events of all streams of a group whose name begins with a prefix, as they come.
pub struct LogFollower {
    client: Client,
    group: String,
    prefix: String,
    tokens: BTreeMap<String, Option<String>>,
}

/// One event of a log.
#[derive(Debug, Clone, Deserialize)]
pub struct LogLine {
    #[serde(default)]
    pub stream: String,
    pub timestamp: i64,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    events: Vec<LogLine>,
    next_forward_token: Option<String>,
}

impl LogFollower {
    pub fn of_training_job(client: &Client, name: &str) -> Self {
        Self::new(client, "/aws/sagemaker/TrainingJobs", &format!("{name}/"))
    }

    pub fn of_endpoint(client: &Client, name: &str) -> Self {
        Self::new(client, &format!("/aws/sagemaker/Endpoints/{name}"), "")
    }

    fn new(client: &Client, group: &str, prefix: &str) -> Self {
        Self {
            client: client.clone(),
            group: group.to_owned(),
            prefix: prefix.to_owned(),
            tokens: BTreeMap::new(),
        }
    }

    /// Events since the last call, oldest first; none while group or streams do not exist yet.
    pub async fn poll(&mut self) -> Result<Vec<LogLine>, Failure> {
        for stream in self.streams().await? {
            self.tokens.entry(stream).or_default();
        }
        let mut lines = Vec::new();
        for (stream, token) in &mut self.tokens {
            loop {
                let mut input = json!({
                    "logGroupName": self.group, "logStreamName": stream, "startFromHead": true,
                });
                if let (Some(token), Some(input)) = (&*token, input.as_object_mut()) {
                    input.insert("nextToken".to_owned(), json!(token));
                }
                let page: Page = self
                    .client
                    .call_json(&LOGS, "GetLogEvents", &input)
                    .await
                    .map_err(|error| refused("GetLogEvents failed", &error))?;
                *token = page.next_forward_token;
                if page.events.is_empty() {
                    break;
                }
                lines.extend(
                    page.events
                        .into_iter()
                        .map(|event| LogLine { stream: stream.clone(), ..event }),
                );
            }
        }
        lines.sort_by_key(|line| line.timestamp);
        Ok(lines)
    }

    /// Names of the streams there are.
    pub async fn streams(&self) -> Result<Vec<String>, Failure> {
        let mut names = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut input = json!({ "logGroupName": self.group });
            if let Some(input) = input.as_object_mut() {
                if !self.prefix.is_empty() {
                    input.insert("logStreamNamePrefix".to_owned(), json!(self.prefix));
                }
                if let Some(token) = next {
                    input.insert("nextToken".to_owned(), json!(token));
                }
            }
            let answer: Value =
                match self.client.call_json(&LOGS, "DescribeLogStreams", &input).await {
                    Ok(answer) => answer,
                    Err(error) if error.code() == Some("ResourceNotFoundException") => {
                        return Ok(names);
                    }
                    Err(error) => return Err(refused("DescribeLogStreams failed", &error)),
                };
            let streams = answer.get("logStreams").and_then(Value::as_array);
            names.extend(streams.into_iter().flatten().filter_map(|stream| {
                stream.get("logStreamName").and_then(Value::as_str).map(str::to_owned)
            }));
            next = answer.get("nextToken").and_then(Value::as_str).map(str::to_owned);
            if next.is_none() {
                return Ok(names);
            }
        }
    }
}

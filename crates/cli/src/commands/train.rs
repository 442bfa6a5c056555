//! `kennel train`: a directory of pictures into a trained model.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::connect::connect;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::printer::{self, Output};
use crate::sagemaker::{self, TrainingRequest};
use crate::{defaults, upload};

/// Train the native image classifier on a directory or a bucket prefix of pictures
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// A directory (train|valid|test/BREED/*.jpg; it is uploaded), or s3://bucket/prefix
    data: String,
    /// Name of the training job [default: image-classification-<time>]
    #[arg(long)]
    name: Option<String>,
    #[arg(long, default_value = "ml.m5.large")]
    instance_type: String,
    /// A hyperparameter: --set epochs=20 (may be repeated)
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = hyperparameter)]
    hyperparameters: Vec<(String, String)>,
    /// Role the job holds [default: the account's SageMaker execution role]
    #[arg(long)]
    role: Option<String>,
    /// Return when the job is created
    #[arg(long)]
    no_wait: bool,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(data_dir: &DataDir, arguments: Arguments) -> Result<(), Failure> {
    let client = connect(data_dir).await?.client;
    let name = arguments.name.unwrap_or_else(defaults::timestamped_name);
    let bucket = defaults::default_bucket(&client).await?;
    let data = if arguments.data.starts_with("s3://") {
        arguments.data
    } else {
        let prefix = format!("{name}/data/");
        upload::directory(&client, Path::new(&arguments.data), &bucket, &prefix).await?;
        format!("s3://{bucket}/{prefix}")
    };
    let request = TrainingRequest {
        role_arn: defaults::role_arn(&client, arguments.role).await?,
        output: format!("s3://{bucket}/"),
        instance_type: arguments.instance_type,
        hyperparameters: arguments.hyperparameters.into_iter().collect::<BTreeMap<_, _>>(),
        name,
        data,
    };
    let name = &request.name;
    client
        .s3()
        .create_bucket(&bucket)
        .await
        .map_err(|error| crate::connect::refused("CreateBucket failed", &error))?;
    sagemaker::create_training_job(&client, &request).await?;
    printer::remark(&format!("training job {name}"));
    if arguments.no_wait {
        printer::remark(&format!("look again with: kennel logs {name} -f"));
        return match arguments.output {
            Output::Json => printer::json(&json!({ "TrainingJobName": name })),
            Output::Text => printer::data(name),
        };
    }
    let job = sagemaker::watch_training_job(&client, name, "").await?;
    let artifact = sagemaker::artifact(name, &job)?;
    match arguments.output {
        Output::Json => printer::json(&json!({
            "TrainingJobName": name,
            "TrainingJobStatus": job.training_job_status,
            "ModelArtifacts": { "S3ModelArtifacts": artifact },
            "FinalMetricDataList": job.final_metric_data_list.iter().map(|metric| json!({
                "MetricName": metric.metric_name, "Value": metric.value,
            })).collect::<Vec<_>>(),
        })),
        Output::Text => {
            printer::data(&format!("{name} is {}: {artifact}", job.training_job_status))?;
            printer::remark(&format!("serve it: kennel deploy {name}"));
            Ok(())
        }
    }
}

fn hyperparameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("not NAME=VALUE".to_owned()),
    }
}

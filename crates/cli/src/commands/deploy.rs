//! `kennel deploy`: a trained model behind an endpoint.

use serde_json::json;

use crate::connect::connect;
use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::printer::{self, Output};
use crate::progress::Waiting;
use crate::{defaults, sagemaker};

/// Deploy a training job's model, or an artifact in a bucket, to an endpoint
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of a completed training job, or s3://bucket/key of a model.tar.gz
    model: String,
    /// Name of the endpoint [default: the training job's name]
    #[arg(long)]
    endpoint: Option<String>,
    #[arg(long, default_value = "ml.m5.large")]
    instance_type: String,
    #[arg(long, default_value_t = 1)]
    instances: u32,
    /// Role the replicas hold [default: the account's SageMaker execution role]
    #[arg(long)]
    role: Option<String>,
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(data_dir: &DataDir, arguments: Arguments) -> Result<(), Failure> {
    let client = connect(data_dir).await?.client;
    let model = &arguments.model;
    let (artifact, default_name) = if model.starts_with("s3://") {
        (model.clone(), "image-classification".to_owned())
    } else {
        let job = sagemaker::describe_training_job(&client, model).await?;
        (sagemaker::artifact(model, &job)?, model.clone())
    };
    let endpoint = arguments.endpoint.unwrap_or(default_name);
    let role = defaults::role_arn(&client, arguments.role).await?;
    printer::remark(&format!("endpoint {endpoint}"));
    sagemaker::create_endpoint(
        &client,
        &endpoint,
        &role,
        &artifact,
        &arguments.instance_type,
        arguments.instances,
    )
    .await?;
    let waiting = Waiting::start("waiting for /ping");
    let result = sagemaker::wait_in_service(&client, &endpoint).await;
    waiting.finish();
    result?;
    match arguments.output {
        Output::Json => printer::json(&json!({
            "EndpointName": endpoint, "EndpointStatus": "InService", "ModelDataUrl": artifact,
        })),
        Output::Text => {
            printer::data(&format!("{endpoint} is InService"))?;
            printer::remark(&format!("try it: kennel invoke {endpoint} PICTURE.jpg"));
            Ok(())
        }
    }
}

//! `kennel demo`: the whole loop once, with pictures to look at at the end.
//!
//! It talks to the server through the public API only, as any AWS program would. The steps stand
//! in [`tell`] in their order; `report` holds what they print, `pictures` what they classify.

mod pictures;
mod report;
mod results;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_client::Client;
use kennel_platform::instances;
use kennel_vision::draw;
use tokio_util::sync::CancellationToken;

use super::{data, up};
use crate::connect::{self, Connection, refused};
use crate::data_dir::DataDir;
use crate::failure::{Failure, Kind};
use crate::logging;
use crate::printer::Output;
use crate::progress::Waiting;
use crate::sagemaker::{self, TrainingJob, TrainingRequest};
use crate::server::{Server, Settings};
use crate::{defaults, upload};
use report::Report;

/// A replica gets far less to drain and end.
const DELETE_TIMEOUT: Duration = Duration::from_secs(120);

/// Train, deploy and ask a dog-breed classifier, start to end
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Your own pictures: DIR/{train,valid,test}/BREED/*.jpg [default: a set of drawn dogs]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where the pictures of the result go
    #[arg(long, value_name = "DIR", default_value = "kennel-demo")]
    files: PathBuf,
    #[arg(long, default_value = "ml.m5.large")]
    instance_type: String,
    /// With json, one object on stdout; what happens is told on stderr
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub async fn run(data_dir: &DataDir, arguments: Arguments) -> Result<(), Failure> {
    logging::start("error");
    let mut report = Report::start();
    let place = Place::find_or_start(data_dir, &mut report).await?;
    let told = tokio::select! {
        told = tell(&place.connection.client, &arguments, &mut report) => told,
        () = up::wait_for_signal() => Err(Failure::new(Kind::Failed, "interrupted")),
    };
    place.leave().await;
    told?;
    report.print(arguments.output)
}

/// The server the demo runs on.
struct Place {
    connection: Connection,
    own: Option<OwnServer>,
}

/// A server of the demo's own, in a directory that goes away with it.
struct OwnServer {
    server: Server,
    shutdown: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Place {
    /// The server of the environment or of the data directory where one answers, else a new one.
    async fn find_or_start(data_dir: &DataDir, report: &mut Report) -> Result<Self, Failure> {
        if connect::from_environment()?.is_some() {
            let connection = connect::connect(data_dir).await?;
            report.note(&format!("using the server at {}", connection.endpoint));
            return Ok(Self { connection, own: None });
        }
        if let Some(connection) = connect::from_data_dir(data_dir)?
            && connection.client.healthy().await.unwrap_or(false)
        {
            report.note(&format!("using the server at {}", connection.endpoint));
            return Ok(Self { connection, own: None });
        }
        let step = report.begin("start a server");
        let directory =
            tempfile::Builder::new().prefix("kennel-demo-").tempdir().map_err(|error| {
                Failure::caused(Kind::Environment, "no temporary directory", &error)
            })?;
        let fresh = DataDir::choose(Some(&directory.path().join("data")))?;
        let shutdown = CancellationToken::new();
        let settings = Settings {
            data_dir: fresh.clone(),
            listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
            account: "123456789012".to_owned(),
            region: "us-east-1".to_owned(),
        };
        let server = Server::start(settings, shutdown.clone()).await?;
        let facts = server.facts();
        let detail = format!("{}, engine: {}", facts.endpoint, facts.engine);
        let connection = connect::from_data_dir(&fresh)?
            .ok_or_else(|| Failure::new(Kind::Environment, "the new server left no key"))?;
        report.done(step, &detail);
        Ok(Self { connection, own: Some(OwnServer { server, shutdown, _directory: directory }) })
    }

    async fn leave(self) {
        if let Some(own) = self.own {
            own.shutdown.cancel();
            own.server.stopped().await;
        }
    }
}

/// The steps of the demo.
async fn tell(client: &Client, arguments: &Arguments, report: &mut Report) -> Result<(), Failure> {
    std::fs::create_dir_all(&arguments.files).map_err(|error| {
        let message = format!("cannot use `{}`", arguments.files.display());
        Failure::caused(Kind::Environment, &message, &error)
    })?;
    let drawn = tempfile::tempdir()
        .map_err(|error| Failure::caused(Kind::Environment, "no temporary directory", &error))?;
    let data = match &arguments.data {
        Some(directory) => directory.clone(),
        None => draw_dogs(&drawn.path().join("dogs"), report)?,
    };
    let name = defaults::timestamped_name();
    let bucket = upload_pictures(client, &data, &name, report).await?;
    let job = train(client, arguments, &name, &bucket, report).await?;
    results::collect(client, &name, &job, &arguments.files, report).await?;
    let artifact = sagemaker::artifact(&name, &job)?;
    let deployed = deploy(client, arguments, &name, &artifact, report).await;
    let classified = match deployed {
        Ok(()) => pictures::classify(client, &name, &data, &arguments.files, report).await,
        Err(failure) => Err(failure),
    };
    let step = report.begin("delete the endpoint");
    let deleted = delete(client, &name).await;
    classified?;
    deleted?;
    report.done(step, "endpoint, configuration and model; the bucket keeps data and artifacts");
    bill(arguments, &job, report);
    Ok(())
}

fn draw_dogs(directory: &Path, report: &mut Report) -> Result<PathBuf, Failure> {
    let step = report.begin("draw dogs");
    let summary = data::draw(directory, &draw::Options::default())?;
    let detail = format!(
        "{} drawn pictures of {} breeds (yours: --data DIR)",
        summary.pictures,
        summary.breeds.len()
    );
    report.done(step, &detail);
    Ok(directory.to_path_buf())
}

async fn upload_pictures(
    client: &Client,
    data: &Path,
    name: &str,
    report: &mut Report,
) -> Result<String, Failure> {
    let step = report.begin("upload");
    let bucket = defaults::default_bucket(client).await?;
    let uploaded = upload::directory(client, data, &bucket, &format!("{name}/data/")).await?;
    let detail = format!(
        "{} files, {:.1} MB to s3://{bucket}/{name}/data/",
        uploaded.files,
        uploaded.bytes as f64 / 1e6
    );
    report.done(step, &detail);
    Ok(bucket)
}

async fn train(
    client: &Client,
    arguments: &Arguments,
    name: &str,
    bucket: &str,
    report: &mut Report,
) -> Result<TrainingJob, Failure> {
    let step = report.begin("train");
    let request = TrainingRequest {
        name: name.to_owned(),
        role_arn: defaults::role_arn(client, None).await?,
        data: format!("s3://{bucket}/{name}/data/"),
        output: format!("s3://{bucket}/"),
        instance_type: arguments.instance_type.clone(),
        hyperparameters: BTreeMap::new(),
    };
    sagemaker::create_training_job(client, &request).await?;
    let job = sagemaker::watch_training_job(client, name, "    ").await?;
    sagemaker::artifact(name, &job)?;
    report.done(step, &format!("training job {name} is {}", job.training_job_status));
    Ok(job)
}

async fn deploy(
    client: &Client,
    arguments: &Arguments,
    name: &str,
    artifact: &str,
    report: &mut Report,
) -> Result<(), Failure> {
    let step = report.begin("deploy");
    let role = defaults::role_arn(client, None).await?;
    let instance_type = &arguments.instance_type;
    sagemaker::create_endpoint(client, name, &role, artifact, instance_type, 1).await?;
    let waiting = Waiting::start("waiting for /ping");
    let result = sagemaker::wait_in_service(client, name).await;
    waiting.finish();
    result?;
    report.done(step, &format!("endpoint {name} is InService"));
    Ok(())
}

/// Deletes the endpoint and waits until its replicas are gone.
async fn delete(client: &Client, name: &str) -> Result<(), Failure> {
    sagemaker::delete_endpoint(client, name).await?;
    let input = serde_json::json!({ "EndpointName": name });
    let gone = async {
        loop {
            let answer: Result<serde_json::Value, _> =
                client.call_json(&kennel_client::SAGEMAKER, "DescribeEndpoint", &input).await;
            match answer {
                Ok(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                Err(error) if error.code() == Some("ValidationException") => return Ok(()),
                Err(error) => return Err(refused("DescribeEndpoint failed", &error)),
            }
        }
    };
    tokio::time::timeout(DELETE_TIMEOUT, gone).await.map_err(|_| {
        Failure::new(Kind::Failed, format!("endpoint `{name}` is still being deleted"))
    })?
}

/// What AWS would have billed for the same seconds of the same instance type.
fn bill(arguments: &Arguments, job: &TrainingJob, report: &mut Report) {
    let training_secs = job.billable_time_in_seconds.unwrap_or_default() as f64;
    let hosting_secs = report.secs_between("deploy", "delete the endpoint");
    let Some(instance) = instances::lookup(&arguments.instance_type) else { return };
    report.bill(report::Bill {
        instance_type: instance.name.to_owned(),
        training_secs,
        hosting_secs,
        training_usd: instance.training_price.as_ref().map(|price| price.usd(training_secs, 1)),
        hosting_usd: instance.hosting_price.as_ref().map(|price| price.usd(hosting_secs, 1)),
        price_training: instances::describe_price(instance.training_price.as_ref()),
        price_hosting: instances::describe_price(instance.hosting_price.as_ref()),
    });
}

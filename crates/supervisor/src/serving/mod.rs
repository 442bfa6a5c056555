//! An endpoint replica: unpack the model, start the server, ask /ping for as long as it lives.
//!
//! Requests do not pass through here: the sandbox's own relay joins `http.sock` with the
//! workload's port. What is reported is what /ping really answered.

mod ping;
mod unpack;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kennel_client::S3;
use kennel_exec::{Exit, Inbound};
use kennel_wire::run::{Event, Outcome, S3Object, ServingWork, Stage, StopReason, layout};
use tokio::time::{Instant, timeout_at};

use crate::Context;
use crate::LOST;
use crate::error::{Failure, blocking};
use crate::limits::{PING_FAILURES_MAX, PING_SERVING, PING_STARTING};
use crate::log::LogWriter;
use crate::relay::Relays;
use crate::state::Phase;
use crate::workload::{self, BASE, Plan, Workload};

/// The contract's port.
const PORT: u16 = 8080;

/// Gives the replica's outcome: stopped, or failed. Dropped in the middle, it leaves no process.
pub(crate) async fn run(context: &Context, work: &ServingWork, log: &LogWriter) -> Outcome {
    let ended = match context.state.phase() {
        Phase::Fresh => serve(context, work, log).await,
        Phase::Working | Phase::Exited { .. } | Phase::Ended => {
            Err(Failure::Internal(LOST.to_owned()))
        }
    };
    match ended {
        Ok(()) => Outcome::Stopped { reason: StopReason::Requested, artifact_bytes: None },
        Err(failure) => {
            log.say(failure.reason()).await;
            Outcome::Failed { reason: failure.reason() }
        }
    }
}

async fn serve(context: &Context, work: &ServingWork, log: &LogWriter) -> Result<(), Failure> {
    context.stage(Stage::Downloading, "Downloading the model").await?;
    tokio::select! {
        staged = stage(context, work) => staged?,
        _grace = context.post.stopped() => return Ok(()),
    }
    context.enter(Phase::Working).await?;
    let relays = Relays::open(context)?;
    let mut workload = start(context, work, &relays, log).await?;
    tracing::info!(limiter = workload.limiter(), "the workload runs");
    let deadline = Instant::now() + Duration::from_secs(work.startup_timeout_secs);
    let grace_secs = tokio::select! {
        exit = workload.wait() => return Err(died(context, &exit, log)),
        watched = watch(context, deadline) => {
            let failure = watched;
            workload.kill().await;
            return Err(failure);
        }
        grace_secs = context.post.stopped() => grace_secs,
    };
    context.report(Event::Unready { reason: "the replica is stopped".to_owned() }).await?;
    workload.stop(Duration::from_secs(grace_secs)).await;
    Ok(())
}

/// `/opt/ml` before the server starts.
async fn stage(context: &Context, work: &ServingWork) -> Result<(), Failure> {
    let base = context.run_dir.join(BASE);
    let model = base.join("model");
    let made = model.clone();
    blocking("the run's directory could not be made", move || {
        match std::fs::remove_dir_all(&base) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(base.join("output"))?;
        std::fs::create_dir_all(made)
    })
    .await?;
    match &work.model_artifact {
        Some(artifact) => fetch_model(&context.client.s3(), artifact, &model).await,
        None => Ok(()),
    }
}

async fn fetch_model(s3: &S3, artifact: &S3Object, model: &Path) -> Result<(), Failure> {
    let S3Object { bucket, key } = artifact;
    let doing = format!("Model download failed: \"s3://{bucket}/{key}\"");
    // Beside the model's directory, and gone as soon as it is open: nothing of it stays behind.
    let packed_path = model.with_extension("tar.gz");
    let file = blocking(&doing, move || {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&packed_path)?;
        std::fs::remove_file(&packed_path)?;
        Ok(file)
    })
    .await?;
    let reading = blocking(&doing, {
        let file = file.try_clone().map_err(Failure::io(&doing))?;
        move || Ok(file)
    })
    .await?;
    s3.get_file(bucket, key, file, None).await.map_err(|error| Failure::call(&doing, &error))?;
    let model = model.to_owned();
    let unpacked = tokio::task::spawn_blocking(move || unpack::unpack(reading, &model)).await;
    match unpacked {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Client(format!("{doing}: {error}"))),
        Err(panicked) => Err(Failure::Internal(format!("{doing}: {panicked}"))),
    }
}

async fn start(
    context: &Context,
    work: &ServingWork,
    relays: &Relays,
    log: &LogWriter,
) -> Result<Workload, Failure> {
    let mut env = BTreeMap::from([
        ("SAGEMAKER_ENDPOINT_NAME".to_owned(), work.endpoint_name.clone()),
        ("SAGEMAKER_VARIANT_NAME".to_owned(), work.variant_name.clone()),
        ("SAGEMAKER_MODEL_NAME".to_owned(), work.model_name.clone()),
    ]);
    env.extend(relays.env());
    let inbound = Inbound {
        host_socket: context.run_dir.join(layout::HTTP_SOCKET),
        port: PORT,
        port_env: vec![("SAGEMAKER_BIND_TO_PORT".to_owned(), "{port}".to_owned())],
    };
    let plan = Plan {
        run_dir: &context.run_dir,
        spec: context.spec(),
        host: &context.host,
        native: &context.native,
        verb: "serve",
        env,
        inbound: vec![inbound],
        outbound: relays.outbound(),
        binds: Vec::new(),
    };
    Workload::start(plan, log).await
}

/// Reports what /ping says. Returns when the server was not ready in time, or when a report could
/// not be written.
async fn watch(context: &Context, deadline: Instant) -> Failure {
    let socket = context.run_dir.join(layout::HTTP_SOCKET);
    let mut last = "no answer".to_owned();
    loop {
        match timeout_at(deadline, ping::ping(&socket)).await {
            Ok(Ok(())) => break,
            Ok(Err(reason)) => last = reason,
            Err(_) => {}
        }
        if Instant::now() + PING_STARTING >= deadline {
            return Failure::Client(format!(
                "The container did not pass the ping health check in time. Please check \
                 CloudWatch logs for this endpoint. Last answer: {last}"
            ));
        }
        tokio::time::sleep(PING_STARTING).await;
    }
    if let Err(failure) = context.report(Event::Ready).await {
        return failure;
    }
    let mut failures = 0;
    loop {
        tokio::time::sleep(PING_SERVING).await;
        let event = match ping::ping(&socket).await {
            Ok(()) => {
                let was_unready = failures >= PING_FAILURES_MAX;
                failures = 0;
                was_unready.then_some(Event::Ready)
            }
            Err(reason) => {
                failures += 1;
                (failures == PING_FAILURES_MAX).then_some(Event::Unready { reason })
            }
        };
        if let Some(event) = event
            && let Err(failure) = context.report(event).await
        {
            return failure;
        }
    }
}

/// A server has no good reason to end by itself.
fn died(context: &Context, exit: &Exit, log: &LogWriter) -> Failure {
    let tail = log.tail().join("\n");
    let text = (!tail.is_empty()).then_some(tail);
    match workload::judge(exit, context.spec(), text.as_deref()) {
        Err(failure) => failure,
        Ok(()) => Failure::Algorithm("the server ended by itself, exit code: 0".to_owned()),
    }
}

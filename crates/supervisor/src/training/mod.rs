//! A training job on one host: stage the channels, run the workload, upload what it wrote.
//!
//! ```text
//! Fresh ── stage ── start ──▶ Working ── exit ──▶ Exited ── upload ──▶ Ended
//! ```
//! Each arrow is on disk before the next step. A supervisor that finds `Exited` uploads; one that
//! finds `Working` cannot know what the workload did, and says so.

mod channels;
mod checkpoints;
mod config;
mod keys;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kennel_client::{Put, S3};
use kennel_exec::{Exit, ExitStatus};
use kennel_wire::run::{Outcome, Stage, StopReason, TrainingWork};

use crate::archive;
use crate::error::{Failure, blocking};
use crate::limits::{FAILURE_CHARS_MAX, MAX_RUNTIME_GRACE_SECS};
use crate::log::LogWriter;
use crate::relay;
use crate::state::Phase;
use crate::tree::Folder;
use crate::workload::{self, BASE, Plan, Workload};
use crate::{Context, LOST};
use checkpoints::Sync;

/// Below `/opt/ml`; the contract's names.
const MODEL: &str = "model";
const OUTPUT_DATA: &str = "output/data";
const OUTPUT_FAILURE: &str = "output/failure";

/// Does what is left to do of the job, and gives its outcome. Dropped in the middle, it leaves no
/// process behind.
pub(crate) async fn run(context: &Context, work: &TrainingWork, log: &LogWriter) -> Outcome {
    match go_on(context, work, log).await {
        Ok(outcome) => outcome,
        Err(failure) => {
            log.say(failure.reason()).await;
            Outcome::Failed { reason: failure.reason() }
        }
    }
}

async fn go_on(
    context: &Context,
    work: &TrainingWork,
    log: &LogWriter,
) -> Result<Outcome, Failure> {
    let sync = work.checkpoints.as_ref();
    let sync =
        sync.map(|checkpoints| Sync::new(context.client.s3(), checkpoints, &context.run_dir));
    let sync = sync.transpose()?.map(Arc::new);
    let sync = sync.as_ref();
    match context.state.phase() {
        Phase::Fresh => work_through(context, work, sync, log).await,
        Phase::Exited { exit, stopped } => finish(context, work, sync, &exit, stopped).await,
        Phase::Working | Phase::Ended => Err(Failure::Internal(LOST.to_owned())),
    }
}

async fn work_through(
    context: &Context,
    work: &TrainingWork,
    sync: Option<&Arc<Sync>>,
    log: &LogWriter,
) -> Result<Outcome, Failure> {
    context.stage(Stage::Downloading, "Downloading input data").await?;
    let staged = tokio::select! {
        staged = stage(context, work, sync) => staged,
        // Nothing ran, nothing is uploaded.
        _grace = context.post.stopped() => {
            return Ok(Outcome::Stopped { reason: StopReason::Requested, artifact_bytes: None });
        }
    };
    staged?;
    let message = "Training image download completed. Training in progress.";
    context.stage(Stage::Training, message).await?;
    context.enter(Phase::Working).await?;
    let (exit, stopped) = train(context, work, sync, log).await?;
    context.enter(Phase::Exited { exit: exit.clone(), stopped }).await?;
    finish(context, work, sync, &exit, stopped).await
}

/// Everything the workload finds when it starts.
async fn stage(
    context: &Context,
    work: &TrainingWork,
    sync: Option<&Arc<Sync>>,
) -> Result<(), Failure> {
    let base = context.run_dir.join(BASE);
    let s3 = context.client.s3();
    let fresh = base.clone();
    let channels: Vec<String> = work.channels.iter().map(|channel| channel.name.clone()).collect();
    blocking("the run's directory could not be made", move || config::lay_out(&fresh, &channels))
        .await?;
    config::write(&base, context.spec(), work)
        .map_err(Failure::io("the input configuration could not be written"))?;
    for channel in &work.channels {
        let directory = base.join("input/data").join(&channel.name);
        let staged = channels::stage(&s3, channel, &directory).await?;
        tracing::info!(channel = channel.name, staged.files, staged.bytes, "staged");
    }
    if let Some(sync) = sync {
        sync.restore().await?;
    }
    Ok(())
}

/// Runs the workload to its end, which a stop or the clock may bring about.
async fn train(
    context: &Context,
    work: &TrainingWork,
    sync: Option<&Arc<Sync>>,
    log: &LogWriter,
) -> Result<(Exit, Option<StopReason>), Failure> {
    let relays = relay::Relays::open(context)?;
    let mut env = BTreeMap::from([
        ("TRAINING_JOB_NAME".to_owned(), work.job_name.clone()),
        ("TRAINING_JOB_ARN".to_owned(), work.job_arn.clone()),
        ("SAGEMAKER_JOB_NAME".to_owned(), work.job_name.clone()),
    ]);
    env.extend(relays.env());
    let binds = sync.and_then(|sync| sync.bind()).into_iter().collect();
    let mut workload = Workload::start(
        Plan {
            run_dir: &context.run_dir,
            spec: context.spec(),
            host: &context.host,
            native: &context.native,
            verb: "train",
            env,
            inbound: Vec::new(),
            outbound: relays.outbound(),
            binds,
        },
        log,
    )
    .await?;
    tracing::info!(limiter = workload.limiter(), "the workload runs");
    let _syncing = sync.cloned().map(Sync::keep_uploading);
    let max_runtime = Duration::from_secs(work.max_runtime_secs);
    let grace = tokio::select! {
        exit = workload.wait() => return Ok((exit, None)),
        grace_secs = context.post.stopped() => Ok(grace_secs),
        () = tokio::time::sleep(max_runtime) => Err(MAX_RUNTIME_GRACE_SECS),
    };
    let (reason, grace_secs) = match grace {
        Ok(grace_secs) => (StopReason::Requested, grace_secs),
        Err(grace_secs) => (StopReason::MaxRuntime, grace_secs),
    };
    let exit = workload.stop(Duration::from_secs(grace_secs)).await;
    Ok((exit, Some(reason)))
}

/// Uploads what the workload wrote, and says what its end means.
async fn finish(
    context: &Context,
    work: &TrainingWork,
    sync: Option<&Arc<Sync>>,
    exit: &Exit,
    stopped: Option<StopReason>,
) -> Result<Outcome, Failure> {
    let s3 = context.client.s3();
    context.stage(Stage::Uploading, "Uploading generated training model").await?;
    let base = Folder::open(&context.run_dir.join(BASE))
        .map_err(Failure::io("what the workload wrote cannot be read"))?;
    if let Some(sync) = sync {
        sync.upload().await?;
    }
    upload_output(&s3, work, &base).await?;
    if let (None, Err(failure)) = (stopped, judge(context, exit, &base)) {
        return Err(failure);
    }
    let content = archive::content(&base, Path::new(MODEL), &[])
        .map_err(Failure::io("the model cannot be read"))?;
    let artifact_bytes = archive::upload(&s3, content, &work.model_artifact, &put(work)).await?;
    let asked = context.post.asked().borrow().stop.is_some();
    let reason = stopped.or(asked.then_some(StopReason::Requested));
    Ok(match reason {
        Some(reason) => Outcome::Stopped { reason, artifact_bytes: Some(artifact_bytes) },
        None => Outcome::Completed { artifact_bytes },
    })
}

async fn upload_output(s3: &S3, work: &TrainingWork, base: &Folder) -> Result<(), Failure> {
    let files = [("failure", Path::new(OUTPUT_FAILURE))];
    let unreadable = "the output cannot be read";
    let content =
        archive::content(base, Path::new(OUTPUT_DATA), &files).map_err(Failure::io(unreadable))?;
    if content.is_empty().map_err(Failure::io(unreadable))? {
        return Ok(());
    }
    archive::upload(s3, content, &work.output_artifact, &put(work)).await.map(drop)
}

fn judge(context: &Context, exit: &Exit, base: &Folder) -> Result<(), Failure> {
    let text = if matches!(exit.status, ExitStatus::Code(0)) { None } else { failure_text(base) };
    workload::judge(exit, context.spec(), text.as_deref())
}

/// What the workload wrote to `output/failure`.
fn failure_text(base: &Folder) -> Option<String> {
    let file = base.file(Path::new(OUTPUT_FAILURE)).ok()??;
    let mut bytes = Vec::new();
    // A character has four bytes at most.
    let bytes_max = u64::try_from(FAILURE_CHARS_MAX * 4).ok()?;
    file.take(bytes_max).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn put(work: &TrainingWork) -> Put {
    Put {
        content_type: Some("application/x-gzip".to_owned()),
        kms_key_id: work.kms_key_id.clone().filter(|key_id| !key_id.is_empty()),
    }
}

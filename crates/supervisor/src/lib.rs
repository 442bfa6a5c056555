//! The supervisor of one run: a process of its own that stands between the server and a workload.
//!
//! It learns from `run.json` what to do, gets the role's credentials over the mailbox, brings the
//! inputs through the public S3 API, runs the workload in its sandbox, ships what it prints,
//! uploads what it wrote, and reports each step. It outlives the server for a while, and a
//! successor goes on where it wrote that it was. It never uses any rights but the role's, and it
//! never trusts what the workload left on the disk.
//!
//! Read next: `training` and `serving` for the two contracts, `post` for the talk with the server,
//! `state` for what survives.

mod archive;
mod clock;
mod error;
mod limits;
mod log;
mod post;
mod relay;
mod serving;
mod state;
mod training;
mod tree;
mod workload;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use kennel_client::{Client, Patience};
use kennel_exec::run_dir::{self, Host};
use kennel_exec::{Entry, enter_supervisor};
use kennel_wire::run::{Event, Outcome, RunSpec, Stage, Work, layout};
use tokio_util::sync::CancellationToken;

use error::{Failure, blocking};
use limits::{CALL_ATTEMPTS, CALL_TIMEOUT, SERVER_AWAY_MAX, WELCOME_TIMEOUT};
use log::Log;
use post::{GiveUp, Post};
use state::{Phase, State};

/// What a run says whose supervisor died while its workload was running.
const LOST: &str = "the host's supervisor ended unexpectedly";

/// What the binary knows of its own workloads.
#[derive(Debug, Clone, Copy)]
pub struct Native {
    /// The inference engine's shared library on this host, where there is one.
    pub engine_library: fn() -> Option<PathBuf>,
}

/// Everything a step of the work needs.
pub(crate) struct Context {
    pub run_dir: PathBuf,
    spec: RunSpec,
    pub host: Host,
    pub native: Native,
    pub state: Arc<State>,
    pub post: Post,
    pub client: Client,
}

impl Context {
    pub fn spec(&self) -> &RunSpec {
        &self.spec
    }

    /// Reports the stage that begins now.
    pub async fn stage(&self, stage: Stage, message: &str) -> Result<(), Failure> {
        self.report(Event::Stage { stage, message: message.to_owned() }).await
    }

    pub async fn report(&self, event: Event) -> Result<(), Failure> {
        let reported = self.post.report(event).await;
        reported.map_err(Failure::io("the state of the run could not be written"))
    }

    pub async fn enter(&self, phase: Phase) -> Result<(), Failure> {
        let state = Arc::clone(&self.state);
        blocking("the state of the run could not be written", move || state.enter(phase)).await
    }
}

/// The hidden verb `__supervise RUN_DIR`. Called before any thread was started.
pub fn main(run_dir: &Path, native: &Native) -> ExitCode {
    let entry = match enter_supervisor(run_dir) {
        Ok(entry) => entry,
        Err(error) => {
            log_line(&format!("not taken over: {}", workload::chain(&error)));
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(supervise(run_dir, *native, &entry));
            // Blocking work that is left belongs to a run that was given up.
            runtime.shutdown_background();
            ended
        }
        Err(error) => Err(Failure::io("no threads")(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log_line(&failure.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Moving bytes needs few; the workload gets the rest of the machine.
const WORKER_THREADS: usize = 2;

/// The supervisor's own output goes to `supervisor.log` in the run's directory.
#[expect(clippy::print_stderr, reason = "standard error is the supervisor's log file")]
fn log_line(line: &str) {
    eprintln!("{} {line}", clock::now_ms());
}

async fn supervise(run_dir: &Path, native: Native, entry: &Entry) -> Result<(), Failure> {
    let unreadable = "the run's directory cannot be read";
    let spec: RunSpec = read(run_dir, layout::SPEC).map_err(Failure::io(unreadable))?;
    let host: Host = read(run_dir, run_dir::HOST).map_err(Failure::io(unreadable))?;
    let state = State::open(run_dir, spec.generation).map_err(Failure::io(unreadable))?;
    let state = Arc::new(state);
    let shutdown = CancellationToken::new();
    let _ends_the_post = shutdown.clone().drop_guard();
    let mailbox = host.mailbox.clone();
    let post = Post::open(mailbox, entry, spec.generation, Arc::clone(&state), shutdown);
    let client = Client::new(&spec.api_endpoint, &spec.region, post.credentials())
        .map_err(|error| Failure::Internal(error.chain()))?
        .with_patience(Patience {
            attempt_timeout: CALL_TIMEOUT,
            attempts: CALL_ATTEMPTS,
            // A little more than the time after which everything is given up.
            total: SERVER_AWAY_MAX,
        });
    let run_dir = run_dir.to_owned();
    let context = Context { run_dir, spec, host, native, state, post, client };

    if !matches!(context.state.phase(), Phase::Ended) {
        if !welcomed(&context).await {
            return Ok(());
        }
        let Some(outcome) = work(&context).await else { return Ok(()) };
        log_line(&format!("ended: {outcome:?}"));
        context.report(Event::Ended { outcome }).await?;
    }
    tokio::select! {
        () = context.post.all_acknowledged() => {}
        why = context.post.given_up() => log_line(&format!("the last report was not taken: {why:?}")),
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(run_dir: &Path, name: &str) -> std::io::Result<T> {
    Ok(serde_json::from_slice(&std::fs::read(run_dir.join(name))?)?)
}

/// False when there is nothing to do: the server does not want this run, or is not there.
async fn welcomed(context: &Context) -> bool {
    tokio::select! {
        () = context.post.welcomed() => true,
        why = context.post.given_up() => {
            log_line(&format!("not welcomed: {why:?}"));
            false
        }
        () = tokio::time::sleep(WELCOME_TIMEOUT) => {
            log_line("not welcomed in time");
            false
        }
    }
}

/// Does the run's work. `None` when it was given up and nothing is to be reported now.
async fn work(context: &Context) -> Option<Outcome> {
    let log = Log::open(context.client.clone(), context.spec.log.clone());
    let writer = log.writer();
    let given_up = tokio::select! {
        outcome = run(context, &writer) => {
            drop(writer);
            log.finish().await;
            return Some(outcome);
        }
        why = context.post.given_up() => why,
    };
    // The work was dropped, and the sandbox with it.
    log_line(&format!("given up: {given_up:?}"));
    match given_up {
        GiveUp::Abandoned => None,
        // What was written down is uploaded by a successor.
        GiveUp::ServerAway if matches!(context.state.phase(), Phase::Exited { .. }) => None,
        GiveUp::ServerAway => {
            let reason = format!(
                "InternalServerError: the server was away for more than {} s",
                SERVER_AWAY_MAX.as_secs()
            );
            Some(Outcome::Failed { reason })
        }
    }
}

async fn run(context: &Context, writer: &log::LogWriter) -> Outcome {
    match &context.spec.work {
        Work::Training(work) => training::run(context, work, writer).await,
        Work::Serving(work) => serving::run(context, work, writer).await,
    }
}

//! The keeper of one run: makes its supervisor live, sees it end, and removes what is left.
//!
//! A keeper knows nothing but the record and what the executor finds; it can be stopped after any
//! line and started again.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kennel_exec::run_dir::{self, Host};
use kennel_exec::{Launch, LaunchError, Presence, Supervisor, Token};
use kennel_wire::run::{Order, Outcome, StopReason, layout};
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

use super::run::RunRecord;
use super::{Error, Runs, TABLE, digest};
use crate::limits::{RUN_LAUNCHES_MAX, RUN_START_FAILURES_MAX, RUN_SUPERVISOR_EXIT_SECS_MAX};

/// Sessions are looked at for renewal, and everything else once more, this often.
const TICK: Duration = Duration::from_secs(30);

/// After a failure of the store or the executor.
const RETRY: Duration = Duration::from_secs(1);

/// What a lost supervisor's run says for ever.
const LOST: &str = "InternalServerError: the host's supervisor ended unexpectedly";

/// What a keeper waits for after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// There is more to do now.
    Not,
    /// The record changes.
    Change,
    /// The record changes or the supervisor vanishes.
    ChangeOrGone,
    /// The run is no more.
    Done,
}

impl Runs {
    /// One keeper for each recorded run, until `shutdown`.
    pub(super) async fn keep_all(self: Arc<Self>, shutdown: CancellationToken) {
        let mut keepers: JoinSet<()> = JoinSet::new();
        let mut kept: HashMap<Id, String> = HashMap::new();
        let mut table = self.records.watch(TABLE);
        loop {
            table.mark_unchanged();
            match self.ledger.list().await {
                Ok(records) => {
                    for record in records {
                        let run_id = record.run.run_id;
                        if !kept.values().any(|kept| *kept == run_id) {
                            let keeper = keepers.spawn(Arc::clone(&self).keep(run_id.clone()));
                            kept.insert(keeper.id(), run_id);
                        }
                    }
                }
                Err(error) => tracing::warn!(error = ?error, "runs cannot be read"),
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = table.changed() => {}
                Some(ended) = keepers.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    kept.remove(&id);
                }
                () = tokio::time::sleep(TICK) => {}
            }
        }
        keepers.shutdown().await;
    }

    async fn keep(self: Arc<Self>, run_id: String) {
        let mut table = self.records.watch(TABLE);
        let run_dir = self.run_dir(&run_id);
        loop {
            table.mark_unchanged();
            match self.step(&run_id).await {
                Ok(Wait::Done) => return,
                Ok(Wait::Not) => {}
                Ok(Wait::Change) => tokio::select! {
                    _ = table.changed() => {}
                    () = tokio::time::sleep(TICK) => {}
                },
                Ok(Wait::ChangeOrGone) => tokio::select! {
                    _ = table.changed() => {}
                    () = self.executor.gone(&run_dir) => {}
                    () = tokio::time::sleep(TICK) => {}
                },
                Err(error) => {
                    tracing::warn!(run_id, error = ?error, "a run could not be kept, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Does the next thing this run needs. Idempotent.
    pub(super) async fn step(&self, run_id: &str) -> Result<Wait, Error> {
        let Some(record) = self.ledger.get(run_id).await? else { return Ok(Wait::Done) };
        let run_dir = self.run_dir(run_id);
        if record.forgotten {
            self.clean(&record, &run_dir).await?;
            run_dir::remove(&run_dir).await.map_err(Error::Directory)?;
            self.ledger.remove(run_id).await?;
            self.capacity.release(run_id);
            return Ok(Wait::Done);
        }
        if record.run.end.is_some() {
            if record.cleaned {
                return Ok(Wait::Change);
            }
            // It exits by itself once it knows that its last report was taken.
            let exit = Duration::from_secs(RUN_SUPERVISOR_EXIT_SECS_MAX);
            let _late = tokio::time::timeout(exit, self.executor.gone(&run_dir)).await;
            self.clean(&record, &run_dir).await?;
            self.ledger.update(run_id, |record| record.cleaned = true).await?;
            return Ok(Wait::Not);
        }
        if record.abandoned {
            return self.call_off(run_id, &run_dir).await;
        }
        match self.executor.find(&run_dir).await? {
            Presence::Alive(_) => {
                self.renew(&record).await?;
                Ok(Wait::ChangeOrGone)
            }
            Presence::Ended(supervisor) => self.lose(&record, &run_dir, &supervisor).await,
            Presence::Never if record.stop.is_some() => self.call_off(run_id, &run_dir).await,
            Presence::Never => self.launch(&record, &run_dir).await,
        }
    }

    /// Ends a run of which nothing is wanted any more.
    async fn call_off(&self, run_id: &str, run_dir: &Path) -> Result<Wait, Error> {
        self.executor.reap(run_dir).await?;
        let reason = StopReason::Requested;
        self.end(run_id, Outcome::Stopped { reason, artifact_bytes: None }).await?;
        Ok(Wait::Not)
    }

    /// A supervisor vanished without a last report. A server that dies between this and the start
    /// of the next one meets the same supervisor again, which counts once.
    async fn lose(
        &self,
        record: &RunRecord,
        run_dir: &Path,
        supervisor: &Supervisor,
    ) -> Result<Wait, Error> {
        self.executor.reap(run_dir).await?;
        let Supervisor { boot_id, pid, started_ticks, .. } = supervisor;
        let name = format!("{boot_id}/{pid}/{started_ticks}");
        let counted = self
            .ledger
            .update(&record.run.run_id, |record| {
                if !record.lost.contains(&name) {
                    record.lost.push(name.clone());
                }
            })
            .await?;
        let Some(record) = counted else { return Ok(Wait::Done) };
        if record.lost.len() >= RUN_LAUNCHES_MAX {
            self.end(&record.run.run_id, Outcome::Failed { reason: LOST.to_owned() }).await?;
            return Ok(Wait::Not);
        }
        self.launch(&record, run_dir).await
    }

    /// Starts a supervisor where none lives. One that finds the state of an earlier one does not
    /// repeat its work: it reports what was left unsaid, or that the work was lost.
    async fn launch(&self, record: &RunRecord, run_dir: &Path) -> Result<Wait, Error> {
        let run_id = &record.run.run_id;
        self.executor.reap(run_dir).await?;
        let token = Token::generate().map_err(|_| Error::Random)?;
        let token_sha256 = digest(token.expose());
        self.ledger
            .update(run_id, |record| {
                record.token_sha256 = Some(token_sha256.clone());
                record.run.ready = false;
            })
            .await?;
        run_dir::create(run_dir).await.map_err(Error::Directory)?;
        self.write_spec(record, run_dir).await?;
        let launch =
            Launch { run_id: run_id.clone(), run_dir: run_dir.to_owned(), token, args: Vec::new() };
        match self.executor.start(launch).await {
            Ok(supervisor) => {
                tracing::info!(run_id, pid = supervisor.pid, "supervisor started");
                Ok(Wait::Not)
            }
            Err(error) => self.not_started(run_id, error).await,
        }
    }

    /// Some tries later it will not start either.
    async fn not_started(&self, run_id: &str, error: LaunchError) -> Result<Wait, Error> {
        let counted = self.ledger.update(run_id, |record| record.start_failures += 1).await?;
        if counted.is_none_or(|record| record.start_failures < RUN_START_FAILURES_MAX) {
            return Err(error.into());
        }
        let reason =
            format!("InternalServerError: the host's supervisor cannot be started: {error}");
        self.end(run_id, Outcome::Failed { reason }).await?;
        Ok(Wait::Not)
    }

    async fn write_spec(&self, record: &RunRecord, run_dir: &Path) -> Result<(), Error> {
        let spec = serde_json::to_vec_pretty(&record.spec).map_err(Error::Record)?;
        run_dir::write(run_dir, layout::SPEC, &spec).await.map_err(Error::Directory)?;
        let host = Host {
            mailbox: self.mailbox_path.clone(),
            isolation: self.executor.capability().isolation,
            allow_weaker_isolation: false,
        };
        let host = serde_json::to_vec_pretty(&host).map_err(Error::Record)?;
        run_dir::write(run_dir, run_dir::HOST, &host).await.map_err(Error::Directory)
    }

    pub(super) async fn end(&self, run_id: &str, outcome: Outcome) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        self.ledger.update(run_id, |record| record.end(outcome.clone(), now_ms)).await?;
        self.capacity.release(run_id);
        Ok(())
    }

    /// No process and no session of the run is left afterwards.
    async fn clean(&self, record: &RunRecord, run_dir: &Path) -> Result<(), Error> {
        self.executor.reap(run_dir).await?;
        self.revoke(record).await
    }

    /// Sends an order where the run's supervisor is connected; whoever connects later is told by
    /// the answer to its `Hello`.
    pub(super) async fn order(&self, run_id: &str, order: &Order) -> Result<(), Error> {
        let frame = serde_json::to_vec(order).map_err(Error::Record)?;
        match self.mailbox.send(run_id, &frame).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(run_id, %error, "order not delivered now"),
        }
        Ok(())
    }
}

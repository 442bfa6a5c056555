//! The mailbox: who may speak for a run, and what becomes of what it says.
//!
//! A report is recorded first and acknowledged then. One that was recorded before is only
//! acknowledged; one that does not follow the last recorded report is left to be sent again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_exec::Token;
use kennel_exec::mailbox::{self, Delivery, Verifier};
use kennel_wire::run::{Event, Order, Outcome, Report};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::ledger::Ledger;
use super::run::{RunRecord, StageAt};
use super::{Error, Runs, digest};
use crate::identity;

/// A store that cannot be read for so many tries will not be read by anybody.
const LOOK_UPS_MAX: u32 = 50;
const LOOK_UP_RETRY: Duration = Duration::from_millis(200);

/// Knows the token of each run's newest supervisor by its digest alone.
pub(super) struct Doorkeeper {
    pub ledger: Ledger,
}

#[async_trait]
impl Verifier for Doorkeeper {
    async fn verify(&self, run_id: &str, token: &Token) -> bool {
        let Some(record) = self.look_up(run_id).await else { return false };
        // What is compared are digests of a random token: an attacker who learns how many of
        // their characters agree has learned nothing of the token.
        !record.forgotten && record.token_sha256 == Some(digest(token.expose()))
    }
}

impl Doorkeeper {
    /// A refusal ends the run, so that a store that fails for a moment must not be one.
    async fn look_up(&self, run_id: &str) -> Option<RunRecord> {
        for _ in 0..LOOK_UPS_MAX {
            match self.ledger.get(run_id).await {
                Ok(record) => return record,
                Err(error) => tracing::warn!(run_id, error = ?error, "a run cannot be looked up"),
            }
            tokio::time::sleep(LOOK_UP_RETRY).await;
        }
        None
    }
}

impl Runs {
    /// Takes deliveries until `shutdown`.
    pub(super) async fn take_all(
        self: Arc<Self>,
        mut deliveries: mpsc::Receiver<Delivery>,
        shutdown: CancellationToken,
    ) {
        loop {
            let delivery = tokio::select! {
                () = shutdown.cancelled() => return,
                delivery = deliveries.recv() => delivery,
            };
            let Some(Delivery { run_id, event }) = delivery else { return };
            let mailbox::Event::Frame(frame) = event else { continue };
            let taken = match serde_json::from_slice::<Report>(&frame) {
                Ok(report) => self.take(&run_id, report).await,
                Err(error) => Err(Error::Record(error)),
            };
            if let Err(error) = taken {
                // It was not acknowledged, so that it will be sent again.
                tracing::warn!(run_id, error = ?error, "a report could not be recorded");
            }
        }
    }

    pub(super) async fn take(&self, run_id: &str, report: Report) -> Result<(), Error> {
        let Some(record) = self.ledger.get(run_id).await? else {
            return self.order(run_id, &Order::Abandon).await;
        };
        if report.generation != record.run.generation {
            return self.order(run_id, &Order::Abandon).await;
        }
        if let Event::Hello { pid } = report.event {
            tracing::info!(run_id, pid, "supervisor connected");
            return self.welcome(&record).await;
        }
        if report.sequence > record.sequence.saturating_add(1) {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let recorded = self.ledger.update(run_id, |record| apply(record, &report, now_ms)).await?;
        if matches!(report.event, Event::Ended { .. }) {
            self.capacity.release(run_id);
        }
        let sequence = recorded.map_or(report.sequence, |record| record.sequence);
        self.order(run_id, &Order::Acknowledged { sequence }).await
    }

    async fn welcome(&self, record: &RunRecord) -> Result<(), Error> {
        let run_id = &record.run.run_id;
        if record.run.end.is_some() || record.abandoned {
            let sequence = record.sequence;
            self.order(run_id, &Order::Acknowledged { sequence }).await?;
            return self.order(run_id, &Order::Abandon).await;
        }
        let credentials = match self.credentials(record).await {
            // No later try would find another role.
            Err(Error::Identity(error @ identity::Error::BadRole(_))) => {
                let reason = format!("ClientError: {error}");
                self.end(run_id, Outcome::Failed { reason }).await?;
                return self.order(run_id, &Order::Abandon).await;
            }
            other => other?,
        };
        self.order(run_id, &Order::Welcome { credentials }).await?;
        // Read again: a stop that was recorded while the credentials were made found nobody here.
        match self.ledger.get(run_id).await?.and_then(|record| record.stop) {
            Some(stop) => self.order(run_id, &Order::Stop { grace_secs: stop.grace_secs }).await,
            None => Ok(()),
        }
    }
}

/// Each report changes the record once, whatever is sent twice.
fn apply(record: &mut RunRecord, report: &Report, now_ms: i64) {
    if report.sequence != record.sequence.saturating_add(1) {
        return;
    }
    record.sequence = report.sequence;
    match &report.event {
        Event::Hello { .. } => {}
        Event::Stage { stage, message } => record.run.stages.push(StageAt {
            stage: *stage,
            at_ms: report.at_ms,
            message: message.clone(),
        }),
        Event::Ready => {
            record.run.ready = record.run.end.is_none();
            record.run.not_ready_reason = None;
        }
        Event::Unready { reason } => {
            record.run.ready = false;
            record.run.not_ready_reason = Some(reason.clone());
        }
        // When it really ended is what the host says, never later than it is told.
        Event::Ended { outcome } => record.end(outcome.clone(), report.at_ms.min(now_ms)),
    }
}

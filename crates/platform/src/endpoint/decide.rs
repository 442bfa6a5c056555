//! What is to be done next for one endpoint, from what is recorded and what was seen: one match
//! over its status, no input or output.
//!
//! ```text
//!              every replica ready                  UpdateEndpoint
//!   Creating ──────────────────────▶ InService ◀──────────────────▶ Updating
//!      │                                 ▲        every replica        │
//!      │ a replica failed                │        of the next ready    │ a replica of the next failed,
//!      │ too often                       └──────── RollingBack ◀───────┘ the old ones still serve
//!      ▼
//!   Failed                 DeleteEndpoint (InService, Failed) ─▶ Deleting ─▶ (absent)
//! ```
//!
//! A decision is either one new version of the record or effects that follow from the record as
//! it is, never both: whatever is cut off in between is decided again in the same way.

use std::collections::HashMap;

use kennel_wire::run::Outcome;

use super::config::VariantConfig;
use super::record::{Endpoint, Fleet, Replica, ReplicaRun, Retired, Status, log_stream};
use crate::limits::{
    REPLICA_ABANDON_MS, REPLICA_BACKOFF_MS_MAX, REPLICA_BACKOFF_MS_MIN, REPLICA_CAPACITY_WAIT_MS,
    REPLICA_DOWNLOAD_SECS, REPLICA_DRAIN_MS, REPLICA_MARGIN_SECS, REPLICA_STABLE_MS,
    REPLICA_START_ATTEMPTS_MAX, REPLICA_STARTUP_SECS, REPLICA_UNREADY_MS_MAX,
};
use crate::runs::{self, Run};

/// The world as it was found.
pub(super) struct Seen<'a> {
    pub now_ms: i64,
    /// Of the endpoint's runs those that are recorded.
    pub runs: &'a HashMap<String, Run>,
    /// Requests that a run works on.
    pub in_flight: &'a (dyn Fn(&str) -> u32 + Sync),
    pub new_run_id: &'a (dyn Fn() -> Result<String, runs::Error> + Sync),
    pub new_instance_id: &'a (dyn Fn() -> Result<String, runs::Error> + Sync),
}

#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// Lines for the replicas' logs, then this version of the record.
    Write { endpoint: Box<Endpoint>, lines: Vec<Line> },
    /// Nothing is left of it.
    Delete,
    /// The record stays; these are idempotent.
    Act(Vec<Effect>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub stream: String,
    pub message: String,
}

/// Each names a run of the record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Start(String),
    Stop(String),
    Abandon(String),
    Forget(String),
}

pub(super) fn decide(before: &Endpoint, seen: &Seen<'_>) -> Result<Decision, runs::Error> {
    let mut endpoint = before.clone();
    let mut pass = Pass { seen, lines: Vec::new(), effects: Vec::new() };
    match endpoint.status {
        Status::Creating => match pass.tend_next(&mut endpoint)? {
            Progress::Ready => put_in_service(&mut endpoint, seen.now_ms),
            Progress::Failed(reason) => {
                give_up_next(&mut endpoint, Status::Failed, reason, seen.now_ms);
            }
            Progress::UnderWay => {}
        },
        Status::InService => drop(pass.tend_serving(&mut endpoint)?),
        Status::Updating if endpoint.next.is_some() => {
            pass.tend_serving(&mut endpoint)?;
            match pass.tend_next(&mut endpoint)? {
                Progress::Ready => put_in_service(&mut endpoint, seen.now_ms),
                Progress::Failed(reason) => {
                    give_up_next(&mut endpoint, Status::RollingBack, reason, seen.now_ms);
                }
                Progress::UnderWay => {}
            }
        }
        Status::Updating => match pass.tend_serving(&mut endpoint)? {
            Progress::Ready => finish_resizing(&mut endpoint, seen.now_ms),
            Progress::Failed(reason) => undo_resizing(&mut endpoint, reason, seen)?,
            Progress::UnderWay => {}
        },
        Status::RollingBack => {
            let progress = pass.tend_serving(&mut endpoint)?;
            // A replica without hope keeps being tried in service; it must not hold back a client
            // that waits to change the endpoint.
            if endpoint.retired.is_empty() && !matches!(progress, Progress::UnderWay) {
                endpoint.status = Status::InService;
                endpoint.modified_at_ms = seen.now_ms;
            }
        }
        Status::Failed => {}
        Status::Deleting => {
            if endpoint.retired.is_empty() {
                return Ok(Decision::Delete);
            }
        }
    }
    pass.clear_retired(&mut endpoint);
    if endpoint == *before {
        return Ok(Decision::Act(pass.effects));
    }
    Ok(Decision::Write { endpoint: Box::new(endpoint), lines: pass.lines })
}

enum Progress {
    UnderWay,
    Ready,
    Failed(String),
}

/// From here on the next fleet takes the requests; the old one serves what it has.
fn put_in_service(endpoint: &mut Endpoint, now_ms: i64) {
    let Some(next) = endpoint.next.take() else { return };
    endpoint.config_name = next.config_name.clone();
    if let Some(old) = endpoint.serving.replace(next) {
        endpoint.retire_fleet(old, now_ms);
    }
    endpoint.status = Status::InService;
    endpoint.failure_reason = None;
    endpoint.modified_at_ms = now_ms;
}

fn give_up_next(endpoint: &mut Endpoint, status: Status, reason: String, now_ms: i64) {
    if let Some(next) = endpoint.next.take() {
        endpoint.retire_fleet(next, now_ms);
    }
    endpoint.status = status;
    endpoint.failure_reason = Some(reason);
    endpoint.modified_at_ms = now_ms;
}

/// Weights and instance counts are what was asked for.
fn finish_resizing(endpoint: &mut Endpoint, now_ms: i64) {
    endpoint.undo.clear();
    endpoint.status = Status::InService;
    endpoint.modified_at_ms = now_ms;
}

/// Back to the weights and instance counts of before. Replicas that were taken away are on their
/// way out already; new ones take their places.
fn undo_resizing(
    endpoint: &mut Endpoint,
    reason: String,
    seen: &Seen<'_>,
) -> Result<(), runs::Error> {
    let now_ms = seen.now_ms;
    let undo = std::mem::take(&mut endpoint.undo);
    if let Some(mut fleet) = endpoint.serving.take() {
        for variant in &mut fleet.variants {
            let Some(before) = undo.iter().find(|undo| undo.variant == variant.config.name) else {
                continue;
            };
            variant.weight = before.weight;
            let kept = before.instances.min(variant.replicas.len());
            for replica in variant.replicas.split_off(kept) {
                endpoint.retire(replica.run, now_ms);
            }
            while variant.replicas.len() < before.instances {
                variant.replicas.push(Replica::new((seen.new_instance_id)()?));
            }
        }
        endpoint.serving = Some(fleet);
    }
    endpoint.status = Status::RollingBack;
    endpoint.failure_reason = Some(reason);
    endpoint.modified_at_ms = now_ms;
    Ok(())
}

struct Pass<'a> {
    seen: &'a Seen<'a>,
    lines: Vec<Line>,
    effects: Vec<Effect>,
}

impl Pass<'_> {
    fn tend_serving(&mut self, endpoint: &mut Endpoint) -> Result<Progress, runs::Error> {
        let Some(mut fleet) = endpoint.serving.take() else { return Ok(Progress::UnderWay) };
        let tended = self.tend(endpoint, &mut fleet);
        let progress = self.progress(&fleet);
        endpoint.serving = Some(fleet);
        tended.map(|()| progress)
    }

    fn tend_next(&mut self, endpoint: &mut Endpoint) -> Result<Progress, runs::Error> {
        let Some(mut fleet) = endpoint.next.take() else { return Ok(Progress::UnderWay) };
        let tended = self.tend(endpoint, &mut fleet);
        let progress = self.progress(&fleet);
        endpoint.next = Some(fleet);
        tended.map(|()| progress)
    }

    fn progress(&self, fleet: &Fleet) -> Progress {
        for variant in &fleet.variants {
            for replica in &variant.replicas {
                if let Some(reason) = self.hopeless(variant.config.name.as_str(), replica) {
                    return Progress::Failed(reason);
                }
            }
        }
        let ready = |replica: &Replica| replica.run.as_ref().is_some_and(|run| run.ready);
        if fleet.replicas().all(ready) { Progress::Ready } else { Progress::UnderWay }
    }

    /// Why a new fleet is given up for this replica.
    fn hopeless(&self, variant: &str, replica: &Replica) -> Option<String> {
        let waited = |since: i64| self.seen.now_ms - since >= REPLICA_CAPACITY_WAIT_MS;
        if replica.waiting_since_ms.is_some_and(waited) {
            return Some(format!(
                "CapacityError: Unable to provision requested ML compute capacity for production \
                 variant {variant}: this machine's memory is taken by what runs on it. Please \
                 retry using a different ML instance type."
            ));
        }
        if replica.failures < REPLICA_START_ATTEMPTS_MAX {
            return None;
        }
        let last = replica.last_failure.as_deref().unwrap_or_default();
        if last.starts_with("ClientError") {
            return Some(last.to_owned());
        }
        Some(format!(
            "The primary container for production variant {variant} did not pass the ping health \
             check. Please check CloudWatch logs for this endpoint. {last}"
        ))
    }

    fn tend(&mut self, endpoint: &mut Endpoint, fleet: &mut Fleet) -> Result<(), runs::Error> {
        for variant in &mut fleet.variants {
            for replica in &mut variant.replicas {
                self.tend_replica(endpoint, &variant.config, replica)?;
            }
        }
        Ok(())
    }

    fn tend_replica(
        &mut self,
        endpoint: &mut Endpoint,
        config: &VariantConfig,
        replica: &mut Replica,
    ) -> Result<(), runs::Error> {
        let now_ms = self.seen.now_ms;
        let Some(run) = &mut replica.run else {
            if now_ms >= replica.retry_at_ms {
                endpoint.starts += 1;
                replica.run = Some(ReplicaRun {
                    run_id: (self.seen.new_run_id)()?,
                    generation: endpoint.starts,
                    ready: false,
                    turned_at_ms: now_ms,
                    served: false,
                });
            }
            return Ok(());
        };
        let Some(known) = self.seen.runs.get(&run.run_id) else {
            self.effects.push(Effect::Start(run.run_id.clone()));
            return Ok(());
        };
        replica.waiting_since_ms = None;
        if let Some(end) = &known.end {
            let reason = describe_end(&end.outcome);
            self.lose(endpoint, config, replica, reason);
            return Ok(());
        }
        if known.ready != run.ready {
            run.ready = known.ready;
            run.turned_at_ms = now_ms;
            // It turned to ready or away from it; either way it was ready once.
            run.served = true;
        }
        let held_ms = now_ms - run.turned_at_ms;
        if run.ready && replica.failures > 0 && held_ms >= REPLICA_STABLE_MS {
            replica.failures = 0;
        }
        if !run.ready && held_ms >= allowance_ms(config, run.served) {
            let reason = match &known.not_ready_reason {
                Some(reason) => format!("/ping did not answer in time: {reason}"),
                None => "/ping did not answer in time".to_owned(),
            };
            self.lose(endpoint, config, replica, reason);
        }
        Ok(())
    }

    /// The run is out; another takes its place after a pause that grows with each failure.
    fn lose(
        &mut self,
        endpoint: &mut Endpoint,
        config: &VariantConfig,
        replica: &mut Replica,
        reason: String,
    ) {
        endpoint.retire(replica.run.take(), self.seen.now_ms);
        replica.fail(reason, self.seen.now_ms);
        let pause_secs = (replica.retry_at_ms - self.seen.now_ms) / 1_000;
        self.lines.push(Line {
            stream: log_stream(config.name.as_str(), replica),
            message: format!(
                "The replica ended: {} (failure {} in a row; the next start is in {pause_secs} s \
                 unless the endpoint is given up).",
                replica.last_failure.as_deref().unwrap_or_default(),
                replica.failures,
            ),
        });
    }

    fn clear_retired(&mut self, endpoint: &mut Endpoint) {
        let mut retired = std::mem::take(&mut endpoint.retired);
        retired.retain(|retired| self.keeps(retired));
        endpoint.retired = retired;
    }

    /// False once nothing is left of the run.
    fn keeps(&mut self, retired: &Retired) -> bool {
        let Some(run) = self.seen.runs.get(&retired.run_id) else { return false };
        let id = retired.run_id.clone();
        let age_ms = self.seen.now_ms - retired.since_ms;
        if run.end.is_some() {
            self.effects.push(Effect::Forget(id));
        } else if age_ms >= REPLICA_ABANDON_MS {
            self.effects.push(Effect::Abandon(id));
        } else if age_ms >= REPLICA_DRAIN_MS || (self.seen.in_flight)(&id) == 0 {
            self.effects.push(Effect::Stop(id));
        }
        true
    }
}

impl Replica {
    /// Counts a failure and sets the time of the next start.
    pub(super) fn fail(&mut self, reason: String, now_ms: i64) {
        let doublings = self.failures.min(16);
        let pause_ms = (REPLICA_BACKOFF_MS_MIN << doublings).min(REPLICA_BACKOFF_MS_MAX);
        self.run = None;
        self.failures += 1;
        self.last_failure = Some(reason);
        self.retry_at_ms = now_ms + pause_ms;
        self.waiting_since_ms = None;
    }
}

/// How long a replica may be there without answering /ping. One that answered before has its
/// model and has started, so that it needs no time for either.
fn allowance_ms(config: &VariantConfig, served: bool) -> i64 {
    if served {
        return REPLICA_UNREADY_MS_MAX;
    }
    let secs = config.download_timeout_secs.unwrap_or(REPLICA_DOWNLOAD_SECS)
        + config.startup_timeout_secs.unwrap_or(REPLICA_STARTUP_SECS)
        + REPLICA_MARGIN_SECS;
    i64::from(secs) * 1_000
}

fn describe_end(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed { reason } => reason.clone(),
        Outcome::Completed { .. } => "the workload ended by itself".to_owned(),
        Outcome::Stopped { .. } => "the workload was stopped".to_owned(),
    }
}

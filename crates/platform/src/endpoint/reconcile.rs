//! Makes the replicas of every endpoint follow its record.
//!
//! It takes no input, every effect is idempotent, and nothing is remembered between passes but
//! what the records hold: it can be killed at any line and run again.

use std::collections::HashMap;

use kennel_store::Expect;

use super::decide::{Decision, Effect, Seen, decide};
use super::record::{
    Endpoint, Replica, ReplicaRun, Variant, log_group, log_stream, new_instance_id,
};
use super::spec::{Place, plan};
use super::{Endpoints, Error};
use crate::limits::{ENDPOINT_STEPS_MAX, REPLICA_STOP_GRACE_SECS};
use crate::runs::{self, Run, Runs, Started};
use crate::tags;

impl Endpoints {
    pub(super) async fn reconcile(&self) {
        let endpoints = match self.endpoints.list().await {
            Ok(endpoints) => endpoints,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no endpoints read");
                return;
            }
        };
        for endpoint in endpoints {
            if let Err(error) = self.reconcile_one(&endpoint.name.key()).await {
                let name = endpoint.name.as_str();
                let error: &dyn std::error::Error = &error;
                tracing::warn!(name, error, cause = error.source(), "endpoint is tried again");
            }
        }
    }

    pub(super) async fn reconcile_one(&self, key: &str) -> Result<(), Error> {
        for _ in 0..ENDPOINT_STEPS_MAX {
            if self.step(key).await? == Step::Settled {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn step(&self, key: &str) -> Result<Step, Error> {
        let Some((endpoint, revision)) = self.endpoints.get(key).await? else {
            self.router.remove(key);
            return Ok(Step::Settled);
        };
        let runs = self.runs_of(&endpoint).await?;
        self.publish(&endpoint, &runs);
        let seen = Seen {
            now_ms: self.clock.now_ms(),
            runs: &runs,
            in_flight: &|run_id| self.router.in_flight(run_id),
            new_run_id: &Runs::new_id,
            new_instance_id: &|| new_instance_id().ok_or(runs::Error::Random),
        };
        match decide(&endpoint, &seen)? {
            Decision::Delete => {
                let writes = vec![
                    self.endpoints.delete(key, Expect::Revision(revision)),
                    tags::on_delete(&self.arn(&endpoint.name)),
                ];
                self.endpoints.commit(writes).await?;
                Ok(Step::Again)
            }
            Decision::Write { endpoint: wanted, lines } => {
                let group = log_group(&endpoint.name);
                for line in lines {
                    self.host.log(&group, &line.stream, line.message).await;
                }
                self.write(key, &wanted, revision).await?;
                Ok(Step::Again)
            }
            Decision::Act(effects) => self.act(key, endpoint, revision, effects).await,
        }
    }

    async fn act(
        &self,
        key: &str,
        mut endpoint: Endpoint,
        revision: kennel_store::Revision,
        effects: Vec<Effect>,
    ) -> Result<Step, Error> {
        let before = endpoint.clone();
        for effect in effects {
            match effect {
                Effect::Start(run_id) => self.start(&mut endpoint, &run_id).await?,
                Effect::Stop(run_id) => {
                    self.host.stop(&run_id, REPLICA_STOP_GRACE_SECS).await?;
                }
                Effect::Abandon(run_id) => self.host.abandon(&run_id).await?,
                Effect::Forget(run_id) => self.host.forget(&run_id).await?,
            }
        }
        if endpoint == before {
            return Ok(Step::Settled);
        }
        self.write(key, &endpoint, revision).await?;
        Ok(Step::Settled)
    }

    /// Starts the run, or notes in the record why it could not be started.
    async fn start(&self, endpoint: &mut Endpoint, run_id: &str) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let Some((variant, replica, run)) = find(endpoint, run_id) else { return Ok(()) };
        let (region, account) = (&self.config.region, &self.config.account);
        let place = Place { region, account, machine: self.host.machine() };
        let Some(planned) = plan(&place, endpoint, variant, replica, run) else {
            let reason = "this version knows the image or the instance type no more".to_owned();
            fail_replica(endpoint, run_id, reason, now_ms);
            return Ok(());
        };
        let stream = log_stream(variant.config.name.as_str(), replica);
        let group = log_group(&endpoint.name);
        self.host.open_log(&group, &stream).await;
        match self.host.start(planned.start).await {
            Ok(Started::Yes) => {
                if let Some(note) = planned.note {
                    self.host.log(&group, &stream, note).await;
                }
            }
            Ok(Started::NoCapacity { .. }) => {
                if let Some(replica) = replica_of(endpoint, run_id) {
                    replica.waiting_since_ms.get_or_insert(now_ms);
                }
            }
            Err(runs::Error::Refused(refused)) => {
                fail_replica(endpoint, run_id, format!("ClientError: {refused}"), now_ms);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn runs_of(&self, endpoint: &Endpoint) -> Result<HashMap<String, Run>, Error> {
        let mut runs = HashMap::new();
        for run_id in endpoint.run_ids() {
            if let Some(run) = self.host.get(run_id).await? {
                runs.insert(run_id.to_owned(), run);
            }
        }
        Ok(runs)
    }

    pub(super) async fn refresh(&self, key: &str) -> Result<(), Error> {
        if let Some((endpoint, _)) = self.endpoints.get(key).await? {
            let runs = self.runs_of(&endpoint).await?;
            self.publish(&endpoint, &runs);
        }
        Ok(())
    }

    fn publish(&self, endpoint: &Endpoint, runs: &HashMap<String, Run>) {
        let is_ready = |id: &str| runs.get(id).is_some_and(|run| run.ready && run.end.is_none());
        self.router.publish(endpoint, is_ready, |id| self.host.http_socket(id));
    }

    async fn write(
        &self,
        key: &str,
        endpoint: &Endpoint,
        revision: kennel_store::Revision,
    ) -> Result<(), Error> {
        let write = self.endpoints.put(key, endpoint, Expect::Revision(revision))?;
        match self.endpoints.commit(vec![write]).await {
            // A request was faster; the next step decides on what it wrote.
            Err(error) if error.is_conflict() => Ok(()),
            other => Ok(other?),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Again,
    Settled,
}

fn find<'a>(
    endpoint: &'a Endpoint,
    run_id: &str,
) -> Option<(&'a Variant, &'a Replica, &'a ReplicaRun)> {
    let fleets = endpoint.serving.iter().chain(&endpoint.next);
    fleets.flat_map(|fleet| &fleet.variants).find_map(|variant| {
        variant.replicas.iter().find_map(|replica| {
            let run = replica.run.as_ref().filter(|run| run.run_id == run_id)?;
            Some((variant, replica, run))
        })
    })
}

fn replica_of<'a>(endpoint: &'a mut Endpoint, run_id: &str) -> Option<&'a mut Replica> {
    let fleets = endpoint.serving.iter_mut().chain(&mut endpoint.next);
    let variants = fleets.flat_map(|fleet| &mut fleet.variants);
    variants
        .flat_map(|variant| &mut variant.replicas)
        .find(|replica| replica.run.as_ref().is_some_and(|run| run.run_id == run_id))
}

/// The run was never there, so nothing is to be retired.
fn fail_replica(endpoint: &mut Endpoint, run_id: &str, reason: String, now_ms: i64) {
    if let Some(replica) = replica_of(endpoint, run_id) {
        replica.fail(reason, now_ms);
    }
}

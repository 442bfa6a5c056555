//! What requests do to training jobs: record an intent. The reconciler acts on it.

use kennel_store::{Expect, Write, records};

use super::job::{Job, SecondaryStatus, State, Status};
use super::spec::Spec;
use super::{ACTIVE, Error, Stored, TABLE, Training, access};
use crate::limits::{COMMIT_ATTEMPTS_MAX, SESSION_POLICY_BYTES_MAX};
use crate::names::EntityName;
use crate::runs::Runs;
use crate::tags::{self, Tag};
use crate::{Config, instances};

impl Training {
    /// Refuses what cannot run here, else records the job. Of several submissions of one name,
    /// exactly one wins.
    pub async fn submit(&self, spec: Spec, tags: &[Tag]) -> Result<Job, Error> {
        self.outside.can_run(&spec.program).map_err(Error::CannotRun)?;
        if instances::lookup(&spec.instance_type).is_none() {
            return Err(Error::UnknownInstanceType(spec.instance_type));
        }
        let key = spec.name.key();
        let arn = self.arn(&spec.name);
        let run_id = Runs::new_id().map_err(Error::RunId)?;
        let job = Job::new(spec, arn.clone(), run_id, self.clock.now_ms());
        let Config { region, account, .. } = &self.config;
        if access::policy_bytes_max(&job, region, account) > SESSION_POLICY_BYTES_MAX {
            return Err(Error::TooManyPlaces);
        }
        let writes = vec![
            Write::Put {
                table: TABLE,
                key: key.clone(),
                value: serde_json::to_vec(&job).map_err(Error::Record)?,
                expect: Expect::Absent,
            },
            Write::Put { table: ACTIVE, key, value: b"{}".to_vec(), expect: Expect::Any },
            tags::on_create(&arn, tags),
        ];
        match self.records.commit(writes).await {
            Ok(_) => Ok(job),
            Err(records::Error::Conflict { .. }) => Err(Error::Exists { arn }),
            Err(other) => Err(other.into()),
        }
    }

    /// Asks a job to stop; one that is stopping stays so.
    pub async fn request_stop(&self, name: &EntityName) -> Result<(), Error> {
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let Some(Stored { mut job, revision }) = self.load(&name.key()).await? else {
                return Err(Error::Unknown(name.clone()));
            };
            match job.status() {
                Status::InProgress => {}
                Status::Stopping => return Ok(()),
                status @ (Status::Completed | Status::Failed | Status::Stopped) => {
                    return Err(Error::AlreadyEnded { name: name.clone(), status });
                }
            }
            job.state = State::Stopping;
            let now_ms = self.clock.now_ms();
            job.enter(SecondaryStatus::Stopping, "Stopping the training job", now_ms);
            match self.save(&mut job, revision).await {
                Err(Error::Store(records::Error::Conflict { .. })) => {}
                other => return other.map(drop),
            }
        }
        Err(Error::Contended(name.clone()))
    }
}

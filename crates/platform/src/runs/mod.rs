//! Runs: one supervised workload on one host, whatever it runs for.
//!
//! A run is recorded first; a keeper then makes its supervisor live, and the mailbox takes the
//! supervisor's reports, records them and only then acknowledges. Owners (training jobs, endpoint
//! replicas) watch the table [`TABLE`] and read [`Run`]s.
//!
//! ```text
//!            start()               supervisor lives        Ended recorded         forget()
//!  (absent) ────────▶ recorded ───────────────────▶ live ────────────────▶ ended ─────────▶ (absent)
//!                        ▲                           │ vanished without Ended: reaped, started
//!                        └───────────────────────────┘ again, at the third time: ended, Failed
//! ```
//!
//! Nothing here knows what a training job or an endpoint is, and no state is assumed: a run ends
//! when its supervisor said so or when everything of it was seen to be gone.

mod capacity;
mod ledger;
mod post;
mod reconcile;
mod run;
mod sessions;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kennel_exec::mailbox::{self, Delivery, Mailbox};
use kennel_exec::{Capability, Executor, LaunchError, Needs, Trust};
use kennel_store::Records;
use kennel_wire::run::{Order, Program, layout};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::identity::{self, Identity};
use crate::{Backends, Clock, Config};
use capacity::{Capacity, Reserved};
use ledger::Ledger;
use post::Doorkeeper;
use run::{RunRecord, Stop};

pub use run::{End, Owner, OwnerKind, Run, StageAt, StartRun, Started};

/// The table to watch.
pub const TABLE: &str = "runs";

/// The mailbox's socket in the data directory.
const MAILBOX: &str = "mailbox.sock";

/// Starts, watches and ends runs.
pub struct Runs {
    config: Config,
    clock: Arc<dyn Clock>,
    records: Arc<dyn Records>,
    ledger: Ledger,
    capacity: Capacity,
    executor: Arc<dyn Executor>,
    identity: Arc<Identity>,
    mailbox: Mailbox,
    mailbox_path: PathBuf,
    deliveries: Mutex<Option<mpsc::Receiver<Delivery>>>,
}

impl Runs {
    /// Reads what is recorded and opens the mailbox; [`Runs::run`] does the rest.
    pub async fn open(
        backends: &Backends,
        config: &Config,
        executor: Arc<dyn Executor>,
        identity: Arc<Identity>,
    ) -> Result<Self, Error> {
        let ledger = Ledger::new(Arc::clone(&backends.records));
        let capacity = Capacity::new(executor.capability().memory_bytes);
        for record in ledger.list().await? {
            if record.run.end.is_none() {
                capacity.hold(&record.run.run_id, record.spec.limits.memory_bytes);
            }
        }
        let mailbox_path = config.data_dir.join(MAILBOX);
        let doorkeeper = Arc::new(Doorkeeper { ledger: ledger.clone() });
        let (mailbox, deliveries) = Mailbox::bind(&mailbox_path, doorkeeper)?;
        Ok(Self {
            config: config.clone(),
            clock: Arc::clone(&backends.clock),
            records: Arc::clone(&backends.records),
            ledger,
            capacity,
            executor,
            identity,
            mailbox,
            mailbox_path,
            deliveries: Mutex::new(Some(deliveries)),
        })
    }

    /// Keeps every recorded run and takes every report, until `shutdown`. Runs live on without it
    /// for a while and are adopted by the next. Called once.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let deliveries = self.deliveries.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(deliveries) = deliveries else { return };
        let taking = Arc::clone(&self).take_all(deliveries, shutdown.clone());
        let keeping = Arc::clone(&self).keep_all(shutdown);
        tokio::join!(taking, keeping);
        self.mailbox.shutdown().await;
    }

    /// A fresh run id: 32 hexadecimal digits, random.
    pub fn new_id() -> Result<String, Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|_| Error::Random)?;
        Ok(hex::encode(bytes))
    }

    /// Whether this host can run the program; asked before anything is accepted.
    pub fn can_run(&self, program: &Program) -> Result<(), Refused> {
        let trust = match program {
            Program::ImageClassification => Trust::OwnCode,
        };
        let needs = Needs { trust, allow_weaker_isolation: false };
        let admitted = self.executor.admit(&needs);
        admitted.map_err(|refusal| Refused { reason: refusal.reason, remedy: refusal.remedy })
    }

    /// What this host has and isolates with.
    pub fn capability(&self) -> Capability {
        self.executor.capability()
    }

    /// Records the run; it is started soon after. Idempotent by run id.
    pub async fn start(&self, start: StartRun) -> Result<Started, Error> {
        self.can_run(&start.spec.program).map_err(Error::Refused)?;
        let run_id = start.spec.run_id.clone();
        // It becomes a path.
        if run_id.len() != 32 || !run_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::RunId(run_id));
        }
        let needed_bytes = start.spec.limits.memory_bytes;
        let reserved = self.capacity.reserve(&run_id, needed_bytes);
        if let Reserved::No { free_bytes } = reserved {
            return Ok(Started::NoCapacity { needed_bytes, free_bytes });
        }
        let mut record = RunRecord::new(start, self.clock.now_ms());
        record.spec.generation = record.run.generation;
        record.spec.api_endpoint.clone_from(&self.config.api_endpoint);
        record.spec.region.clone_from(&self.config.region);
        let inserted = self.ledger.insert(&record).await;
        if reserved == Reserved::Yes && !matches!(inserted, Ok(true)) {
            self.capacity.release(&run_id);
        }
        inserted?;
        Ok(Started::Yes)
    }

    /// SIGTERM to the workload, SIGKILL after the grace. Recorded: it reaches the run even when
    /// the server or the connection is down now. No error where the run is unknown or ended.
    pub async fn stop(&self, run_id: &str, grace_secs: u64) -> Result<(), Error> {
        self.ledger
            .update(run_id, |record| {
                record.stop.get_or_insert(Stop { grace_secs });
            })
            .await?;
        self.order(run_id, &Order::Stop { grace_secs }).await
    }

    /// Kills everything of the run; nothing is uploaded.
    pub async fn abandon(&self, run_id: &str) -> Result<(), Error> {
        self.ledger.update(run_id, |record| record.abandoned = true).await?;
        Ok(())
    }

    pub async fn get(&self, run_id: &str) -> Result<Option<Run>, Error> {
        Ok(self.ledger.get(run_id).await?.map(|record| record.run))
    }

    /// The owner took the outcome: sessions, processes, directory and record go. Idempotent.
    pub async fn forget(&self, run_id: &str) -> Result<(), Error> {
        self.ledger.update(run_id, |record| record.forgotten = true).await?;
        Ok(())
    }

    /// Forgets every run that no owner names; called once at start, before owners reconcile.
    pub async fn sweep(&self, wanted: &HashSet<String>) -> Result<(), Error> {
        for record in self.ledger.list().await? {
            if !wanted.contains(&record.run.run_id) {
                self.forget(&record.run.run_id).await?;
            }
        }
        Ok(())
    }

    /// The Unix socket that leads to the workload's port 8080; it exists while the run is ready.
    pub fn http_socket(&self, run_id: &str) -> PathBuf {
        self.run_dir(run_id).join(layout::HTTP_SOCKET)
    }

    fn run_dir(&self, run_id: &str) -> PathBuf {
        self.config.data_dir.join("runs").join(run_id)
    }
}

/// What a record keeps of a token.
fn digest(token: &[u8; 32]) -> String {
    hex::encode(Sha256::digest(token))
}

/// This host cannot run a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}; {remedy}")]
pub struct Refused {
    pub reason: String,
    pub remedy: String,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this host cannot run it")]
    Refused(#[source] Refused),
    #[error("the record of a run is unreadable")]
    Record(#[source] serde_json::Error),
    #[error("run `{0}` changes faster than it can be written")]
    Contended(String),
    #[error("`{0}` is not a run id")]
    RunId(String),
    #[error("no random numbers")]
    Random,
    #[error("the directory of a run could not be made or removed")]
    Directory(#[source] std::io::Error),
    #[error("the executor failed")]
    Launch(#[from] LaunchError),
    #[error("the mailbox failed")]
    Mailbox(#[from] mailbox::Error),
    #[error("the session of a run could not be made or revoked")]
    Identity(#[from] identity::Error),
    #[error(transparent)]
    Store(#[from] kennel_store::records::Error),
}

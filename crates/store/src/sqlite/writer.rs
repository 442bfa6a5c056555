//! The thread that writes. A commit costs one sync of the disk however many batches share it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use crate::records::{Error, Expect, Revision, Write};
use crate::watches::Watches;

/// Batches that share a transaction: many more than ever wait at once, few enough to answer soon.
const GROUP_BATCHES_MAX: usize = 256;

/// Bytes of values after which a group is closed, so that the write-ahead log stays small.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(super) struct Job {
    pub writes: Vec<Write>,
    pub reply: oneshot::Sender<Result<Revision, Error>>,
}

pub(super) struct Writer {
    pub connection: Connection,
    pub revision: Revision,
    pub watches: Arc<Watches>,
}

/// What became of a batch of a committed group.
type Outcome = Result<Revision, Conflict>;

struct Conflict {
    table: &'static str,
    key: String,
}

impl Writer {
    /// Serves until the store is dropped and the queue is empty.
    pub fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            let mut bytes = value_bytes(&first);
            let mut group = vec![first];
            while group.len() < GROUP_BATCHES_MAX
                && bytes < GROUP_BYTES_MAX
                && let Ok(job) = queue.try_recv()
            {
                bytes = bytes.saturating_add(value_bytes(&job));
                group.push(job);
            }
            self.serve(group);
        }
    }

    /// Commits the group; where that fails, each batch alone, so that one that is too large for
    /// the disk does not take the others with it.
    fn serve(&mut self, group: Vec<Job>) {
        let batches: Vec<&[Write]> = group.iter().map(|job| job.writes.as_slice()).collect();
        let Ok(outcomes) = self.commit(&batches) else {
            return group.into_iter().for_each(|job| self.serve_alone(job));
        };
        for (job, outcome) in group.into_iter().zip(outcomes) {
            self.answer(job, outcome);
        }
    }

    fn serve_alone(&mut self, job: Job) {
        match self.commit(&[&job.writes]).map(|mut outcomes| outcomes.pop()) {
            Ok(Some(outcome)) => self.answer(job, outcome),
            Ok(None) => drop(job),
            // A caller that has gone needs no answer.
            Err(failure) => drop(job.reply.send(Err(super::error(failure)))),
        }
    }

    fn answer(&self, job: Job, outcome: Outcome) {
        let answer = match outcome {
            Ok(revision) => {
                self.watches.committed(revision, &job.writes);
                Ok(revision)
            }
            Err(Conflict { table, key }) => Err(Error::Conflict { table, key }),
        };
        // A caller that has gone needs no answer.
        drop(job.reply.send(answer));
    }

    /// One transaction. Every expectation of a batch is checked before its first write, so a
    /// conflict leaves nothing to undo; any other failure undoes the whole group.
    fn commit(&mut self, batches: &[&[Write]]) -> rusqlite::Result<Vec<Outcome>> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut revision = self.revision;
        let mut outcomes = Vec::with_capacity(batches.len());
        for writes in batches {
            if let Some(conflict) = first_conflict(&transaction, writes)? {
                outcomes.push(Err(conflict));
                continue;
            }
            revision += 1;
            for write in *writes {
                apply(&transaction, write, revision)?;
            }
            outcomes.push(Ok(revision));
        }
        if revision != self.revision {
            transaction
                .prepare_cached("UPDATE latest SET revision = ?1")?
                .execute([revision.cast_signed()])?;
        }
        transaction.commit()?;
        self.revision = revision;
        Ok(outcomes)
    }
}

fn value_bytes(job: &Job) -> usize {
    let bytes = |write: &Write| match write {
        Write::Put { value, .. } => value.len(),
        Write::Delete { .. } | Write::Check { .. } => 0,
    };
    job.writes.iter().map(bytes).sum()
}

fn first_conflict(connection: &Connection, writes: &[Write]) -> rusqlite::Result<Option<Conflict>> {
    for write in writes {
        let (Write::Put { table, key, expect, .. }
        | Write::Delete { table, key, expect }
        | Write::Check { table, key, expect }) = write;
        if *expect == Expect::Any {
            continue;
        }
        let found = connection
            .prepare_cached("SELECT revision FROM records WHERE tbl = ?1 AND key = ?2")?
            .query_row(params![table, key], |row| row.get::<_, i64>(0))
            .optional()?
            .map(i64::cast_unsigned);
        if !expect.holds(found) {
            return Ok(Some(Conflict { table, key: key.clone() }));
        }
    }
    Ok(None)
}

fn apply(connection: &Connection, write: &Write, revision: Revision) -> rusqlite::Result<()> {
    match write {
        Write::Put { table, key, value, .. } => connection
            .prepare_cached(
                "INSERT INTO records (tbl, key, value, revision) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (tbl, key)
                 DO UPDATE SET value = excluded.value, revision = excluded.revision",
            )?
            .execute(params![table, key, value, revision.cast_signed()]),
        Write::Delete { table, key, .. } => connection
            .prepare_cached("DELETE FROM records WHERE tbl = ?1 AND key = ?2")?
            .execute(params![table, key]),
        Write::Check { .. } => Ok(0),
    }
    .map(|_changed| ())
}

//! The records of runs: reading them, and changing one as a whole with the revision it was read at.

use std::sync::Arc;

use kennel_store::{Expect, Records, Write};

use super::run::RunRecord;
use super::{Error, TABLE};

/// Two writers meet on a record at most: its keeper and the mailbox. More misses than this in a
/// row mean that the store is broken.
const ATTEMPTS_MAX: usize = 32;

/// How many records one listing takes; runs are bounded by memory long before.
const PAGE: usize = 1000;

#[derive(Clone)]
pub(super) struct Ledger {
    records: Arc<dyn Records>,
}

impl Ledger {
    pub fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    pub async fn get(&self, run_id: &str) -> Result<Option<RunRecord>, Error> {
        let Some(record) = self.records.get(TABLE, run_id).await? else { return Ok(None) };
        Ok(Some(decode(&record.value)?))
    }

    pub async fn list(&self) -> Result<Vec<RunRecord>, Error> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(TABLE, "", after.as_deref(), PAGE).await?;
            let full = page.len() == PAGE;
            for record in &page {
                all.push(decode(&record.value)?);
            }
            after = page.into_iter().next_back().map(|record| record.key);
            if !full {
                return Ok(all);
            }
        }
    }

    /// True when the record was made, false where that run is recorded already.
    pub async fn insert(&self, record: &RunRecord) -> Result<bool, Error> {
        let write = Write::Put {
            table: TABLE,
            key: record.run.run_id.clone(),
            value: encode(record)?,
            expect: Expect::Absent,
        };
        match self.records.commit(vec![write]).await {
            Ok(_) => Ok(true),
            Err(kennel_store::records::Error::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Applies `change` to the newest version and stores it where it differs. Returns what is
    /// stored afterwards; `None` where there is no such run. `change` may be called again.
    pub async fn update(
        &self,
        run_id: &str,
        mut change: impl FnMut(&mut RunRecord) + Send,
    ) -> Result<Option<RunRecord>, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(record) = self.records.get(TABLE, run_id).await? else { return Ok(None) };
            let before = decode(&record.value)?;
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(Some(after));
            }
            let write = Write::Put {
                table: TABLE,
                key: run_id.to_owned(),
                value: encode(&after)?,
                expect: Expect::Revision(record.revision),
            };
            match self.records.commit(vec![write]).await {
                Ok(_) => return Ok(Some(after)),
                Err(kennel_store::records::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended(run_id.to_owned()))
    }

    pub async fn remove(&self, run_id: &str) -> Result<(), Error> {
        let write = Write::Delete { table: TABLE, key: run_id.to_owned(), expect: Expect::Any };
        self.records.commit(vec![write]).await?;
        Ok(())
    }
}

fn decode(value: &[u8]) -> Result<RunRecord, Error> {
    serde_json::from_slice(value).map_err(Error::Record)
}

fn encode(record: &RunRecord) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(record).map_err(Error::Record)
}

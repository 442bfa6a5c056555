//! A table of the record store that holds JSON documents of one type.

use std::marker::PhantomData;
use std::sync::Arc;

use kennel_store::{Expect, Records, Revision, Write, records};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How many records one listing takes at a time.
const PAGE: usize = 1_000;

pub(crate) struct Table<T> {
    records: Arc<dyn Records>,
    name: &'static str,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    pub fn new(records: Arc<dyn Records>, name: &'static str) -> Self {
        Self { records, name, of: PhantomData }
    }

    pub async fn get(&self, key: &str) -> Result<Option<(T, Revision)>, Error> {
        let Some(record) = self.records.get(self.name, key).await? else { return Ok(None) };
        Ok(Some((self.decode(key, &record.value)?, record.revision)))
    }

    pub async fn exists(&self, key: &str) -> Result<bool, Error> {
        Ok(self.records.get(self.name, key).await?.is_some())
    }

    pub async fn list(&self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(self.name, "", after.as_deref(), PAGE).await?;
            for record in &page {
                all.push(self.decode(&record.key, &record.value)?);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
                _ => return Ok(all),
            }
        }
    }

    pub fn put(&self, key: &str, value: &T, expect: Expect) -> Result<Write, Error> {
        let unreadable = |source| Error::Document { table: self.name, key: key.to_owned(), source };
        let value = serde_json::to_vec(value).map_err(unreadable)?;
        Ok(Write::Put { table: self.name, key: key.to_owned(), value, expect })
    }

    pub fn delete(&self, key: &str, expect: Expect) -> Write {
        Write::Delete { table: self.name, key: key.to_owned(), expect }
    }

    /// All writes or none.
    pub async fn commit(&self, writes: Vec<Write>) -> Result<(), Error> {
        self.records.commit(writes).await?;
        Ok(())
    }

    pub fn watch(&self) -> tokio::sync::watch::Receiver<Revision> {
        self.records.watch(self.name)
    }

    fn decode(&self, key: &str, value: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(value).map_err(|source| Error::Document {
            table: self.name,
            key: key.to_owned(),
            source,
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the document `{table}/{key}` cannot be read or written")]
    Document {
        table: &'static str,
        key: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the record store failed")]
    Store(#[from] records::Error),
}

impl Error {
    /// Whether an expectation of a commit did not hold.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(records::Error::Conflict { .. }))
    }
}

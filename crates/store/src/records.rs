//! Revisioned documents: what is to be remembered about everything that is not bulk data.

use async_trait::async_trait;

/// A number that grows with every commit to the store; a record carries that of its last write.
pub type Revision = u64;

/// One stored document. `value` is opaque here (the platform stores JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
}

/// What must hold of a key for a write to be made. Expectations speak of the state before the
/// batch: no write of a batch is seen by another's expectation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    Any,
    Absent,
    Revision(Revision),
}

impl Expect {
    /// Whether it holds of a key last written at `found` (`None`: the key is absent).
    pub fn holds(self, found: Option<Revision>) -> bool {
        match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Revision(revision) => found == Some(revision),
        }
    }
}

/// One write of a batch. `table` is a constant of the program, `key` any UTF-8 string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    Put {
        table: &'static str,
        key: String,
        value: Vec<u8>,
        expect: Expect,
    },
    /// Deleting an absent key with `Expect::Any` is no error.
    Delete {
        table: &'static str,
        key: String,
        expect: Expect,
    },
    /// Writes nothing; the batch fails unless the expectation holds.
    Check {
        table: &'static str,
        key: String,
        expect: Expect,
    },
}

/// Document storage. Cheap to share behind an `Arc`.
#[async_trait]
pub trait Records: Send + Sync + 'static {
    /// The record, or `None` where there is none.
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, Error>;

    /// Records whose key starts with `prefix` and is greater than `start_after` (where given), in
    /// ascending byte order of the key, at most `limit`.
    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, Error>;

    /// Makes all writes or none, and returns the revision they share. Durable on return.
    /// Fails with [`Error::Conflict`] naming the first expectation that did not hold.
    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, Error>;

    /// A counter that changes after each commit that touched the table: a receiver wakes,
    /// lists again and acts on what it finds.
    fn watch(&self, table: &'static str) -> tokio::sync::watch::Receiver<Revision>;
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("expectation on `{table}/{key}` does not hold")]
    Conflict { table: &'static str, key: String },
    #[error("the disk is full")]
    Full,
    #[error("the record store is shut down")]
    Closed,
    #[error("the record store failed")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

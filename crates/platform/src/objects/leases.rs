//! Keeps the bytes of overwritten objects until their readers are done, and tells the sweep which
//! writers were under way.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kennel_store::BlobId;
use tokio::sync::Notify;

/// Readers by unit: a blob's id or a manifest's. Held for moments only, never across an await.
#[derive(Default)]
pub(super) struct Leases {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    readers: HashMap<String, usize>,
    /// Units no record names any more that are still being read.
    doomed: HashMap<String, Vec<BlobId>>,
    /// What the last reader of a doomed unit left for the next deletion or tick.
    freed: Vec<BlobId>,
    /// Grows with every unit given up for deletion.
    discarded: u64,
}

/// Keeps a unit's blobs while it lives.
pub(super) struct Lease {
    leases: Arc<Leases>,
    unit: String,
}

impl Leases {
    /// A mark to compare with after a lease was taken: where it is unchanged, nothing was given
    /// up for deletion in between.
    pub fn mark(&self) -> u64 {
        self.locked().discarded
    }

    pub fn take(self: &Arc<Self>, unit: &str) -> Lease {
        *self.locked().readers.entry(unit.to_owned()).or_default() += 1;
        Lease { leases: self.clone(), unit: unit.to_owned() }
    }

    /// What may be deleted now that no record names the unit: its blobs where nobody reads them,
    /// and those that earlier readers left.
    pub fn discard(&self, unit: &str, blobs: Vec<BlobId>) -> Vec<BlobId> {
        let mut state = self.locked();
        state.discarded += 1;
        let mut deletable = std::mem::take(&mut state.freed);
        if state.readers.contains_key(unit) {
            state.doomed.insert(unit.to_owned(), blobs);
        } else {
            deletable.extend(blobs);
        }
        deletable
    }

    pub fn freed(&self) -> Vec<BlobId> {
        std::mem::take(&mut self.locked().freed)
    }

    pub fn doomed(&self) -> Vec<BlobId> {
        self.locked().doomed.values().flatten().cloned().collect()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.leases.locked();
        let left = match state.readers.get_mut(&self.unit) {
            Some(readers) => {
                *readers -= 1;
                *readers
            }
            None => 0,
        };
        if left == 0 {
            state.readers.remove(&self.unit);
            if let Some(blobs) = state.doomed.remove(&self.unit) {
                state.freed.extend(blobs);
            }
        }
    }
}

/// Writers from their first byte to their record. A blob that was there before a fence, and that
/// no record names once the fence is reached, belongs to nobody.
#[derive(Default)]
pub(super) struct Writers {
    state: Mutex<Active>,
    ended: Notify,
}

#[derive(Default)]
struct Active {
    next: u64,
    writers: BTreeSet<u64>,
}

pub(super) struct Writing {
    writers: Arc<Writers>,
    number: u64,
}

impl Writers {
    pub fn begin(self: &Arc<Self>) -> Writing {
        let mut state = self.locked();
        let number = state.next;
        state.next += 1;
        state.writers.insert(number);
        Writing { writers: self.clone(), number }
    }

    /// Waits until every writer that is under way now has ended.
    pub async fn fence(&self) {
        let fence = self.locked().next;
        loop {
            let ended = self.ended.notified();
            if self.locked().writers.first().is_none_or(|oldest| *oldest >= fence) {
                return;
            }
            ended.await;
        }
    }

    fn locked(&self) -> MutexGuard<'_, Active> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.writers.locked().writers.remove(&self.number);
        self.writers.ended.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(digit: char) -> BlobId {
        BlobId::parse(&digit.to_string().repeat(32)).unwrap()
    }

    #[test]
    fn a_unit_being_read_is_deleted_after_its_last_reader() {
        let leases = Arc::new(Leases::default());
        let first = leases.take("unit");
        let second = leases.take("unit");
        assert_eq!(leases.discard("unit", vec![blob('a')]), []);
        drop(first);
        assert_eq!(leases.freed(), []);
        assert_eq!(leases.doomed(), [blob('a')]);
        drop(second);
        assert_eq!(leases.discard("other", vec![blob('b')]), [blob('a'), blob('b')]);
    }

    #[tokio::test]
    async fn a_fence_waits_for_earlier_writers_only() {
        let writers = Arc::new(Writers::default());
        let early = writers.begin();
        let waiting = tokio::spawn({
            let writers = writers.clone();
            async move { writers.fence().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        let _late = writers.begin();
        drop(early);
        waiting.await.unwrap();
    }
}

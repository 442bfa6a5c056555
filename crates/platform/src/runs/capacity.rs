//! How much of the host's memory the runs under way may use.

use std::collections::HashMap;
use std::sync::Mutex;

/// Runs hold what their instance type was granted, from their record to their end.
#[derive(Debug)]
pub(super) struct Capacity {
    total_bytes: u64,
    held: Mutex<HashMap<String, u64>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reserved {
    Yes,
    /// This run holds its share already.
    Before,
    No {
        free_bytes: u64,
    },
}

impl Capacity {
    pub fn new(total_bytes: u64) -> Self {
        Self { total_bytes, held: Mutex::default() }
    }

    /// Reserves where it fits. One that asks for more than the whole host is let in alone: what a
    /// run is granted was cut to the host before, and rounding must not keep it out for ever.
    pub fn reserve(&self, run_id: &str, bytes: u64) -> Reserved {
        let mut held = self.lock();
        if held.contains_key(run_id) {
            return Reserved::Before;
        }
        let used = held.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
        let free_bytes = self.total_bytes.saturating_sub(used);
        if bytes > free_bytes && !held.is_empty() {
            return Reserved::No { free_bytes };
        }
        held.insert(run_id.to_owned(), bytes);
        Reserved::Yes
    }

    /// For runs found in the records: they run already, whether they fit or not.
    pub fn hold(&self, run_id: &str, bytes: u64) {
        self.lock().insert(run_id.to_owned(), bytes);
    }

    pub fn release(&self, run_id: &str) {
        self.lock().remove(run_id);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_how_much_is_free() {
        let capacity = Capacity::new(10);
        assert_eq!(capacity.reserve("a", 6), Reserved::Yes);
        assert_eq!(capacity.reserve("a", 6), Reserved::Before);
        assert_eq!(capacity.reserve("b", 6), Reserved::No { free_bytes: 4 });
        capacity.release("a");
        assert_eq!(capacity.reserve("b", 6), Reserved::Yes);
    }

    #[test]
    fn one_that_is_larger_than_the_host_runs_alone() {
        let capacity = Capacity::new(10);
        assert_eq!(capacity.reserve("a", 11), Reserved::Yes);
        assert_eq!(capacity.reserve("b", 1), Reserved::No { free_bytes: 0 });
    }
}

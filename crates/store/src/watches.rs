//! The wake-up counters of the tables, shared by the backends of `Records`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::records::{Revision, Write};

/// One counter a table. Tables are constants of the program, so their number is bounded.
pub(crate) struct Watches {
    state: Mutex<State>,
}

struct State {
    latest: Revision,
    senders: HashMap<&'static str, watch::Sender<Revision>>,
}

impl Watches {
    pub fn new(latest: Revision) -> Self {
        Self { state: Mutex::new(State { latest, senders: HashMap::new() }) }
    }

    pub fn subscribe(&self, table: &'static str) -> watch::Receiver<Revision> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = state.latest;
        state.senders.entry(table).or_insert_with(|| watch::Sender::new(latest)).subscribe()
    }

    /// Wakes the receivers of every table the batch wrote to.
    pub fn committed(&self, revision: Revision, writes: &[Write]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.latest = revision;
        for write in writes {
            let table = match write {
                Write::Put { table, .. } | Write::Delete { table, .. } => table,
                Write::Check { .. } => continue,
            };
            if let Some(sender) = state.senders.get(table) {
                sender.send_if_modified(|seen| std::mem::replace(seen, revision) != revision);
            }
        }
    }
}

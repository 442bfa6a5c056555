//! The thread that brings appended entries to the disk soon after they were written.
//!
//! It sleeps while nothing is appended, and one sync serves all appends to a stream in between.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The contract of `Streams` is one second; half of it is left to the disk.
const DELAY: Duration = Duration::from_millis(500);

pub(super) struct Syncer {
    work: Arc<Work>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Work {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By stream id, so bounded by the streams written to within the delay.
    unsynced: HashMap<String, Unsynced>,
    closing: bool,
}

struct Unsynced {
    tail: PathBuf,
    /// Whether the tail's name, and so the directories, are not on the disk either.
    renewed: bool,
}

impl Syncer {
    pub fn start(dir: PathBuf) -> io::Result<Self> {
        let work = Arc::new(Work::default());
        let shared = work.clone();
        let thread = thread::Builder::new()
            .name("streams-sync".to_owned())
            .spawn(move || shared.run(&dir))?;
        Ok(Self { work, thread: Some(thread) })
    }

    /// Notes that the stream was appended to; `renewed` where a file was made for it.
    pub fn appended(&self, id: &str, tail: Option<PathBuf>, renewed: bool) {
        let Some(tail) = tail else { return };
        let mut state = self.work.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.unsynced.get_mut(id) {
            Some(known) if !renewed => known.tail = tail,
            _ => {
                state.unsynced.insert(id.to_owned(), Unsynced { tail, renewed });
                self.work.changed.notify_one();
            }
        }
    }
}

impl Drop for Syncer {
    /// Syncs what is left and ends the thread.
    fn drop(&mut self) {
        self.work.state.lock().unwrap_or_else(PoisonError::into_inner).closing = true;
        self.work.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that syncs streams ended abnormally");
        }
    }
}

impl Work {
    fn run(&self, dir: &Path) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let idle = |state: &mut State| state.unsynced.is_empty() && !state.closing;
            state = self.changed.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner);
            let open = |state: &mut State| !state.closing;
            (state, _) = self
                .changed
                .wait_timeout_while(state, DELAY, open)
                .unwrap_or_else(PoisonError::into_inner);
            let closing = state.closing;
            let due = std::mem::take(&mut state.unsynced);
            drop(state);
            for (id, Unsynced { tail, renewed }) in due {
                if let Err(error) = sync_to_disk(dir, &tail, renewed) {
                    tracing::error!(stream = id, %error, "a stream could not be synced");
                }
            }
            if closing {
                return;
            }
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Syncs a stream's last segment, and its name where asked for. A stream that has been deleted
/// needs no sync.
pub(super) fn sync_to_disk(dir: &Path, tail: &Path, names_too: bool) -> io::Result<()> {
    let synced = || -> io::Result<()> {
        File::open(tail)?.sync_data()?;
        if names_too {
            if let Some(stream) = tail.parent() {
                File::open(stream)?.sync_all()?;
            }
            File::open(dir)?.sync_all()?;
        }
        Ok(())
    };
    match synced() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the promise is one of real time")]
    fn appended_stream_is_synced_within_a_second() {
        let dir = tempfile::tempdir().unwrap();
        let tail = dir.path().join("tail");
        File::create(&tail).unwrap();
        let syncer = Syncer::start(dir.path().to_owned()).unwrap();
        let appended = Instant::now();
        syncer.appended("log", Some(tail), true);
        while !syncer.work.state.lock().unwrap().unsynced.is_empty() {
            assert!(appended.elapsed() < Duration::from_secs(1));
            thread::yield_now();
        }
    }
}

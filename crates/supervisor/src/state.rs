//! What must survive the supervisor: how far the work came, and the reports nobody acknowledged.
//!
//! A supervisor that is started in the directory of an earlier one never repeats work that had
//! begun: it goes on where that one wrote that it was.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kennel_exec::{Exit, run_dir};
use kennel_wire::run::{Event, Report, StopReason, layout};
use serde::{Deserialize, Serialize};

/// How far the work came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// The workload was not started: everything may be done from the beginning.
    Fresh,
    /// The workload was started, and it is not known that it ended.
    Working,
    /// The workload ended like this; its artifacts are still to be uploaded.
    Exited { exit: Exit, stopped: Option<StopReason> },
    /// The last report was written.
    Ended,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Content {
    phase: Phase,
    /// The sequence number of the last report that was made.
    sequence: u64,
    unacknowledged: Vec<Report>,
}

/// The state file; each change is on disk before the call returns.
#[derive(Debug)]
pub(crate) struct State {
    run_dir: PathBuf,
    generation: u64,
    content: Mutex<Content>,
}

impl State {
    pub fn open(run_dir: &Path, generation: u64) -> std::io::Result<Self> {
        let content = match std::fs::read(run_dir.join(layout::STATE)) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Content { phase: Phase::Fresh, sequence: 0, unacknowledged: Vec::new() }
            }
            Err(error) => return Err(error),
        };
        Ok(Self { run_dir: run_dir.to_owned(), generation, content: Mutex::new(content) })
    }

    pub fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    pub fn enter(&self, phase: Phase) -> std::io::Result<()> {
        self.change(|content| content.phase = phase)
    }

    /// Numbers and keeps a report. `Event::Ended` also ends the work.
    pub fn add(&self, event: Event, at_ms: i64) -> std::io::Result<Report> {
        let mut added = None;
        self.change(|content| {
            content.sequence += 1;
            if matches!(event, Event::Ended { .. }) {
                content.phase = Phase::Ended;
            }
            let sequence = content.sequence;
            let report = Report { generation: self.generation, sequence, at_ms, event };
            content.unacknowledged.push(report.clone());
            added = Some(report);
        })?;
        added.ok_or_else(|| std::io::Error::other("no report was made"))
    }

    /// Everything up to `sequence` was recorded by the server.
    pub fn acknowledge(&self, sequence: u64) -> std::io::Result<()> {
        self.change(|content| content.unacknowledged.retain(|report| report.sequence > sequence))
    }

    pub fn unacknowledged(&self) -> Vec<Report> {
        self.lock().unacknowledged.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Content)) -> std::io::Result<()> {
        let mut content = self.lock();
        let mut changed = content.clone();
        change(&mut changed);
        let bytes = serde_json::to_vec(&changed)?;
        run_dir::write_now(&self.run_dir, layout::STATE, &bytes)?;
        *content = changed;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use kennel_wire::run::{Outcome, Stage};

    use super::*;

    #[test]
    fn a_successor_finds_what_was_not_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::open(dir.path(), 3).unwrap();
        let event = Event::Stage { stage: Stage::Downloading, message: "m".to_owned() };
        assert_eq!(state.add(event, 5).unwrap().sequence, 1);
        state.enter(Phase::Working).unwrap();
        let outcome = Outcome::Failed { reason: "r".to_owned() };
        assert_eq!(state.add(Event::Ended { outcome }, 6).unwrap().sequence, 2);
        state.acknowledge(1).unwrap();
        let next = State::open(dir.path(), 3).unwrap();
        assert!(matches!(next.phase(), Phase::Ended));
        let left = next.unacknowledged();
        assert_eq!(left.iter().map(|report| report.sequence).collect::<Vec<_>>(), [2]);
        assert_eq!(left[0].generation, 3);
    }
}

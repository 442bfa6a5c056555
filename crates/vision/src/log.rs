//! The one way to standard output: whole lines, flushed, so that metrics arrive when they happen.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes lines to standard output.
///
/// A reader that went away must not stop a training run whose artifacts are still wanted, so the
/// first write that fails silences the log instead of ending the program.
#[derive(Debug, Default)]
pub struct Log {
    broken: AtomicBool,
}

impl Log {
    /// Writes one line. Line breaks inside become spaces: a log event is a line.
    pub fn line(&self, text: &str) {
        if self.broken.load(Ordering::Relaxed) {
            return;
        }
        let mut line = text.replace(['\n', '\r'], " ");
        line.push('\n');
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(line.as_bytes()).and_then(|()| stdout.flush());
        if written.is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

//! Bars and spinners for people at a terminal; single lines for everything else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::printer;

/// Progress of something counted. On a terminal a bar; elsewhere one line at each tenth.
pub struct Counter {
    bar: Option<ProgressBar>,
    label: String,
    total: u64,
    tenth: u64,
}

impl Counter {
    pub fn start(label: &str, total: u64) -> Self {
        let bar = printer::stderr_is_terminal().then(|| {
            let style = ProgressStyle::with_template("  {msg} {wide_bar} {pos}/{len} {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(label.to_owned())
        });
        Self { bar, label: label.to_owned(), total, tenth: 0 }
    }

    pub fn at(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        let tenth = done.saturating_mul(10).checked_div(self.total).unwrap_or(10);
        if tenth > self.tenth {
            self.tenth = tenth;
            printer::remark(&format!("  {} {done}/{}", self.label, self.total));
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Waiting for something that has no count. On a terminal a spinner whose text may change;
/// elsewhere one line for each new text.
pub struct Waiting {
    bar: Option<ProgressBar>,
    text: String,
}

impl Waiting {
    pub fn start(text: &str) -> Self {
        let bar = printer::stderr_is_terminal().then(ProgressBar::new_spinner);
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let mut waiting = Self { bar, text: String::new() };
        waiting.now(text);
        waiting
    }

    pub fn now(&mut self, text: &str) {
        if text == self.text {
            return;
        }
        text.clone_into(&mut self.text);
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => printer::remark(&format!("  {text}")),
        }
    }

    /// A line that stays above the spinner.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| printer::remark(text)),
            None => printer::remark(text),
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

//! The workload's output on its way to CloudWatch Logs.
//!
//! Lines are read as they come, kept in a bounded queue and shipped in batches, in order. When the
//! queue is full the pipe is not read: the workload waits rather than memory grows or lines are
//! lost. A batch that was not answered is sent again; a server that died between its append and
//! its answer therefore shows those lines twice, never not at all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use kennel_client::{Client, Error, LOGS};
use kennel_wire::run::LogTarget;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::clock::now_ms;
use crate::limits::{
    LOG_BATCH_BYTES_MAX, LOG_BATCH_EVENTS_MAX, LOG_DRAIN_MAX, LOG_EVENT_BYTES_MAX, LOG_LINGER,
    LOG_QUEUE_LINES, TAIL_LINES,
};

/// CloudWatch counts this for each event beside its message.
const EVENT_OVERHEAD_BYTES: usize = 26;

const READ_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Line {
    timestamp: i64,
    message: String,
}

/// Takes lines for one log stream.
pub(crate) struct Log {
    queue: mpsc::Sender<Line>,
    tail: Arc<Mutex<VecDeque<String>>>,
    shipper: JoinHandle<()>,
}

/// Where pipes and stages put their lines.
#[derive(Clone)]
pub(crate) struct LogWriter {
    queue: mpsc::Sender<Line>,
    tail: Arc<Mutex<VecDeque<String>>>,
}

impl Log {
    pub fn open(client: Client, target: LogTarget) -> Self {
        let (queue, lines) = mpsc::channel(LOG_QUEUE_LINES);
        let shipper = tokio::spawn(Shipper { client, target }.run(lines));
        Self { queue, tail: Arc::default(), shipper }
    }

    pub fn writer(&self) -> LogWriter {
        LogWriter { queue: self.queue.clone(), tail: Arc::clone(&self.tail) }
    }

    /// Waits until everything was shipped. All writers have to be gone.
    pub async fn finish(self) {
        drop(self.queue);
        let mut shipper = self.shipper;
        if timeout(LOG_DRAIN_MAX, &mut shipper).await.is_err() {
            tracing::warn!("the last lines of the log could not be shipped in time");
            shipper.abort();
        }
    }
}

impl LogWriter {
    /// A sentence of the supervisor itself.
    pub async fn say(&self, message: impl Into<String>) {
        self.put(message.into()).await;
    }

    /// Reads a pipe to its end.
    pub async fn take(self, mut pipe: impl AsyncRead + Unpin) {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0_u8; READ_BYTES];
        loop {
            let read = match pipe.read(&mut buffer).await {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) => {
                    tracing::warn!(%error, "the workload's output cannot be read");
                    break;
                }
            };
            for line in splitter.push(buffer.get(..read).unwrap_or_default()) {
                self.put_output(line).await;
            }
        }
        if let Some(line) = splitter.rest() {
            self.put_output(line).await;
        }
    }

    /// The last lines of the workload, for its failure reason.
    pub fn tail(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    async fn put_output(&self, message: String) {
        {
            let mut tail = self.lock();
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(message.chars().take(crate::limits::FAILURE_CHARS_MAX).collect());
        }
        self.put(message).await;
    }

    async fn put(&self, message: String) {
        // CloudWatch takes no empty events.
        let message = if message.is_empty() { " ".to_owned() } else { message };
        let _closed = self.queue.send(Line { timestamp: now_ms(), message }).await;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts bytes into lines; a line longer than an event may be becomes several.
#[derive(Debug, Default)]
struct Splitter {
    pending: Vec<u8>,
}

impl Splitter {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(piece);
            if self.pending.last() == Some(&b'\n') {
                self.pending.pop();
                self.cut(&mut lines);
                lines.push(text(&std::mem::take(&mut self.pending)));
            } else {
                self.cut(&mut lines);
            }
        }
        lines
    }

    /// Takes full events off the front while more than one is pending.
    fn cut(&mut self, lines: &mut Vec<String>) {
        while self.pending.len() > LOG_EVENT_BYTES_MAX {
            let boundary = (0..4)
                .map(|back| LOG_EVENT_BYTES_MAX - back)
                .find(|at| self.pending.get(*at).is_none_or(|byte| byte & 0xC0 != 0x80));
            let rest = self.pending.split_off(boundary.unwrap_or(LOG_EVENT_BYTES_MAX));
            lines.push(text(&std::mem::replace(&mut self.pending, rest)));
        }
    }

    fn rest(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| text(&std::mem::take(&mut self.pending)))
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

struct Shipper {
    client: Client,
    target: LogTarget,
}

impl Shipper {
    async fn run(self, mut lines: mpsc::Receiver<Line>) {
        let mut held = None;
        loop {
            let first = match held.take() {
                Some(line) => line,
                None => match lines.recv().await {
                    Some(line) => line,
                    None => return,
                },
            };
            let mut batch = Batch::default();
            batch.add(first);
            let until = Instant::now() + LOG_LINGER;
            while held.is_none() {
                match timeout_at(until, lines.recv()).await {
                    Ok(Some(line)) if batch.takes(&line) => batch.add(line),
                    Ok(Some(line)) => held = Some(line),
                    Ok(None) | Err(_) => break,
                }
            }
            self.ship(batch).await;
        }
    }

    /// The client repeats what may pass; what then still fails costs these lines, and says so.
    async fn ship(&self, batch: Batch) {
        let lines = batch.lines.len();
        let result = match self.put(&batch).await {
            // Whoever started the run makes the stream; it may have been deleted meanwhile.
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                match self.make().await {
                    Ok(()) => self.put(&batch).await,
                    Err(error) => Err(error),
                }
            }
            other => other,
        };
        if let Err(error) = result {
            tracing::warn!(lines, error = %error.chain(), "lines of the workload were not logged");
        }
    }

    async fn make(&self) -> Result<(), Error> {
        let stream =
            json!({ "logGroupName": self.target.group, "logStreamName": self.target.stream });
        match self.create("CreateLogStream", &stream).await {
            Err(error) if error.code() == Some("ResourceNotFoundException") => {
                let group = json!({ "logGroupName": self.target.group });
                self.create("CreateLogGroup", &group).await?;
                self.create("CreateLogStream", &stream).await
            }
            other => other,
        }
    }

    async fn create(&self, operation: &str, input: &Value) -> Result<(), Error> {
        match self.client.call_json::<_, Value>(&LOGS, operation, input).await {
            Err(error) if error.code() == Some("ResourceAlreadyExistsException") => Ok(()),
            other => other.map(drop),
        }
    }

    async fn put(&self, batch: &Batch) -> Result<(), Error> {
        let input = json!({
            "logGroupName": self.target.group,
            "logStreamName": self.target.stream,
            "logEvents": batch.lines,
        });
        self.client.call_json::<_, Value>(&LOGS, "PutLogEvents", &input).await.map(drop)
    }
}

#[derive(Debug, Default)]
struct Batch {
    lines: Vec<Line>,
    bytes: usize,
}

impl Batch {
    fn takes(&self, line: &Line) -> bool {
        self.lines.len() < LOG_BATCH_EVENTS_MAX
            && self.bytes + line.message.len() + EVENT_OVERHEAD_BYTES <= LOG_BATCH_BYTES_MAX
    }

    /// Two pipes queue lines that were stamped before they had a place, and the clock may step
    /// back: CloudWatch refuses a whole call whose events are not in chronological order.
    fn add(&mut self, mut line: Line) {
        if let Some(last) = self.lines.last() {
            line.timestamp = line.timestamp.max(last.timestamp);
        }
        self.bytes += line.message.len() + EVENT_OVERHEAD_BYTES;
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_wherever_the_pipe_cuts_them() {
        let mut splitter = Splitter::default();
        assert_eq!(splitter.push(b"one\r\ntw"), ["one"]);
        assert_eq!(splitter.push(b"o\n\nthree"), ["two", ""]);
        assert_eq!(splitter.rest().as_deref(), Some("three"));
        assert_eq!(splitter.rest(), None);
    }

    #[test]
    fn a_line_longer_than_an_event_becomes_several_without_cutting_a_character() {
        let mut splitter = Splitter::default();
        let long = "ä".repeat(LOG_EVENT_BYTES_MAX);
        let mut lines = splitter.push(long.as_bytes());
        lines.extend(splitter.push(b"\n"));
        assert!(lines.iter().all(|line| line.len() <= LOG_EVENT_BYTES_MAX && !line.is_empty()));
        assert_eq!(lines.concat(), long);
    }

    #[test]
    fn a_batch_is_in_chronological_order_whatever_the_clock_did() {
        let mut batch = Batch::default();
        for timestamp in [5, 3, 7, 6] {
            batch.add(Line { timestamp, message: "x".to_owned() });
        }
        let stamps: Vec<i64> = batch.lines.iter().map(|line| line.timestamp).collect();
        assert_eq!(stamps, [5, 5, 7, 7]);
    }

    #[test]
    fn batches_stay_within_the_bounds_of_one_call() {
        let line = |bytes: usize| Line { timestamp: 0, message: "x".repeat(bytes) };
        let mut batch = Batch::default();
        while batch.takes(&line(LOG_EVENT_BYTES_MAX)) {
            batch.add(line(LOG_EVENT_BYTES_MAX));
        }
        assert_eq!(batch.lines.len(), 4);
        let mut batch = Batch::default();
        while batch.takes(&line(1)) {
            batch.add(line(1));
        }
        assert_eq!(batch.lines.len(), LOG_BATCH_EVENTS_MAX);
    }
}

//! Every bound of a supervisor with the reason for its number.

use std::time::Duration;

/// Without a server for so long, the workload is ended: nobody would ever ask for its result.
pub(crate) const SERVER_AWAY_MAX: Duration = Duration::from_secs(60);

/// From start to the server's welcome; a server that is alive answers in milliseconds.
pub(crate) const WELCOME_TIMEOUT: Duration = SERVER_AWAY_MAX;

/// A report without an acknowledgement is sent again after this time.
pub(crate) const RESEND_AFTER: Duration = Duration::from_secs(5);

/// One frame into the mailbox; longer means that the connection is dead.
pub(crate) const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// One S3 or Logs call, until its answer begins.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Answers that say "not now".
pub(crate) const CALL_ATTEMPTS: u32 = 6;

/// Objects that are fetched at the same time: enough that small files keep both sides busy.
pub(crate) const DOWNLOADS_AT_ONCE: usize = 16;

/// Packed objects of one channel unpack to this at most, all together: a few megabytes of gzip would
/// fill the disk of every run otherwise. A job's own volume is not known here; AWS's examples ask
/// for 30 to 50 GB.
pub(crate) const CHANNEL_UNPACKED_BYTES_MAX: u64 = 64 << 30;

/// A manifest holds a line a file; this is a million of them.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// Files of one channel: each costs memory for its name here.
pub(crate) const CHANNEL_FILES_MAX: usize = 5_000_000;

/// What a file name may have on Linux.
pub(crate) const NAME_BYTES_MAX: usize = 255;

/// CloudWatch's bound of one event less the 26 bytes it counts for each.
pub(crate) const LOG_EVENT_BYTES_MAX: usize = (256 << 10) - 26;

/// CloudWatch's bounds of one PutLogEvents call.
pub(crate) const LOG_BATCH_EVENTS_MAX: usize = 10_000;
pub(crate) const LOG_BATCH_BYTES_MAX: usize = 1 << 20;

/// Lines that wait for the log: the workload is held back by its full pipe after that.
pub(crate) const LOG_QUEUE_LINES: usize = 4_096;

/// A line is shipped at most this long after it was written, so that people see it live.
pub(crate) const LOG_LINGER: Duration = Duration::from_millis(100);

/// After its end, what the workload wrote has this long to arrive in the log.
pub(crate) const LOG_DRAIN_MAX: Duration = Duration::from_secs(90);

/// The last lines of a workload that are kept for its failure reason.
pub(crate) const TAIL_LINES: usize = 5;

/// AWS's bound of FailureReason, in characters.
pub(crate) const FAILURE_CHARS_MAX: usize = 1_024;

/// What a workload gets between SIGTERM and SIGKILL when its time is up: AWS's own number.
pub(crate) const MAX_RUNTIME_GRACE_SECS: u64 = 120;

/// Chunks of an archive on their way from the packing thread to the upload.
pub(crate) const ARCHIVE_CHUNKS: usize = 16;
pub(crate) const ARCHIVE_CHUNK_BYTES: usize = 256 << 10;

/// Deeper trees than this are no model; the bound keeps open directories few.
pub(crate) const TREE_DEPTH_MAX: usize = 64;

/// Checkpoints are looked at for changes this often.
pub(crate) const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);

/// A model artifact unpacks to this at most: AWS's instances have no larger volume by default.
pub(crate) const MODEL_UNPACKED_BYTES_MAX: u64 = 100 << 30;
pub(crate) const MODEL_FILES_MAX: usize = 1_000_000;

/// Between two looks at /ping, before and after it answered.
pub(crate) const PING_STARTING: Duration = Duration::from_millis(50);
pub(crate) const PING_SERVING: Duration = Duration::from_secs(2);

/// A /ping that takes longer failed.
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(5);

/// Failed pings in a row until a replica counts as not ready.
pub(crate) const PING_FAILURES_MAX: u32 = 3;

/// Connections of one workload to the outside at the same time.
pub(crate) const RELAY_CONNECTIONS_MAX: usize = 64;

/// The head of a CONNECT request, and how long it may take.
pub(crate) const CONNECT_HEAD_BYTES_MAX: usize = 8 << 10;
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A relayed connection on which nothing moves in either direction is closed.
pub(crate) const RELAY_IDLE_MAX: Duration = Duration::from_secs(300);

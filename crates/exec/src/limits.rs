//! Every bound of this crate with the reason for its number.

use std::time::Duration;

/// A stage message carries an environment and a list of binds; 4 MiB is twice the kernel's own
/// bound on arguments and environment.
pub(crate) const STAGE_MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Starting a sandbox takes some ten milliseconds; a loaded machine may need a second. After this
/// the stage is taken for dead.
pub(crate) const STAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A supervisor acknowledges before it does any work of its own, so that only the start of a
/// process is waited for.
pub(crate) const SUPERVISOR_ACK_TIMEOUT: Duration = Duration::from_secs(20);

/// SIGKILL takes effect at once except for a process in uninterruptible sleep.
pub(crate) const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How often something that cannot be waited for is looked at: an adopted supervisor, a process
/// under SIGKILL.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// How often the life of a supervisor is checked while somebody waits for its end.
pub(crate) const GONE_INTERVAL: Duration = Duration::from_millis(200);

/// Without cgroups the resident set is polled. A process fills memory at some gigabytes a second,
/// so this interval lets it overshoot by about fifty megabytes.
pub(crate) const RESIDENT_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Connections open at once through one relay: more than an endpoint replica may have requests in
/// flight, few enough that a workload cannot exhaust the init's descriptors.
pub(crate) const RELAY_CONNECTIONS_MAX: usize = 512;

/// A relay's far side is a socket of this machine; it accepts at once or not at all.
pub(crate) const RELAY_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Frames waiting for one slow reader before the sender has to wait.
pub(crate) const MAILBOX_QUEUE_FRAMES: usize = 64;

/// The first frame of a connection has to come within this time, so that a silent stranger does
/// not hold a connection.
pub(crate) const MAILBOX_HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A frame is written to a Unix socket whose reader is alive, or the connection is given up.
pub(crate) const MAILBOX_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Supervisors of one machine: one for each host, replica and function environment.
pub(crate) const MAILBOX_CONNECTIONS_MAX: usize = 4096;

/// Reconnecting starts quickly, since a restarted server is back within a second, and slows down
/// to once a second.
pub(crate) const MAILBOX_BACKOFF_MIN: Duration = Duration::from_millis(25);
pub(crate) const MAILBOX_BACKOFF_MAX: Duration = Duration::from_secs(1);

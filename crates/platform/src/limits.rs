//! Every bound of the platform with the reason for its number.

/// Tags of one resource: AWS's own limit.
pub const TAGS_OF_A_RESOURCE_MAX: usize = 50;

/// How often a request that lost a race against another writer reads and writes again. A loser
/// means that another won, so this many in a row need as many concurrent writers of one record.
pub const COMMIT_ATTEMPTS_MAX: usize = 16;

/// Longest a training job waits for memory, unless its MaxPendingTimeInSeconds says otherwise:
/// long enough for the job before it to end, short enough that a person who waits learns why.
pub const CAPACITY_WAIT_SECS: u64 = 3_600;

/// Longest the start of a run is tried again after errors that may pass.
pub const START_TRIES_SECS: u64 = 300;

/// What a stopped workload gets between SIGTERM and SIGKILL: AWS's own number.
pub const STOP_GRACE_SECS: u64 = 120;

/// Training jobs the reconciler works on at the same time: one slow one does not hold back the
/// others, and a restart with many does not start all of them at once.
pub const TRAINING_STEPS_AT_ONCE: usize = 8;

/// Longest one pass over one training job may take before it is tried again.
pub const TRAINING_STEP_SECS: u64 = 60;

/// State changes of one job in one pass: above the length of a job's life, so that it only ends a
/// loop that should not be.
pub const TRAINING_MOVES_MAX: usize = 16;

/// Records read at a time where a whole table is gone through.
pub const SCAN_RECORDS: usize = 500;

/// Log lines taken at a time for metrics, so that a chatty job yields to others.
pub const METRIC_LINES_AT_ONCE: usize = 500;

/// Bytes of one log line that metric patterns see; a longer line is no metric.
pub const METRIC_LINE_BYTES_MAX: usize = 8 << 10;

/// Memory of one compiled metric pattern: far above what a pattern of 500 characters needs unless
/// it multiplies repetitions.
pub const METRIC_PATTERN_BYTES_MAX: usize = 1 << 20;

/// AWS's bound of FailureReason, in characters.
pub const FAILURE_REASON_CHARS_MAX: usize = 1_024;

/// The start of a manifest in which its `{"prefix": ...}` must stand: S3 URIs have 1,024
/// characters at most.
pub const MANIFEST_HEAD_BYTES: u64 = 8 << 10;

/// AWS's limit of an object's key.
pub const OBJECT_KEY_BYTES_MAX: usize = 1024;

/// AWS's limit of one body, a part of an upload included: 5 GiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 30;

/// AWS's limit of an upload's parts.
pub const PART_NUMBER_MAX: u32 = 10_000;

/// AWS's least size of a part that is not the last: 5 MiB.
pub const PART_BYTES_MIN: u64 = 5 << 20;

/// Randomness of an upload id: nobody guesses the upload of somebody else.
pub const UPLOAD_ID_BYTES: usize = 16;

/// Writers of one object that may get in each other's way before one gives up. Each round lets at
/// least one of them through, and clients rarely have more connections than this.
pub const OBJECT_COMMIT_ATTEMPTS: usize = 64;

/// Records read at once by a listing: AWS's largest page and the look beyond it.
pub const LIST_READ_MAX: usize = 1001;

/// Records read at once where a delimiter may hide most of them.
pub const LIST_READ_MIN: usize = 64;

/// How often the bytes late readers left are deleted; they cost disk, nothing else.
pub const OBJECTS_TICK: std::time::Duration = std::time::Duration::from_secs(30);

/// Starts of a replica before a new fleet is given up: one for bad luck and one more, so that a
/// broken model is known in seconds.
pub const REPLICA_START_ATTEMPTS_MAX: u32 = 3;

/// First and longest pause before a replica is started again; the pause doubles in between.
pub const REPLICA_BACKOFF_MS_MIN: i64 = 1_000;
pub const REPLICA_BACKOFF_MS_MAX: i64 = 60_000;

/// A replica that was ready for this long starts from the shortest pause when it dies.
pub const REPLICA_STABLE_MS: i64 = 60_000;

/// How long a model artifact may take to arrive where the variant says nothing: 5 GB from a disk
/// next door take far less.
pub const REPLICA_DOWNLOAD_SECS: u32 = 1_200;

/// How long /ping may take to answer where the variant says nothing: AWS's eight minutes.
pub const REPLICA_STARTUP_SECS: u32 = 480;

/// On top of both, for the supervisor to start and to say itself what went wrong.
pub const REPLICA_MARGIN_SECS: u32 = 30;

/// Longest a replica that was ready once may leave /ping unanswered before another takes its
/// place. No request is sent to it meanwhile, so whatever kept it busy ends within the 60 s that
/// an invocation may take.
pub const REPLICA_UNREADY_MS_MAX: i64 = 60_000;

/// Longest a new fleet waits for memory: an update needs it beside what serves, and a person who
/// waits for an endpoint looks within minutes.
pub const REPLICA_CAPACITY_WAIT_MS: i64 = 300_000;

/// Longest a retired replica keeps serving requests it had: a little more than the 60 s that an
/// invocation may take.
pub const REPLICA_DRAIN_MS: i64 = 65_000;

/// What a serving workload gets between SIGTERM and SIGKILL: AWS's own number for endpoints.
pub const REPLICA_STOP_GRACE_SECS: u64 = 30;

/// A run that has not ended this long after it should have is killed with its supervisor.
pub const REPLICA_ABANDON_MS: i64 = REPLICA_DRAIN_MS + 60_000;

/// Requests one replica works on at a time; more are refused rather than queued without bound.
pub const REPLICA_IN_FLIGHT_MAX: u32 = 256;

/// Writes and effects of one endpoint in one pass: far above what a fleet of the largest size
/// needs, so that it only ends a loop that should not be.
pub const ENDPOINT_STEPS_MAX: usize = 64;

/// Instances of one variant. A machine holds fewer; the bound keeps one request small.
pub const VARIANT_INSTANCES_MAX: i64 = 100;

/// Supervisors of one run that may vanish before it counts as lost: one for a bad moment and one
/// more. A supervisor that follows another reports what that one left; it repeats no work.
pub const RUN_LAUNCHES_MAX: usize = 3;

/// Tries to start a supervisor, a second apart: out of processes or memory may pass, the rest not.
pub const RUN_START_FAILURES_MAX: u32 = 10;

/// What a supervisor gets to exit by itself after its last report was taken; it has nothing left
/// to do but to remove its lock.
pub const RUN_SUPERVISOR_EXIT_SECS_MAX: u64 = 5;

/// How long one session of a run is valid: AWS's own default for roles.
pub const RUN_SESSION_SECS: u64 = 3_600;

/// A session with less than this left is replaced: half of it, so that a server that is away for
/// minutes leaves no run without a valid one.
pub const RUN_SESSION_RENEW_SECS: u64 = 1_800;

/// Sessions in use at a time. Each run has one, and no machine has this many runs; all of them are
/// in memory.
pub const SESSIONS_MAX: usize = 10_000;

/// The longest a role's session may last: AWS's own twelve hours.
pub const SESSION_SECS_MAX: u64 = 12 * 3_600;

/// How long an expired session can still be told from an unknown one.
pub const EXPIRED_SESSION_KEPT_MS: i64 = 3_600_000;

/// Bytes of one log stream. A job that prints a line a millisecond for an hour stays below; what
/// is beyond is a loop that would fill the disk.
pub const LOG_STREAM_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Streams of one log group: some years of daily jobs. All of their names are read at a time.
pub const LOG_STREAMS_OF_A_GROUP_MAX: usize = 20_000;

/// Bytes of messages on one page of events: AWS's 1 MB.
pub const LOG_PAGE_BYTES_MAX: usize = 1024 * 1024;

/// What AWS counts for each event besides its message.
pub const LOG_EVENT_OVERHEAD_BYTES: usize = 26;

/// Events read from a stream at a time.
pub const LOG_READ_ENTRIES: usize = 2_000;

/// Events held of each stream of a search: there may be thousands of streams.
pub const LOG_MERGE_ENTRIES: usize = 64;

/// How often events past their retention are thrown away; retention counts days.
pub const LOG_SWEEP_TICK: std::time::Duration = std::time::Duration::from_secs(3_600);

/// A run's session policy: what the policy engine reads of one document.
pub const SESSION_POLICY_BYTES_MAX: usize = 16 << 10;

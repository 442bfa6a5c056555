//! What the container contract says about the host: where things lie and how many cores there are.

use std::env;
use std::path::PathBuf;

/// Above this many workers memory grows and speed does not.
const THREADS_MAX: usize = 64;

/// `SAGEMAKER_BASE_DIR`, or where a container has it.
pub fn base_directory() -> PathBuf {
    env::var_os("SAGEMAKER_BASE_DIR")
        .filter(|value| !value.is_empty())
        .map_or_else(|| PathBuf::from("/opt/ml"), PathBuf::from)
}

/// Cores that may be used: what the system allows, and no more than `SM_NUM_CPUS` says.
pub fn threads() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let given: Option<usize> =
        env::var("SM_NUM_CPUS").ok().and_then(|value| value.trim().parse().ok());
    given.unwrap_or(allowed).min(allowed).clamp(1, THREADS_MAX)
}

//! What the person who starts the server may choose.

use std::path::PathBuf;

#[derive(Debug, Clone)]
pub struct Config {
    /// Twelve digits.
    pub account: String,
    pub region: String,
    /// Where workloads reach the API: `http://127.0.0.1:4566`.
    pub api_endpoint: String,
    /// Holds everything the server keeps; mode 0700.
    pub data_dir: PathBuf,
}

//! What every store promises, shown on every backend, and what the ones on disk promise beyond:
//! crashes, torn tails, a full disk.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that tests share"
)]

mod backends;
mod child;
mod crash;
mod disk_streams;
mod full_disk;
mod random;
mod sqlite;
mod suite;

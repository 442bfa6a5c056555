//! The gateway from the outside: signed requests in, answers as SDKs read them out.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, also in the functions that tests share"
)]

mod audit;
mod hostile;
mod protocols;
mod registry;
mod s3;
mod server;
mod services;
mod signatures;
mod support;
mod training;

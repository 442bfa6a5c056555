//! Everything AWS-shaped: the gateway that takes requests, and one file per operation.
//!
//! A request's way is written down once, in `gateway.rs`. An operation lives in
//! `services/<service>/<operation>.rs` and implements [`Operation`].

pub mod context;
pub mod failure;
pub mod operation;
pub mod services;
pub mod validate;

pub use context::{Caller, Context};
pub use failure::Failure;
pub use operation::{Access, Operation};

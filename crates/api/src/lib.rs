//! Everything AWS-shaped: the gateway that takes requests, and one file per operation.
//!
//! A request's way is written down once, in `gateway.rs`. An operation lives in
//! `services/<service>/<operation>.rs` and implements [`Operation`].

pub mod audit;
mod authenticate;
pub mod authorize;
pub mod body;
pub mod context;
pub mod failure;
pub mod gateway;
pub mod limits;
pub mod operation;
pub mod registry;
pub mod request_id;
mod route;
pub mod s3_route;
pub mod server;
pub mod services;
pub mod validate;

pub use authorize::Denied;
pub use context::{Caller, Context};
pub use failure::Failure;
pub use gateway::Gateway;
pub use operation::{Access, Operation};
pub use registry::RawOperation;
pub use s3_route::S3Handler;
pub use server::serve;

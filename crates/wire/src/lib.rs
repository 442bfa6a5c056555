//! What goes over a wire, built and parsed without any input or output of its own:
//! the encodings of the AWS protocols, Signature Version 4, error shapes, ARNs, and the private
//! protocol between the server and the supervisors of its runs.
//!
//! Nothing here opens a socket or a file, or reads a clock: callers hand in bytes and times.

pub mod arn;
pub mod blob;
mod cbor;
pub mod decode;
pub mod json;
pub mod protocol;
pub mod query;
pub mod run;
pub mod shape;
pub mod sigv4;
pub mod timestamp;
pub mod xml;

pub use arn::Arn;
pub use blob::Blob;
pub use decode::DecodeError;
pub use protocol::Protocol;
pub use timestamp::Timestamp;

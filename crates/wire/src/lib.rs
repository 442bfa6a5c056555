//! What goes over a wire, built and parsed without any input or output of its own:
//! the encodings of the AWS protocols, Signature Version 4, error shapes, ARNs, and the private
//! protocol between the server and the supervisors of its runs.
//!
//! Nothing here opens a socket or a file, or reads a clock: callers hand in bytes and times.

pub mod run;

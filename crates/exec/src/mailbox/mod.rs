//! Frames between the server and its supervisors, over a Unix socket that only their user opens.
//!
//! A connection begins with a hello of run id and token; then frames go both ways, a line each.
//! Frames are opaque here. Delivery is at most once a connection: the layers above acknowledge, and
//! send again after [`Event::Connected`] or [`Incoming::Connected`].
//!
//! It must never take a frame of a connection that has not shown its token.

mod client;
mod frames;
mod server;

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

pub use client::{Client, Incoming};
pub use frames::FRAME_BYTES_MAX;
pub use server::{Delivery, Event, Mailbox, Verifier};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen for supervisors")]
    Listen(#[source] io::Error),
    #[error("a frame of {0} bytes is too long or holds a newline")]
    Frame(usize),
    #[error("run `{0}` is not connected")]
    NotConnected(String),
    #[error("the server does not accept this run's token")]
    Refused,
    #[error("the mailbox is closed")]
    Closed,
}

/// Binds a socket however long its path is: the name is looked up from the directory's descriptor,
/// because an address holds no more than 107 bytes.
pub(crate) fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let (_directory, short) = shortened(path)?;
    UnixListener::bind(short)
}

/// The descriptor has to be kept while the short path is used.
pub(crate) fn shortened(path: &Path) -> io::Result<(std::fs::File, std::path::PathBuf)> {
    let invalid = || {
        io::Error::new(io::ErrorKind::InvalidInput, "a socket's path has no directory or no name")
    };
    let directory = std::fs::File::open(path.parent().ok_or_else(invalid)?)?;
    let name = path.file_name().ok_or_else(invalid)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    Ok((directory, short))
}

#[cfg(test)]
mod tests;

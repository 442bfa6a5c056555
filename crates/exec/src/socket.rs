//! Unix sockets whose path may be longer than an address holds (107 bytes): the name is looked up
//! from the descriptor of its directory.

use std::io;
use std::path::Path;

use tokio::net::{UnixListener, UnixStream};

use crate::mailbox;

/// Connects to the socket at `path`.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = mailbox::shortened(path)?;
    UnixStream::connect(short).await
}

/// Listens at `path` with mode 0600, in place of a socket that an earlier process left.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = mailbox::bind_unix(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

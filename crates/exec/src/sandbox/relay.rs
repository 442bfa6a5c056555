//! Carries bytes between Unix sockets of the host and loopback ports: inside a sandbox by its init,
//! without namespaces by the supervisor.
//!
//! It must never connect anywhere but to the one address that a relay was made for.

use std::io;
use std::net::TcpListener as BlockingTcpListener;
use std::os::unix::net::UnixListener as BlockingUnixListener;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::wire::LOOPBACK;
use crate::limits::{POLL_INTERVAL, RELAY_CONNECT_TIMEOUT, RELAY_CONNECTIONS_MAX};
use crate::socket;

/// Large enough for a picture in few steps.
const BUFFER_BYTES: usize = 64 << 10;

/// Open sockets, each with the one place that its connections go to.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub inbound: Vec<(BlockingUnixListener, u16)>,
    pub outbound: Vec<(BlockingTcpListener, PathBuf)>,
}

impl Listeners {
    pub(super) fn is_empty(&self) -> bool {
        self.inbound.is_empty() && self.outbound.is_empty()
    }
}

/// Runs relays on a runtime of the calling thread, until the process ends.
pub(super) fn run(listeners: Listeners) -> io::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let mut relays = start(listeners)?;
        while relays.join_next().await.is_some() {}
        Ok(())
    })
}

/// Starts a task for each relay; dropping the set ends them and their connections.
pub(super) fn start(listeners: Listeners) -> io::Result<JoinSet<()>> {
    let mut relays = JoinSet::new();
    for (listener, port) in listeners.inbound {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        relays.spawn(relay_inbound(listener, port));
    }
    for (listener, socket) in listeners.outbound {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        relays.spawn(relay_outbound(listener, socket));
    }
    Ok(relays)
}

async fn relay_inbound(listener: UnixListener, port: u16) {
    let permits = Arc::new(Semaphore::new(RELAY_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((near, _)) = listener.accept().await else {
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        };
        connections.spawn(async move {
            let _permit = permit;
            if let Ok(Ok(far)) =
                timeout(RELAY_CONNECT_TIMEOUT, TcpStream::connect((LOOPBACK, port))).await
            {
                let _ = far.set_nodelay(true);
                carry(near, far).await;
            }
        });
    }
}

async fn relay_outbound(listener: TcpListener, path: PathBuf) {
    let permits = Arc::new(Semaphore::new(RELAY_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let Ok((near, _)) = listener.accept().await else {
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        };
        let path = path.clone();
        connections.spawn(async move {
            let _permit = permit;
            let _ = near.set_nodelay(true);
            if let Ok(Ok(far)) = timeout(RELAY_CONNECT_TIMEOUT, socket::connect(&path)).await {
                carry(near, far).await;
            }
        });
    }
}

/// Ends when either side has failed or both have ended; a broken connection is the ends' affair.
async fn carry(
    mut near: impl AsyncRead + AsyncWrite + Unpin,
    mut far: impl AsyncRead + AsyncWrite + Unpin,
) {
    let _ = copy_bidirectional_with_sizes(&mut near, &mut far, BUFFER_BYTES, BUFFER_BYTES).await;
}

//! What all relays share: a bounded number of connections, and bytes both ways.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::limits::{RELAY_CONNECTIONS_MAX, RELAY_IDLE_MAX};

/// After a failed accept, which means that descriptors are short.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

const COPY_BYTES: usize = 16 << 10;

/// Handles each connection in a task of its own; those beyond the bound wait to be accepted.
pub(super) async fn accept<F>(listener: UnixListener, handle: impl Fn(UnixStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(RELAY_CONNECTIONS_MAX));
    let mut running = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        while running.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _address)) => {
                let handled = handle(stream);
                running.spawn(async move {
                    if let Err(error) = handled.await {
                        tracing::debug!(%error, "a relayed connection ended");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a relay cannot accept");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

/// Copies both ways until both ends are done, or nothing moved for a long time.
pub(super) async fn join(
    inside: impl AsyncRead + AsyncWrite + Unpin,
    outside: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (mut inside_read, mut inside_write) = tokio::io::split(inside);
    let (mut outside_read, mut outside_write) = tokio::io::split(outside);
    tokio::try_join!(
        copy(&mut inside_read, &mut outside_write),
        copy(&mut outside_read, &mut inside_write)
    )?;
    Ok(())
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut buffer = vec![0_u8; COPY_BYTES];
    loop {
        let read = tokio::time::timeout(RELAY_IDLE_MAX, from.read(&mut buffer))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        if read == 0 {
            // The other direction may go on.
            return to.shutdown().await.or(Ok(()));
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        tokio::time::timeout(RELAY_IDLE_MAX, to.write_all(bytes))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    }
}

//! What all relays share: a bounded number of connections, and bytes both ways.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
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

/// Copies both ways until both ends are done, or nothing moved in either direction for a long time:
/// a transfer goes one way for as long as it takes.
pub(super) async fn join(
    inside: impl AsyncRead + AsyncWrite + Unpin,
    outside: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let (mut inside_read, mut inside_write) = tokio::io::split(inside);
    let (mut outside_read, mut outside_write) = tokio::io::split(outside);
    let moved = Moved::default();
    let copied = async {
        tokio::try_join!(
            copy(&mut inside_read, &mut outside_write, &moved),
            copy(&mut outside_read, &mut inside_write, &moved)
        )
    };
    tokio::select! {
        copied = copied => copied.map(drop),
        () = moved.idle(RELAY_IDLE_MAX) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// When bytes last moved, in either direction.
struct Moved(watch::Sender<()>);

impl Default for Moved {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Moved {
    fn now(&self) {
        self.0.send_replace(());
    }

    /// Returns when nothing moved for `time`.
    async fn idle(&self, time: Duration) {
        let mut moves = self.0.subscribe();
        while let Ok(Ok(())) = tokio::time::timeout(time, moves.changed()).await {}
    }
}

async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    moved: &Moved,
) -> io::Result<()> {
    let mut buffer = vec![0_u8; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            // The other direction may go on.
            return to.shutdown().await.or(Ok(()));
        }
        moved.now();
        let mut bytes = buffer.get(..read).unwrap_or_default();
        while !bytes.is_empty() {
            let written = to.write(bytes).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            moved.now();
            bytes = bytes.get(written..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_transfer_in_one_direction_is_not_idle() {
        let (mut client, inside) = tokio::io::duplex(16);
        let (outside, mut server) = tokio::io::duplex(16);
        let joined = tokio::spawn(join(inside, outside));
        for _ in 0..5 {
            tokio::time::advance(RELAY_IDLE_MAX * 2 / 3).await;
            client.write_all(b"x").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'x');
        }
        drop(client);
        drop(server);
        joined.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_ends() {
        let (_client, inside) = tokio::io::duplex(16);
        let (outside, _server) = tokio::io::duplex(16);
        let ended = join(inside, outside).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
    }
}

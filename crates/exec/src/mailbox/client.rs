//! The supervisor's side: one connection that comes back when the server does.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::{Error, frames};
use crate::limits::{
    MAILBOX_BACKOFF_MAX, MAILBOX_BACKOFF_MIN, MAILBOX_HELLO_TIMEOUT, MAILBOX_QUEUE_FRAMES,
};
use crate::token::Token;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Send again what was not acknowledged.
    Connected,
    Frame(Bytes),
    Disconnected,
}

/// Its task ends when every clone and the receiver are gone.
#[derive(Clone)]
pub struct Client {
    frames: mpsc::Sender<Outgoing>,
    link: Arc<watch::Receiver<LinkState>>,
}

struct Outgoing {
    frame: Bytes,
    written: oneshot::Sender<()>,
}

#[derive(Debug, Clone, Copy)]
enum LinkState {
    Connected,
    Away { since: Instant },
    Refused { since: Instant },
}

impl Client {
    /// Returns at once; connects, and connects again, in a task of its own. Needs a runtime.
    pub fn connect(
        path: PathBuf,
        run_id: String,
        token: Token,
    ) -> (Self, mpsc::Receiver<Incoming>) {
        let (frames, outgoing) = mpsc::channel(MAILBOX_QUEUE_FRAMES);
        let (incoming, receiver) = mpsc::channel(MAILBOX_QUEUE_FRAMES);
        let (state, link) = watch::channel(LinkState::Away { since: Instant::now() });
        let session = Session { path, run_id, token, incoming, state, pending: None };
        tokio::spawn(session.run(outgoing));
        (Self { frames, link: Arc::new(link) }, receiver)
    }

    /// Returns when the frame has been written to a connection, and waits while there is none.
    /// Cancelling it may or may not send the frame.
    pub async fn send(&self, frame: &[u8]) -> Result<(), Error> {
        let frame = frames::checked(frame)?;
        let (written, confirmation) = oneshot::channel();
        self.frames.send(Outgoing { frame, written }).await.map_err(|_| Error::Closed)?;
        confirmation.await.map_err(|_| if self.refused() { Error::Refused } else { Error::Closed })
    }

    /// `None` while the server is there; else for how long it has not been.
    pub fn server_away(&self) -> Option<Duration> {
        match *self.link.borrow() {
            LinkState::Connected => None,
            LinkState::Away { since } | LinkState::Refused { since } => Some(since.elapsed()),
        }
    }

    /// The server is there and does not accept the token: the run is over for it.
    pub fn refused(&self) -> bool {
        matches!(*self.link.borrow(), LinkState::Refused { .. })
    }
}

struct Session {
    path: PathBuf,
    run_id: String,
    token: Token,
    incoming: mpsc::Sender<Incoming>,
    state: watch::Sender<LinkState>,
    /// A frame whose connection broke before it was written.
    pending: Option<Outgoing>,
}

type Connection = (BufReader<OwnedReadHalf>, OwnedWriteHalf);

impl Session {
    async fn run(mut self, mut outgoing: mpsc::Receiver<Outgoing>) {
        let mut since = Instant::now();
        let mut backoff = MAILBOX_BACKOFF_MIN;
        loop {
            match self.open().await {
                Ok(Some(connection)) => {
                    backoff = MAILBOX_BACKOFF_MIN;
                    self.state.send_replace(LinkState::Connected);
                    let go_on = self.carry(connection, &mut outgoing).await;
                    since = Instant::now();
                    self.state.send_replace(LinkState::Away { since });
                    if !go_on || self.incoming.send(Incoming::Disconnected).await.is_err() {
                        return;
                    }
                }
                // Asked again, slowly: a server that is just starting may not know its runs yet.
                Ok(None) => {
                    backoff = MAILBOX_BACKOFF_MAX;
                    self.state.send_replace(LinkState::Refused { since });
                }
                Err(_) => {
                    self.state.send_replace(LinkState::Away { since });
                }
            }
            if self.incoming.is_closed() || (outgoing.is_closed() && outgoing.is_empty()) {
                return;
            }
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(MAILBOX_BACKOFF_MAX);
        }
    }

    /// `None` when the server refused the token.
    async fn open(&self) -> io::Result<Option<Connection>> {
        let opening = async {
            let (reader, mut writer) = connect(&self.path).await?.into_split();
            let mut reader = BufReader::new(reader);
            frames::write(&mut writer, frames::hello(&self.run_id, &self.token).as_bytes()).await?;
            match frames::read(&mut reader).await?.as_deref() {
                Some(frames::ACCEPTED) => Ok(Some((reader, writer))),
                Some(frames::REFUSED) => Ok(None),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        timeout(MAILBOX_HELLO_TIMEOUT, opening)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Carries frames until the connection breaks; false when nobody needs it any more.
    async fn carry(
        &mut self,
        connection: Connection,
        outgoing: &mut mpsc::Receiver<Outgoing>,
    ) -> bool {
        let (mut reader, mut writer) = connection;
        if self.incoming.send(Incoming::Connected).await.is_err() {
            return false;
        }
        let incoming = self.incoming.clone();
        let reading = async {
            while let Ok(Some(frame)) = frames::read(&mut reader).await {
                if incoming.send(Incoming::Frame(frame)).await.is_err() {
                    return false;
                }
            }
            true
        };
        let pending = &mut self.pending;
        let writing = async {
            loop {
                let next = match pending.take() {
                    Some(next) => next,
                    None => match outgoing.recv().await {
                        Some(next) => next,
                        None => return false,
                    },
                };
                // Kept until it is written: the connection may break, or be dropped, meanwhile.
                let frame = pending.insert(next).frame.clone();
                if frames::write(&mut writer, &frame).await.is_err() {
                    return true;
                }
                if let Some(Outgoing { written, .. }) = pending.take() {
                    let _ = written.send(());
                }
            }
        };
        tokio::select! {
            go_on = reading => go_on,
            go_on = writing => go_on,
        }
    }
}

async fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_directory, short) = super::shortened(path)?;
    UnixStream::connect(short).await
}

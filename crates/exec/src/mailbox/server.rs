//! The server's side: one socket, a connection for each supervisor that shows its token.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::{Error, frames};
use crate::limits::{
    MAILBOX_CONNECTIONS_MAX, MAILBOX_HELLO_TIMEOUT, MAILBOX_QUEUE_FRAMES, POLL_INTERVAL,
};
use crate::token::Token;

/// Knows the tokens of the runs. Compare with [`Token::matches`].
#[async_trait]
pub trait Verifier: Send + Sync {
    /// Whether this token is that run's, and the run still has something to say.
    async fn verify(&self, run_id: &str, token: &Token) -> bool;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub run_id: String,
    pub event: Event,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Connected,
    Frame(Bytes),
    Disconnected,
}

#[derive(Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    verifier: Arc<dyn Verifier>,
    deliveries: mpsc::Sender<Delivery>,
    links: Mutex<HashMap<String, Link>>,
    closing: watch::Sender<bool>,
}

/// The way to one supervisor. A later connection of the same run takes the place of an earlier one.
struct Link {
    number: u64,
    frames: mpsc::Sender<Bytes>,
}

impl Mailbox {
    /// Listens at `path`, in place of a socket that an ended server left, and hands out what
    /// arrives. Needs a runtime.
    pub fn bind(
        path: &Path,
        verifier: Arc<dyn Verifier>,
    ) -> Result<(Self, mpsc::Receiver<Delivery>), Error> {
        let listener = listen(path).map_err(Error::Listen)?;
        let (deliveries, receiver) = mpsc::channel(MAILBOX_QUEUE_FRAMES);
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            verifier,
            deliveries,
            links: Mutex::default(),
            closing: watch::channel(false).0,
        });
        tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok((Self { shared }, receiver))
    }

    /// Waits while the supervisor has many frames to read.
    pub async fn send(&self, run_id: &str, frame: &[u8]) -> Result<(), Error> {
        let frame = frames::checked(frame)?;
        let absent = || Error::NotConnected(run_id.to_owned());
        let link =
            self.shared.links().get(run_id).map(|link| link.frames.clone()).ok_or_else(absent)?;
        link.send(frame).await.map_err(|_| absent())
    }

    pub fn connected(&self, run_id: &str) -> bool {
        self.shared.links().contains_key(run_id)
    }

    /// Ends every connection and removes the socket; supervisors wait for the next server.
    pub async fn shutdown(&self) {
        self.shared.closing.send_replace(true);
        let _ = fs::remove_file(&self.shared.path);
        self.shared.closing.closed().await;
    }
}

impl Shared {
    fn links(&self) -> MutexGuard<'_, HashMap<String, Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The socket is made under another name and renamed, so that nobody connects before its mode is
/// set, and an abandoned one is replaced at once.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let staged = path.with_extension("new");
    match fs::remove_file(&staged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = super::bind_unix(&staged)?;
    fs::set_permissions(&staged, fs::Permissions::from_mode(0o600))?;
    fs::rename(&staged, path)?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let permits = Arc::new(Semaphore::new(MAILBOX_CONNECTIONS_MAX));
    let mut closing = shared.closing.subscribe();
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        while connections.try_join_next().is_some() {}
        let permit = Arc::clone(&permits).acquire_owned().await;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = closing.wait_for(|closing| *closing) => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: others will be closed.
            tokio::time::sleep(POLL_INTERVAL).await;
            continue;
        };
        number += 1;
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let _permit = permit;
            serve(stream, number, &shared).await;
        });
    }
    connections.shutdown().await;
}

/// One connection, from its hello to its end.
async fn serve(stream: UnixStream, number: u64, shared: &Shared) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let Ok(Ok(Some(frame))) = timeout(MAILBOX_HELLO_TIMEOUT, frames::read(&mut reader)).await
    else {
        return;
    };
    let run_id = match frames::parse_hello(&frame) {
        Some((run_id, token)) if shared.verifier.verify(&run_id, &token).await => run_id,
        _ => {
            let _ = frames::write(&mut writer, frames::REFUSED).await;
            return;
        }
    };
    if frames::write(&mut writer, frames::ACCEPTED).await.is_err() {
        return;
    }
    let (frames, outgoing) = mpsc::channel(MAILBOX_QUEUE_FRAMES);
    shared.links().insert(run_id.clone(), Link { number, frames });
    let _guard = Unlink { shared, run_id: &run_id, number };
    if deliver(shared, &run_id, Event::Connected).await.is_err() {
        return;
    }
    tokio::select! {
        () = read_all(&mut reader, shared, &run_id) => {}
        () = write_all(&mut writer, outgoing) => {}
    }
    let _ = deliver(shared, &run_id, Event::Disconnected).await;
}

async fn read_all(reader: &mut BufReader<OwnedReadHalf>, shared: &Shared, run_id: &str) {
    while let Ok(Some(frame)) = frames::read(reader).await {
        if deliver(shared, run_id, Event::Frame(frame)).await.is_err() {
            return;
        }
    }
}

/// Ends when a later connection has taken the place of this one.
async fn write_all(writer: &mut OwnedWriteHalf, mut outgoing: mpsc::Receiver<Bytes>) {
    while let Some(frame) = outgoing.recv().await {
        if frames::write(writer, &frame).await.is_err() {
            return;
        }
    }
}

async fn deliver(shared: &Shared, run_id: &str, event: Event) -> Result<(), Error> {
    let delivery = Delivery { run_id: run_id.to_owned(), event };
    shared.deliveries.send(delivery).await.map_err(|_| Error::Closed)
}

struct Unlink<'a> {
    shared: &'a Shared,
    run_id: &'a str,
    number: u64,
}

impl Drop for Unlink<'_> {
    fn drop(&mut self) {
        let mut links = self.shared.links();
        if links.get(self.run_id).is_some_and(|link| link.number == self.number) {
            links.remove(self.run_id);
        }
    }
}

//! HTTP to the replicas, over the Unix socket of each.
//!
//! Connections are kept: a request to a warm replica costs one write and one read. A connection
//! that turns out to be closed before anything of the request was written is replaced; one that
//! breaks later is not, because the model may have worked on the request already.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kennel_platform::endpoint::Lease;
use tokio::time::{Instant, Sleep};

use crate::body::BoxError;

/// Connecting to a socket of this machine takes microseconds or fails.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a model may take for an answer: AWS's bound of real-time inference.
pub(super) const MODEL_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest answer: AWS's bound of requests, which holds for answers as well.
pub(super) const ANSWER_BYTES_MAX: usize = 25 * 1024 * 1024;

/// Idle connections kept for one replica: above what two cores keep busy.
const IDLE_MAX: usize = 32;

/// How long a connection may have been idle to be used again. Servers close idle ones after 2 to
/// 15 s, and a request that is written at that instant is lost; a new connection costs microseconds.
pub(super) const IDLE_AGE_MAX: Duration = Duration::from_secs(1);

/// Replicas for which idle connections are kept; beyond that those of the gone are dropped.
const SOCKETS_MAX: usize = 128;

/// Idle connections outlive requests and belong to none, so they are the process's. A socket's
/// path names one run, so that connections of different servers never meet.
static IDLE: LazyLock<Idle> = LazyLock::new(Idle::default);

/// Sends a request to the leased replica and waits for the head of its answer.
pub(super) async fn send(lease: &Lease, request: Request<Full<Bytes>>) -> Result<Answer, Broken> {
    let deadline = Instant::now() + MODEL_TIMEOUT;
    let sent = tokio::time::timeout_at(deadline, send_on_any(lease, request));
    let (sender, response) = sent.await.map_err(|_| Broken::TimedOut)??;
    Ok(Answer { sender, response, deadline })
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// Nothing was written: another replica may be asked.
    #[error("the replica cannot be reached")]
    Unreached(#[source] BoxError),
    #[error("the replica broke off")]
    BrokeOff(#[source] hyper::Error),
    #[error("the replica did not answer in time")]
    TimedOut,
}

/// The head of an answer whose body is still to come.
pub(super) struct Answer {
    sender: SendRequest<Full<Bytes>>,
    pub response: Response<Incoming>,
    deadline: Instant,
}

impl Answer {
    /// The body, which holds the lease and gives the connection back at its end.
    pub fn into_body(self, lease: Lease) -> (http::response::Parts, AnswerBody) {
        let (parts, incoming) = self.response.into_parts();
        let body = AnswerBody {
            incoming,
            read_bytes: 0,
            sender: Some(self.sender),
            lease: Some(lease),
            deadline: Box::pin(tokio::time::sleep_until(self.deadline)),
        };
        (parts, body)
    }
}

pub(super) struct AnswerBody {
    incoming: Incoming,
    read_bytes: usize,
    sender: Option<SendRequest<Full<Bytes>>>,
    lease: Option<Lease>,
    deadline: Pin<Box<Sleep>>,
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if polled.is_pending() {
            ready!(self.deadline.as_mut().poll(context));
            self.lease = None;
            return Poll::Ready(Some(Err("the replica did not finish in time".into())));
        }
        match ready!(polled) {
            None => {
                self.finish();
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Some(Ok(frame)) => {
                self.read_bytes += frame.data_ref().map_or(0, Bytes::len);
                if self.read_bytes > ANSWER_BYTES_MAX {
                    self.lease = None;
                    return Poll::Ready(Some(Err("the replica's answer is too large".into())));
                }
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl AnswerBody {
    /// The whole answer was read: the place and the connection are free again.
    fn finish(&mut self) {
        if let Some(lease) = self.lease.take()
            && let Some(sender) = self.sender.take()
        {
            IDLE.put(lease.socket(), sender);
        }
    }
}

impl Drop for AnswerBody {
    /// An answer without a body ends without being polled.
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.finish();
        }
    }
}

type Sent = (SendRequest<Full<Bytes>>, Response<Incoming>);

async fn send_on_any(lease: &Lease, mut request: Request<Full<Bytes>>) -> Result<Sent, Broken> {
    while let Some(mut sender) = IDLE.take(lease.socket()) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok((sender, response)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(Broken::BrokeOff(error.into_error())),
            },
        }
    }
    let mut sender = connect(lease).await?;
    match sender.try_send_request(request).await {
        Ok(response) => Ok((sender, response)),
        Err(mut error) => {
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            Err(if unsent { Broken::Unreached(error.into()) } else { Broken::BrokeOff(error) })
        }
    }
}

async fn connect(lease: &Lease) -> Result<SendRequest<Full<Bytes>>, Broken> {
    let unreached = |error: BoxError| Broken::Unreached(error);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, lease.connect()).await;
    let stream = connected
        .map_err(|_| unreached("no connection in time".into()))?
        .map_err(|error| unreached(error.into()))?;
    let (sender, connection) = http1::Builder::new()
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(|error| unreached(error.into()))?;
    // Ends with its connection: when the replica closes it or the last sender is dropped.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "replica connection ended");
        }
    });
    Ok(sender)
}

#[derive(Default)]
struct Idle {
    /// Of each replica those that became idle last at the end.
    connections: Mutex<HashMap<PathBuf, Vec<IdleConnection>>>,
}

struct IdleConnection {
    sender: SendRequest<Full<Bytes>>,
    since: Instant,
}

impl IdleConnection {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() <= IDLE_AGE_MAX
    }
}

impl Idle {
    /// The connection that was used last, if it is still open and was used just now. Those that
    /// are not are dropped, which closes them.
    fn take(&self, socket: &Path) -> Option<SendRequest<Full<Bytes>>> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = connections.get_mut(socket)?;
        while let Some(connection) = idle.pop() {
            if connection.is_usable() {
                return Some(connection.sender);
            }
        }
        connections.remove(socket);
        None
    }

    fn put(&self, socket: &Path, sender: SendRequest<Full<Bytes>>) {
        if sender.is_closed() {
            return;
        }
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if !connections.contains_key(socket) && connections.len() >= SOCKETS_MAX {
            connections.retain(|_, idle| idle.iter().any(IdleConnection::is_usable));
        }
        if connections.len() <= SOCKETS_MAX {
            let idle = connections.entry(socket.to_path_buf()).or_default();
            if idle.len() >= IDLE_MAX {
                idle.retain(IdleConnection::is_usable);
            }
            if idle.len() < IDLE_MAX {
                idle.push(IdleConnection { sender, since: Instant::now() });
            }
        }
    }
}

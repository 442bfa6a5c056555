//! One GET /ping through the sandbox's relay.

use std::path::Path;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kennel_exec::socket;
use tokio_util::task::AbortOnDropHandle;

use crate::limits::PING_TIMEOUT;

/// Succeeds on 200 alone; otherwise says why not.
pub(super) async fn ping(socket: &Path) -> Result<(), String> {
    match tokio::time::timeout(PING_TIMEOUT, ask(socket)).await {
        Ok(Ok(200)) => Ok(()),
        Ok(Ok(status)) => Err(format!("/ping answered {status}")),
        Ok(Err(error)) => Err(format!("/ping failed: {error}")),
        Err(_) => Err(format!("/ping had no answer within {} s", PING_TIMEOUT.as_secs())),
    }
}

async fn ask(socket: &Path) -> Result<u16, Box<dyn std::error::Error + Send + Sync>> {
    let stream = socket::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/ping").header("host", "localhost").body(Empty::<Bytes>::new())?;
    // The answer's body says nothing; the connection ends with this call. A server that closes it
    // with its answer has answered all the same.
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let status = sender.send_request(request).await?.status().as_u16();
    drop(connection);
    Ok(status)
}

//! The relay to the AWS API: bytes as they are, so that signatures keep what they signed.

use std::io;

use tokio::net::{TcpStream, UnixListener};
use tokio::time::timeout;

use super::connections;
use crate::error::Failure;
use crate::limits::CONNECT_TIMEOUT;

/// `host:port` of the API endpoint.
pub(super) fn authority(endpoint: &str) -> Result<String, Failure> {
    let bad = || Failure::Internal(format!("`{endpoint}` is not an http:// endpoint"));
    let authority = endpoint.strip_prefix("http://").ok_or_else(bad)?.trim_end_matches('/');
    Ok(if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") })
}

pub(super) async fn serve(listener: UnixListener, authority: String) {
    connections::accept(listener, |inside| {
        let authority = authority.clone();
        async move {
            let outside = timeout(CONNECT_TIMEOUT, TcpStream::connect(authority))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            outside.set_nodelay(true)?;
            connections::join(inside, outside).await
        }
    })
    .await;
}

//! Lines of bounded length, and the hello that opens a connection.

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Error;
use crate::limits::MAILBOX_WRITE_TIMEOUT;
use crate::token::Token;

/// A report or an order is some kilobytes; a batch of log lines is cut to fit.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

pub(super) const ACCEPTED: &[u8] = b"ok";
pub(super) const REFUSED: &[u8] = b"refused";

/// Reads one frame; `None` at the end of the connection, also inside of a frame.
pub(super) async fn read(reader: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<Bytes>> {
    let mut frame = Vec::new();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return Ok(None);
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        if frame.len() + taken.len() > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
        }
        frame.extend_from_slice(taken);
        let used = taken.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(frame.into()));
        }
    }
}

pub(super) async fn write(writer: &mut (impl AsyncWrite + Unpin), frame: &[u8]) -> io::Result<()> {
    let mut line = Vec::with_capacity(frame.len() + 1);
    line.extend_from_slice(frame);
    line.push(b'\n');
    let written = timeout(MAILBOX_WRITE_TIMEOUT, writer.write_all(&line)).await;
    written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Takes a copy of a frame that may be sent.
pub(super) fn checked(frame: &[u8]) -> Result<Bytes, Error> {
    if frame.len() > FRAME_BYTES_MAX || frame.contains(&b'\n') {
        return Err(Error::Frame(frame.len()));
    }
    Ok(Bytes::copy_from_slice(frame))
}

pub(super) fn hello(run_id: &str, token: &Token) -> String {
    format!("{} {run_id}", token.to_hex())
}

pub(super) fn parse_hello(frame: &[u8]) -> Option<(String, Token)> {
    let (token, run_id) = std::str::from_utf8(frame).ok()?.split_once(' ')?;
    Some((run_id.to_owned(), Token::from_hex(token)?))
}

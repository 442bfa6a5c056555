//! The messages between a supervisor and the processes that make its sandbox.
//!
//! They travel over a socket that is every stage's standard input, each with its length before it,
//! so that no stage reads a byte that is meant for the next one.

use std::io::{self, Read, Write};
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::mounts::Plan;
use super::report::StageFailure;
use crate::isolation::IdMapping;
use crate::limits::STAGE_MESSAGE_BYTES_MAX;

/// Descriptors that travel with one message: the inbound relays of a sandbox.
pub(super) const DESCRIPTORS_MAX: usize = 16;

/// For the first stage, which enters the namespaces.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EnterOrder {
    pub ids: IdMapping,
    pub parent_pid: i32,
    pub root: PathBuf,
    pub plan: Plan,
}

/// Says that the id maps of the first stage are in place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mapped;

/// For the namespace's init.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InitOrder {
    pub root: PathBuf,
    pub hostname: String,
    /// One for each descriptor that comes with this message: where its connections go.
    pub inbound_ports: Vec<u16>,
    /// Port inside, and the socket inside that its connections go to.
    pub outbound: Vec<(u16, PathBuf)>,
    /// Set where no cgroup bounds the memory: the init polls the resident set itself.
    pub resident_bytes_max: Option<u64>,
    pub exec: ExecOrder,
}

/// For the last stage, which becomes the workload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ExecOrder {
    pub program: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: PathBuf,
    /// Become this user and group; `None` keeps the present one.
    pub become_id: Option<u32>,
    pub cpus: u32,
    pub files: u64,
    /// Set where no cgroup bounds the number of processes.
    pub processes_max: Option<u64>,
    pub landlock: Option<crate::landlock::Rules>,
    /// Die with this parent; `None` inside a PID namespace, whose end takes everything.
    pub parent_pid: Option<i32>,
}

/// What a supervisor asks of a running init.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Command {
    /// To the process group of the workload's main process.
    Signal(i32),
    /// To every process of the sandbox.
    SignalAll(i32),
    /// The workload is inside its limits and may start.
    Go,
}

/// What the stages tell the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Unshared,
    Spawned,
    Started,
    Failed(StageFailure),
    Ended(Ended),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub over_memory: bool,
    pub memory_peak_bytes: u64,
    pub cpu_secs: f64,
}

pub(super) fn send<T: Serialize>(socket: &UnixStream, message: &T) -> io::Result<()> {
    send_with_descriptors(socket, message, &[])
}

pub(super) fn send_with_descriptors<T: Serialize>(
    socket: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= STAGE_MESSAGE_BYTES_MAX);
    let header = length.ok_or_else(too_long)?.to_be_bytes();
    if descriptors.is_empty() {
        let mut whole = header.to_vec();
        whole.extend_from_slice(&body);
        return (&*socket).write_all(&whole);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "too many descriptors for one message",
        ));
    }
    let sent = rustix::net::sendmsg(
        socket.as_fd(),
        &[io::IoSlice::new(&header)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    (&*socket).write_all(header.get(sent..).unwrap_or_default())?;
    (&*socket).write_all(&body)
}

pub(super) fn receive<T: DeserializeOwned>(socket: &UnixStream) -> io::Result<T> {
    let mut header = [0; 4];
    (&*socket).read_exact(&mut header)?;
    receive_body(socket, header)
}

pub(super) fn receive_with_descriptors<T: DeserializeOwned>(
    socket: &UnixStream,
) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut header = [0; 4];
    let received = rustix::net::recvmsg(
        socket.as_fd(),
        &mut [io::IoSliceMut::new(&mut header)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if let Some(rest) = header.get_mut(received.bytes..) {
        (&*socket).read_exact(rest)?;
    }
    Ok((receive_body(socket, header)?, descriptors))
}

fn receive_body<T: DeserializeOwned>(socket: &UnixStream, header: [u8; 4]) -> io::Result<T> {
    let length = usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX);
    if length > STAGE_MESSAGE_BYTES_MAX {
        return Err(too_long());
    }
    let mut body = vec![0; length];
    (&*socket).read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a stage message is too long")
}

/// Relays listen on the loopback address alone.
pub(super) const LOOPBACK: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_and_descriptor_arrive_together() {
        let (near, far) = UnixStream::pair().unwrap();
        let (mut kept, given) = UnixStream::pair().unwrap();
        send_with_descriptors(&near, &"first", &[given.as_fd()]).unwrap();
        send(&near, &"second").unwrap();
        drop(given);
        let (text, descriptors): (String, _) = receive_with_descriptors(&far).unwrap();
        assert_eq!((text.as_str(), descriptors.len()), ("first", 1));
        let mut received = UnixStream::from(descriptors.into_iter().next().unwrap());
        received.write_all(b"x").unwrap();
        let mut byte = [0];
        kept.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(receive::<String>(&far).unwrap(), "second");
    }

    #[test]
    fn overlong_message_is_refused_before_it_is_read() {
        let (near, far) = UnixStream::pair().unwrap();
        (&near).write_all(&u32::MAX.to_be_bytes()).unwrap();
        assert_eq!(receive::<String>(&far).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

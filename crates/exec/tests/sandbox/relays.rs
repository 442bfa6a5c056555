//! The only ways in and out of a sandbox.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kennel_exec::{ExitStatus, Inbound, Isolation, Outbound, Signal};
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::rig::{Run, trial};

pub fn trials(isolation: Isolation) -> Vec<Trial> {
    vec![
        trial("server_reaches_the_workload_through_its_socket", isolation, inbound),
        trial("two_sandboxes_listen_on_the_same_port", isolation, same_port),
        trial("workload_reaches_the_host_socket_through_its_port", isolation, outbound),
        trial("connection_to_a_silent_port_ends", isolation, nobody_listens),
    ]
}

fn in_socket(run: &Run) -> PathBuf {
    run.make_dir(&"deep".repeat(30)).join("in.sock")
}

fn serving(isolation: Isolation) -> Run {
    let mut run = Run::own(isolation, &["echo-server", "PORT"]);
    run.spec.inbound.push(Inbound {
        host_socket: in_socket(&run),
        port: 8080,
        port_env: vec![("PORT".to_owned(), "{port}".to_owned())],
    });
    run
}

async fn ask(socket: &Path, text: &str) -> String {
    let mut stream = kennel_exec::socket::connect(socket).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn inbound(isolation: Isolation) {
    let run = serving(isolation);
    let mut child = run.start().await.unwrap();
    let mut listening = [0; 10];
    child.stdout.as_mut().unwrap().read_exact(&mut listening).await.unwrap();
    let socket = in_socket(&run);
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    for text in ["ping", "a longer question"] {
        assert_eq!(ask(&socket, text).await, text.to_uppercase());
    }
    let large = "x".repeat(3 << 20);
    assert_eq!(ask(&socket, &large).await.len(), large.len());
    child.signal(Signal::Kill).await.unwrap();
    assert!(!socket.exists());
}

async fn same_port(isolation: Isolation) {
    let runs = [serving(isolation), serving(isolation)];
    let mut children = Vec::new();
    for run in &runs {
        let mut child = run.start().await.unwrap();
        let mut listening = [0; 10];
        child.stdout.as_mut().unwrap().read_exact(&mut listening).await.unwrap();
        children.push(child);
    }
    for run in &runs {
        assert_eq!(ask(&in_socket(run), "both").await, "BOTH");
    }
}

async fn outbound(isolation: Isolation) {
    let mut run = Run::own(isolation, &["send", "PORT", "question"]);
    // An address of a socket holds no more than 107 bytes; data directories may lie deeper.
    let socket = run.make_dir(&"deep".repeat(30)).join("out.sock");
    let listener = kennel_exec::socket::listen(&socket).unwrap();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        stream.write_all(format!("{text} answered").as_bytes()).await.unwrap();
    });
    run.spec.outbound.push(Outbound {
        host_socket: socket,
        port: 4566,
        port_env: vec![("PORT".to_owned(), "{port}".to_owned())],
    });
    let finished = run.finish().await;
    assert_eq!(finished.exit.status, ExitStatus::Code(0), "{finished:?}");
    assert_eq!(finished.stdout, "question answered");
    server.await.unwrap();
}

async fn nobody_listens(isolation: Isolation) {
    let mut run = serving(isolation);
    run.spec.args = vec![super::workload::VERB.to_owned(), "sleep".to_owned()];
    let child = run.start().await.unwrap();
    let mut stream = kennel_exec::socket::connect(&in_socket(&run)).await.unwrap();
    let mut answer = Vec::new();
    // Closed without an answer, by an end or by an error.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    drop(child);
}

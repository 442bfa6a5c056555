use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::token::Token;

/// Long enough for any machine; reached only by a failure.
const DEADLINE: Duration = Duration::from_secs(20);

struct OneRun(Token);

#[async_trait::async_trait]
impl Verifier for OneRun {
    async fn verify(&self, run_id: &str, token: &Token) -> bool {
        run_id == "run-1" && token.matches(self.0.expose())
    }
}

fn token() -> Token {
    Token::from_bytes([3; 32])
}

fn verifier() -> Arc<dyn Verifier> {
    Arc::new(OneRun(token()))
}

async fn next<T>(receiver: &mut tokio::sync::mpsc::Receiver<T>) -> T {
    timeout(DEADLINE, receiver.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn frames_go_both_ways() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbox.sock");
    let (mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
    let (client, mut incoming) = Client::connect(path.clone(), "run-1".to_owned(), token());
    assert_eq!(next(&mut incoming).await, Incoming::Connected);
    assert_eq!(next(&mut deliveries).await.event, Event::Connected);
    assert!(mailbox.connected("run-1"));
    assert!(client.server_away().is_none());
    client.send(b"{\"a\":1}").await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(
        (delivery.run_id.as_str(), delivery.event),
        ("run-1", Event::Frame("{\"a\":1}".into()))
    );
    mailbox.send("run-1", b"stop").await.unwrap();
    assert_eq!(next(&mut incoming).await, Incoming::Frame("stop".into()));
    assert!(matches!(mailbox.send("run-2", b"x").await, Err(Error::NotConnected(_))));
    assert!(matches!(client.send(b"two\nlines").await, Err(Error::Frame(9))));
    assert!(matches!(client.send(&vec![b'x'; FRAME_BYTES_MAX + 1]).await, Err(Error::Frame(_))));
}

#[tokio::test]
async fn wrong_token_is_refused_and_delivers_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbox.sock");
    let (mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
    let (client, _incoming) =
        Client::connect(path.clone(), "run-1".to_owned(), Token::from_bytes([4; 32]));
    timeout(DEADLINE, async {
        while !client.refused() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(client.server_away().is_some());
    let mut stranger = tokio::net::UnixStream::connect(&path).await.unwrap();
    stranger.write_all(b"no hello at all\nframe\n").await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stranger.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, "refused\n");
    assert!(!mailbox.connected("run-1"));
    assert!(deliveries.try_recv().is_err());
}

#[tokio::test]
async fn client_comes_back_to_the_next_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbox.sock");
    let (client, mut incoming) = Client::connect(path.clone(), "run-1".to_owned(), token());
    assert!(client.server_away().is_some());
    for round in 0..2 {
        let (mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
        assert_eq!(next(&mut incoming).await, Incoming::Connected);
        assert_eq!(next(&mut deliveries).await.event, Event::Connected);
        client.send(format!("round {round}").as_bytes()).await.unwrap();
        assert_eq!(
            next(&mut deliveries).await.event,
            Event::Frame(format!("round {round}").into())
        );
        timeout(DEADLINE, mailbox.shutdown()).await.unwrap();
        assert_eq!(next(&mut incoming).await, Incoming::Disconnected);
        assert!(client.server_away().is_some());
    }
}

#[tokio::test]
async fn frame_sent_without_a_server_arrives_when_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbox.sock");
    let (client, mut incoming) = Client::connect(path.clone(), "run-1".to_owned(), token());
    let sending = tokio::spawn(async move { client.send(b"early").await });
    let (_mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
    assert_eq!(next(&mut incoming).await, Incoming::Connected);
    assert_eq!(next(&mut deliveries).await.event, Event::Connected);
    assert_eq!(next(&mut deliveries).await.event, Event::Frame("early".into()));
    timeout(DEADLINE, sending).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn later_connection_of_a_run_replaces_the_earlier_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mailbox.sock");
    let (mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
    let (_first, mut first_incoming) = Client::connect(path.clone(), "run-1".to_owned(), token());
    assert_eq!(next(&mut deliveries).await.event, Event::Connected);
    assert_eq!(next(&mut first_incoming).await, Incoming::Connected);
    let (_second, mut second_incoming) = Client::connect(path, "run-1".to_owned(), token());
    assert_eq!(next(&mut second_incoming).await, Incoming::Connected);
    assert_eq!(next(&mut first_incoming).await, Incoming::Disconnected);
    assert!(mailbox.connected("run-1"));
}

#[tokio::test]
async fn socket_is_private_and_its_path_may_be_long() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    let path = deep.join("mailbox.sock");
    let (_mailbox, mut deliveries) = Mailbox::bind(&path, verifier()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (_client, mut incoming) = Client::connect(path, "run-1".to_owned(), token());
    assert_eq!(next(&mut incoming).await, Incoming::Connected);
    assert_eq!(next(&mut deliveries).await.event, Event::Connected);
}

//! The supervisor's side of the mailbox: says hello, sends reports until they are acknowledged,
//! and takes orders.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kennel_client::SharedCredentials;
use kennel_exec::Entry;
use kennel_exec::mailbox::{Client, Incoming};
use kennel_wire::run::{Credentials, Event, Order, Report};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;

use crate::clock::now_ms;
use crate::limits::{RESEND_AFTER, SEND_TIMEOUT, SERVER_AWAY_MAX};
use crate::state::State;

/// How often the time without a server is looked at.
const AWAY_CHECK: Duration = Duration::from_millis(250);

/// What the server asked for so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub credentials: Option<Credentials>,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop: Option<u64>,
    pub abandon: bool,
    /// Everything that was reported is recorded by the server.
    pub all_acknowledged: bool,
}

/// Why the supervisor gives its work up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GiveUp {
    /// The server does not want this run any more.
    Abandoned,
    /// No server for [`SERVER_AWAY_MAX`].
    ServerAway,
}

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Post {
    client: Client,
    state: Arc<State>,
    generation: u64,
    asked: Arc<watch::Sender<Asked>>,
    shared: SharedCredentials,
}

impl Post {
    /// Connects in the background, and goes on until `shutdown`.
    pub fn open(
        mailbox: PathBuf,
        entry: &Entry,
        generation: u64,
        state: Arc<State>,
        shutdown: CancellationToken,
    ) -> Self {
        let (client, incoming) =
            Client::connect(mailbox, entry.run_id.clone(), entry.token.clone());
        let asked =
            Asked { all_acknowledged: state.unacknowledged().is_empty(), ..Asked::default() };
        let nobody = kennel_client::Credentials {
            access_key_id: String::new(),
            secret_access_key: String::new(),
            session_token: None,
        };
        let post = Self {
            client,
            state,
            generation,
            asked: Arc::new(watch::Sender::new(asked)),
            shared: SharedCredentials::new(nobody),
        };
        tokio::spawn(post.clone().serve(incoming, shutdown));
        post
    }

    /// Signs with the newest session; empty before the welcome.
    pub fn credentials(&self) -> SharedCredentials {
        self.shared.clone()
    }

    /// What was asked so far, and what will be.
    pub fn asked(&self) -> watch::Receiver<Asked> {
        self.asked.subscribe()
    }

    pub fn session(&self) -> Option<Credentials> {
        self.asked.borrow().credentials.clone()
    }

    /// Keeps the event durably and sends it; it is sent again until it is acknowledged.
    pub async fn report(&self, event: Event) -> std::io::Result<()> {
        let state = Arc::clone(&self.state);
        let at_ms = now_ms();
        let added = tokio::task::spawn_blocking(move || state.add(event, at_ms)).await;
        let report = added.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)))?;
        self.asked.send_modify(|asked| asked.all_acknowledged = false);
        self.send(&report).await;
        Ok(())
    }

    /// Waits for the first welcome.
    pub async fn welcomed(&self) {
        let mut asked = self.asked();
        let _closed = asked.wait_for(|asked| asked.credentials.is_some()).await;
    }

    /// Waits for a stop; gives its grace.
    pub async fn stopped(&self) -> u64 {
        let mut asked = self.asked();
        loop {
            if let Some(grace_secs) = asked.borrow_and_update().stop {
                return grace_secs;
            }
            if asked.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub async fn all_acknowledged(&self) {
        let mut asked = self.asked();
        let _closed = asked.wait_for(|asked| asked.all_acknowledged).await;
    }

    /// Resolves when the work is not worth going on.
    pub async fn given_up(&self) -> GiveUp {
        let mut asked = self.asked();
        loop {
            if asked.borrow_and_update().abandon || self.client.refused() {
                return GiveUp::Abandoned;
            }
            if self.client.server_away().is_some_and(|away| away >= SERVER_AWAY_MAX) {
                return GiveUp::ServerAway;
            }
            tokio::select! {
                _ = asked.changed() => {}
                () = tokio::time::sleep(AWAY_CHECK) => {}
            }
        }
    }

    async fn serve(self, mut incoming: mpsc::Receiver<Incoming>, shutdown: CancellationToken) {
        let mut resend = interval_at(Instant::now() + RESEND_AFTER, RESEND_AFTER);
        resend.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = incoming.recv() => event,
                _ = resend.tick() => {
                    if self.client.server_away().is_none() {
                        // The server may have failed to make the credentials the first time.
                        if self.asked.borrow().credentials.is_none() {
                            self.hello().await;
                        }
                        self.send_unacknowledged().await;
                    }
                    continue;
                }
            };
            match event {
                Some(Incoming::Connected) => {
                    self.hello().await;
                    self.send_unacknowledged().await;
                }
                Some(Incoming::Frame(frame)) => self.obey(&frame).await,
                Some(Incoming::Disconnected) => tracing::info!("the server is away"),
                None => return,
            }
        }
    }

    async fn hello(&self) {
        let event = Event::Hello { pid: std::process::id() };
        let report = Report { generation: self.generation, sequence: 0, at_ms: now_ms(), event };
        self.send(&report).await;
    }

    async fn send_unacknowledged(&self) {
        for report in self.state.unacknowledged() {
            self.send(&report).await;
        }
    }

    /// What cannot be sent now is sent at the next connection.
    async fn send(&self, report: &Report) {
        if self.client.server_away().is_some() {
            return;
        }
        let Ok(frame) = serde_json::to_vec(report) else { return };
        match tokio::time::timeout(SEND_TIMEOUT, self.client.send(&frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a report was not sent"),
            Err(_) => tracing::warn!("a report could not be sent in time"),
        }
    }

    async fn obey(&self, frame: &[u8]) {
        let order = match serde_json::from_slice::<Order>(frame) {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(%error, "an order cannot be read");
                return;
            }
        };
        match order {
            Order::Welcome { credentials } | Order::Renew { credentials } => {
                self.shared.replace(credentials.clone().into());
                self.asked.send_modify(|asked| asked.credentials = Some(credentials));
            }
            Order::Acknowledged { sequence } => self.acknowledge(sequence).await,
            Order::Stop { grace_secs } => {
                self.asked.send_modify(|asked| asked.stop = asked.stop.or(Some(grace_secs)));
            }
            Order::Abandon => self.asked.send_modify(|asked| asked.abandon = true),
        }
    }

    async fn acknowledge(&self, sequence: u64) {
        let state = Arc::clone(&self.state);
        let acknowledged = tokio::task::spawn_blocking(move || state.acknowledge(sequence)).await;
        if !matches!(acknowledged, Ok(Ok(()))) {
            tracing::warn!(sequence, "an acknowledgement could not be written");
        }
        let all = self.state.unacknowledged().is_empty();
        self.asked.send_modify(|asked| asked.all_acknowledged = all);
    }
}

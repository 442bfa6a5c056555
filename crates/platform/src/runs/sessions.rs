//! The role's session of a run: made when its supervisor says hello, renewed before it expires,
//! revoked at the end.

use kennel_wire::run::{Credentials, Order};

use super::run::{RunRecord, Session};
use super::{Error, Runs};
use crate::limits::{RUN_SESSION_RENEW_SECS, RUN_SESSION_SECS};

impl Runs {
    /// The newest session while it is good for a while yet, otherwise a new one.
    pub(super) async fn credentials(&self, record: &RunRecord) -> Result<Credentials, Error> {
        if let Some(session) = record.sessions.last()
            && !self.is_due(session)
            && let Some(key) = self.identity.find_key(&session.access_key_id).await?
            && let Some(session_token) = key.session_token
        {
            return Ok(Credentials {
                access_key_id: session.access_key_id.clone(),
                secret_access_key: key.secret,
                session_token,
                expires_at_ms: session.expires_at_ms,
            });
        }
        self.new_session(record).await
    }

    /// Hands out a new session where the newest one nears its end.
    pub(super) async fn renew(&self, record: &RunRecord) -> Result<(), Error> {
        let run_id = &record.run.run_id;
        match record.sessions.last() {
            Some(session) if self.is_due(session) && self.mailbox.connected(run_id) => {
                let credentials = self.new_session(record).await?;
                self.order(run_id, &Order::Renew { credentials }).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn revoke(&self, record: &RunRecord) -> Result<(), Error> {
        for session in &record.sessions {
            self.identity.revoke_session(&session.access_key_id).await?;
        }
        Ok(())
    }

    /// The sessions before it stay until they expire: requests signed with them may be on their
    /// way.
    async fn new_session(&self, record: &RunRecord) -> Result<Credentials, Error> {
        let credentials = self
            .identity
            .create_session(
                &record.role_arn,
                &record.session_name,
                record.policies.clone(),
                RUN_SESSION_SECS,
            )
            .await?;
        let now_ms = self.clock.now_ms();
        let session = Session {
            access_key_id: credentials.access_key_id.clone(),
            expires_at_ms: credentials.expires_at_ms,
        };
        self.ledger
            .update(&record.run.run_id, |record| {
                record.sessions.retain(|session| session.expires_at_ms > now_ms);
                if !record.sessions.contains(&session) {
                    record.sessions.push(session.clone());
                }
            })
            .await?;
        Ok(credentials)
    }

    fn is_due(&self, session: &Session) -> bool {
        let renew_ms = i64::try_from(RUN_SESSION_RENEW_SECS * 1000).unwrap_or(i64::MAX);
        session.expires_at_ms.saturating_sub(self.clock.now_ms()) < renew_ms
    }
}

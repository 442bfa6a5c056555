//! Who may ask: the root key and the sessions of roles.
//!
//! Every live session is in memory, so that a signature is checked without reading a record; the
//! record comes first, so that a session outlives the server. Nothing here decides what a
//! principal may do, and no secret is ever printed: `Debug` shows access key ids alone.

mod key;
mod session;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kennel_store::{Expect, Records, Write, records};
use kennel_wire::Arn;
use kennel_wire::run::Credentials;

use crate::{Backends, Clock, Config, limits};

pub use key::RootKey;
use session::Session;

/// Sessions by access key id.
pub const TABLE: &str = "sessions";

/// An access key as a signature check needs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub secret: String,
    /// A request signed with this key must carry exactly this token.
    pub session_token: Option<String>,
    pub expires_at_ms: Option<i64>,
    pub principal: Principal,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Key({:?})", self.principal)
    }
}

/// Whom a key stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    Root,
    Session {
        role_arn: String,
        /// `AROA` and 16 characters; the same for every session of a role.
        role_id: String,
        session_name: String,
        /// IAM policy documents; each must allow what the session does.
        policies: Vec<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not the ARN of a role of this account")]
    BadRole(String),
    #[error("more than {} sessions are in use", limits::SESSIONS_MAX)]
    TooManySessions,
    #[error("an access key id is 16 to 128 letters and digits")]
    BadAccessKeyId,
    #[error("a secret access key is 16 to 128 visible characters without spaces")]
    BadSecret,
    #[error("the credentials file has no `{0}`")]
    BadCredentialsFile(&'static str),
    #[error("no random numbers are to be had")]
    Random(#[source] getrandom::Error),
    #[error("a session's record cannot be read")]
    Corrupt(#[source] serde_json::Error),
    #[error("sessions cannot be recorded")]
    Store(#[from] records::Error),
}

pub struct Identity {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    account: String,
    root: RootKey,
    sessions: RwLock<HashMap<String, Session>>,
}

impl Identity {
    /// Reads the sessions that are still good.
    pub async fn open(backends: &Backends, config: &Config, root: RootKey) -> Result<Self, Error> {
        let identity = Self {
            records: backends.records.clone(),
            clock: backends.clock.clone(),
            account: config.account.clone(),
            root,
            sessions: RwLock::default(),
        };
        identity.load().await?;
        Ok(identity)
    }

    pub fn root_key(&self) -> &RootKey {
        &self.root
    }

    /// By access key id; `None` if unknown. An expired session is found for a while, so that its
    /// user can be told that it expired; see [`Key::expires_at_ms`].
    pub async fn find_key(&self, access_key_id: &str) -> Result<Option<Key>, Error> {
        if access_key_id == self.root.access_key_id {
            return Ok(Some(Key {
                secret: self.root.secret_access_key.clone(),
                session_token: None,
                expires_at_ms: None,
                principal: Principal::Root,
            }));
        }
        Ok(self.read().get(access_key_id).map(Session::to_key))
    }

    /// Creates a session of a role: random, recorded, good for `duration_secs` and bounded by
    /// `policies`, each of which must allow what the session does.
    pub async fn create_session(
        &self,
        role_arn: &str,
        session_name: &str,
        policies: Vec<String>,
        duration_secs: u64,
    ) -> Result<Credentials, Error> {
        self.check_role(role_arn)?;
        self.forget_expired().await?;
        if self.read().len() >= limits::SESSIONS_MAX {
            return Err(Error::TooManySessions);
        }
        let duration_secs = duration_secs.min(limits::SESSION_SECS_MAX);
        let duration_ms = i64::try_from(duration_secs).unwrap_or(i64::MAX / 1000) * 1000;
        let expires_at_ms = self.clock.now_ms() + duration_ms;
        let session = Session::random(role_arn, session_name, policies, expires_at_ms)?;
        self.records
            .commit(vec![Write::Put {
                table: TABLE,
                key: session.access_key_id.clone(),
                value: session.to_json()?,
                expect: Expect::Absent,
            }])
            .await?;
        let credentials = session.to_credentials();
        self.write().insert(session.access_key_id.clone(), session);
        Ok(credentials)
    }

    /// Ends one session at once. Idempotent.
    pub async fn revoke_session(&self, access_key_id: &str) -> Result<(), Error> {
        self.revoke(vec![access_key_id.to_owned()]).await
    }

    /// Ends every session of a role with this name at once. Idempotent.
    pub async fn revoke_sessions(&self, role_arn: &str, session_name: &str) -> Result<(), Error> {
        let ids = self
            .ids_of(|session| session.role_arn == role_arn && session.session_name == session_name);
        self.revoke(ids).await
    }

    async fn load(&self) -> Result<(), Error> {
        let mut after: Option<String> = None;
        loop {
            let page = self.records.list(TABLE, "", after.as_deref(), limits::SCAN_RECORDS).await?;
            for record in &page {
                let session = Session::from_json(&record.value)?;
                self.write().insert(session.access_key_id.clone(), session);
            }
            match page.last() {
                Some(last) => after = Some(last.key.clone()),
                None => break,
            }
        }
        self.forget_expired().await
    }

    async fn forget_expired(&self) -> Result<(), Error> {
        let before = self.clock.now_ms() - limits::EXPIRED_SESSION_KEPT_MS;
        let ids = self.ids_of(|session| session.expires_at_ms < before);
        self.revoke(ids).await
    }

    async fn revoke(&self, ids: Vec<String>) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        // Memory first: from here on the key opens nothing, whatever becomes of the record.
        for id in &ids {
            self.write().remove(id);
        }
        let delete = |key| Write::Delete { table: TABLE, key, expect: Expect::Any };
        self.records.commit(ids.into_iter().map(delete).collect()).await?;
        Ok(())
    }

    fn check_role(&self, role_arn: &str) -> Result<(), Error> {
        let role = Arn::parse(role_arn).filter(|arn| {
            arn.service == "iam"
                && arn.account == self.account
                && arn.resource.starts_with("role/")
                && !arn.resource_name().is_empty()
        });
        role.map(|_| ()).ok_or_else(|| Error::BadRole(role_arn.to_owned()))
    }

    fn ids_of(&self, wanted: impl Fn(&Session) -> bool) -> Vec<String> {
        let sessions = self.read();
        let wanted = sessions.values().filter(|session| wanted(session));
        wanted.map(|session| session.access_key_id.clone()).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, Session>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, Session>> {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

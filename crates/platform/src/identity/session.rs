//! One session of a role, as it is recorded.

use kennel_wire::run::Credentials;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::key::{id_of, random_id, random_secret, random_token};
use super::{Error, Key, Principal};

/// The secret is recorded as it is: a signature cannot be verified with less, and the records lie
/// in a directory that only the server's user can read.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub role_arn: String,
    pub session_name: String,
    pub policies: Vec<String>,
    pub expires_at_ms: i64,
}

impl Session {
    pub fn random(
        role_arn: &str,
        session_name: &str,
        policies: Vec<String>,
        expires_at_ms: i64,
    ) -> Result<Self, Error> {
        Ok(Self {
            access_key_id: random_id("ASIA")?,
            secret_access_key: random_secret()?,
            session_token: random_token()?,
            role_arn: role_arn.to_owned(),
            session_name: session_name.to_owned(),
            policies,
            expires_at_ms,
        })
    }

    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::Corrupt)
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(Error::Corrupt)
    }

    pub fn to_key(&self) -> Key {
        Key {
            secret: self.secret_access_key.clone(),
            session_token: Some(self.session_token.clone()),
            expires_at_ms: Some(self.expires_at_ms),
            principal: Principal::Session {
                role_arn: self.role_arn.clone(),
                role_id: role_id(&self.role_arn),
                session_name: self.session_name.clone(),
                policies: self.policies.clone(),
            },
        }
    }

    pub fn to_credentials(&self) -> Credentials {
        Credentials {
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
            session_token: self.session_token.clone(),
            expires_at_ms: self.expires_at_ms,
        }
    }
}

/// Roles are only names so far, so that the name is all an id can come from.
fn role_id(role_arn: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(role_arn.as_bytes()).into();
    let mut bytes = [0; 16];
    for (byte, from) in bytes.iter_mut().zip(digest) {
        *byte = from;
    }
    id_of("AROA", bytes)
}

//! Finds the secret a request claims to be signed with.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_platform::Platform;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3Result, s3_error};

pub(super) struct Keys {
    platform: Arc<Platform>,
}

impl Keys {
    pub fn new(platform: Arc<Platform>) -> Self {
        Self { platform }
    }
}

#[async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key_id: &str) -> S3Result<SecretKey> {
        let key = self.platform.identity.find_key(access_key_id).await;
        match key.map_err(S3Error::internal_error)? {
            Some(key) => Ok(SecretKey::from(key.secret)),
            None => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

//! Tags of SageMaker resources: one document for each ARN.
//!
//! A resource's tags are written in the commit that creates it and removed in the commit that
//! deletes it, so that a later resource of the same name inherits nothing.

use std::sync::Arc;

use kennel_store::{Expect, Records, Write, records};
use serde::{Deserialize, Serialize};

use crate::Backends;
use crate::limits::{COMMIT_ATTEMPTS_MAX, TAGS_OF_A_RESOURCE_MAX};

pub const TABLE: &str = "tags";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

/// Reads and changes the tags of existing resources. Whether a resource exists is the caller's
/// to know.
pub struct Tags {
    records: Arc<dyn Records>,
}

impl Tags {
    pub fn new(backends: &Backends) -> Self {
        Self { records: Arc::clone(&backends.records) }
    }

    /// All tags, in the order they were first given.
    pub async fn list(&self, arn: &str) -> Result<Vec<Tag>, Error> {
        match self.records.get(TABLE, arn).await? {
            Some(record) => decode(arn, &record.value),
            None => Ok(Vec::new()),
        }
    }

    /// Adds tags, or gives a new value to those whose key is there; returns all. Fails whole
    /// where there would be too many.
    pub async fn add(&self, arn: &str, added: &[Tag]) -> Result<Vec<Tag>, Error> {
        self.change(arn, |tags| {
            for tag in added {
                match tags.iter_mut().find(|present| present.key == tag.key) {
                    Some(present) => present.value.clone_from(&tag.value),
                    None => tags.push(tag.clone()),
                }
            }
            if tags.len() > TAGS_OF_A_RESOURCE_MAX {
                return Err(Error::TooMany { arn: arn.to_owned() });
            }
            Ok(())
        })
        .await
    }

    /// Idempotent: keys that are not there are no error.
    pub async fn delete(&self, arn: &str, keys: &[String]) -> Result<(), Error> {
        let remove = |tags: &mut Vec<Tag>| {
            tags.retain(|tag| !keys.contains(&tag.key));
            Ok(())
        };
        self.change(arn, remove).await.map(drop)
    }

    async fn change(
        &self,
        arn: &str,
        apply: impl Fn(&mut Vec<Tag>) -> Result<(), Error>,
    ) -> Result<Vec<Tag>, Error> {
        let mut attempts = 0;
        loop {
            let found = self.records.get(TABLE, arn).await?;
            let mut tags = match &found {
                Some(record) => decode(arn, &record.value)?,
                None => Vec::new(),
            };
            apply(&mut tags)?;
            let expect = match &found {
                Some(record) => Expect::Revision(record.revision),
                None => Expect::Absent,
            };
            attempts += 1;
            match self.records.commit(vec![write(arn, &tags, expect)]).await {
                Ok(_) => return Ok(tags),
                Err(records::Error::Conflict { .. }) if attempts < COMMIT_ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// For the commit that creates the resource.
pub fn on_create(arn: &str, tags: &[Tag]) -> Write {
    write(arn, tags, Expect::Any)
}

/// For the commit that deletes the resource.
pub fn on_delete(arn: &str) -> Write {
    write(arn, &[], Expect::Any)
}

fn write(arn: &str, tags: &[Tag], expect: Expect) -> Write {
    let key = arn.to_owned();
    match serde_json::to_vec(tags) {
        Ok(value) if !tags.is_empty() => Write::Put { table: TABLE, key, value, expect },
        // Pairs of strings always have a JSON form, so this arm is that of no tags.
        _ => Write::Delete { table: TABLE, key, expect },
    }
}

fn decode(arn: &str, value: &[u8]) -> Result<Vec<Tag>, Error> {
    serde_json::from_slice(value)
        .map_err(|source| Error::Unreadable { arn: arn.to_owned(), source })
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{arn}` would have more than {TAGS_OF_A_RESOURCE_MAX} tags")]
    TooMany { arn: String },
    #[error("the tags of `{arn}` cannot be read")]
    Unreadable {
        arn: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("the record store failed")]
    Store(#[from] records::Error),
}

#[cfg(test)]
mod tests {
    use kennel_store::memory::MemoryRecords;

    use super::*;

    const ARN: &str = "arn:aws:sagemaker:us-east-1:123456789012:training-job/dogs";

    fn tags() -> Tags {
        Tags { records: Arc::new(MemoryRecords::new()) }
    }

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: key.to_owned(), value: value.to_owned() }
    }

    #[tokio::test]
    async fn added_tags_replace_values_and_keep_their_place() {
        let tags = tags();
        tags.add(ARN, &[tag("a", "1"), tag("b", "2")]).await.unwrap();
        let all = tags.add(ARN, &[tag("a", "3"), tag("c", "4")]).await.unwrap();
        assert_eq!(all, [tag("a", "3"), tag("b", "2"), tag("c", "4")]);
        assert_eq!(tags.list(ARN).await.unwrap(), all);
    }

    #[tokio::test]
    async fn too_many_tags_change_nothing() {
        let tags = tags();
        let fifty: Vec<Tag> = (0..50).map(|n| tag(&format!("k{n}"), "")).collect();
        tags.add(ARN, &fifty).await.unwrap();
        let error = tags.add(ARN, &[tag("k0", "x"), tag("one-more", "")]).await.unwrap_err();
        assert!(matches!(error, Error::TooMany { .. }));
        assert_eq!(tags.list(ARN).await.unwrap(), fifty);
    }

    #[tokio::test]
    async fn deleting_is_idempotent_and_the_last_leaves_no_record() {
        let tags = tags();
        tags.add(ARN, &[tag("a", "1")]).await.unwrap();
        tags.delete(ARN, &["a".to_owned(), "absent".to_owned()]).await.unwrap();
        tags.delete(ARN, &["a".to_owned()]).await.unwrap();
        assert!(tags.list(ARN).await.unwrap().is_empty());
        assert!(tags.records.get(TABLE, ARN).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_new_resource_inherits_no_tags() {
        let tags = tags();
        tags.add(ARN, &[tag("old", "1")]).await.unwrap();
        tags.records.commit(vec![on_create(ARN, &[])]).await.unwrap();
        assert!(tags.list(ARN).await.unwrap().is_empty());
    }
}

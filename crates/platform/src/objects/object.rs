//! Objects: put, head, tag, copy, delete.

use kennel_store::{BlobId, Expect, Revision, Write, records};

use super::Objects;
use super::checksum::Algorithm;
use super::document::{
    self, Attributes, Content, MANIFESTS, Manifest, OBJECTS, Object, ObjectMeta, Stored, Tags,
    object_key,
};
use super::error::Error;
use super::read::Download;
use super::receive::{self, Received};
use crate::limits::{OBJECT_BYTES_MAX, OBJECT_COMMIT_ATTEMPTS};

/// What is said of an object when it is put.
#[derive(Debug, Clone, Default)]
pub struct NewObject {
    pub attributes: Attributes,
    pub tags: Tags,
    /// The checksum to keep; it must have been computed by [`Objects::receive`].
    pub checksum: Option<Algorithm>,
}

/// What must hold of the object that is there, if any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Condition {
    #[default]
    None,
    /// `If-None-Match: *`
    Absent,
    /// `If-Match: *`
    Present,
    /// `If-Match: "etag"`, here without quotes.
    Etag(String),
}

impl Objects {
    pub async fn head(&self, bucket: &str, key: &str) -> Result<ObjectMeta, Error> {
        Ok(self.stored_object(bucket, key).await?.value.meta)
    }

    /// Commits a received body under the key; what was there before is gone afterwards.
    pub async fn put(
        &self,
        bucket: &str,
        key: &str,
        received: Received,
        new: NewObject,
        condition: &Condition,
    ) -> Result<ObjectMeta, Error> {
        let meta = ObjectMeta {
            size: received.size(),
            etag: received.etag(),
            modified_ms: self.clock.now_ms(),
            checksum: new.checksum.and_then(|algorithm| received.checksum(algorithm)),
            parts: None,
            attributes: new.attributes,
            tags: new.tags,
        };
        let (blob, _writing) = received.commit().await?;
        let object = Object { meta, content: receive::content(blob.clone()) };
        let kept = self.replace(bucket, key, condition, &object, &[]).await;
        if kept.is_err()
            && let Some(blob) = blob
        {
            self.discard(blob.as_str(), vec![blob.clone()]).await;
        }
        kept?;
        Ok(object.meta)
    }

    /// Copies what `source` reads to the key. A copy onto itself that keeps the checksum's
    /// algorithm moves no byte.
    pub async fn copy(
        &self,
        source: Download,
        bucket: &str,
        key: &str,
        new: NewObject,
        condition: &Condition,
    ) -> Result<ObjectMeta, Error> {
        let algorithm = source.meta.checksum.as_ref().map(|checksum| checksum.algorithm);
        if source.is_of(bucket, key) && (new.checksum.is_none() || new.checksum == algorithm) {
            return self.restate(&source, bucket, key, new, condition).await;
        }
        let new = NewObject { checksum: new.checksum.or(algorithm), ..new };
        let size = source.meta.size;
        let mut body = source.read(0..size).await?;
        let algorithms: Vec<Algorithm> = new.checksum.into_iter().collect();
        let received = self.receive(&mut body, &algorithms, OBJECT_BYTES_MAX).await?;
        self.put(bucket, key, received, new, condition).await
    }

    /// New attributes and tags for bytes that stay where they are.
    async fn restate(
        &self,
        source: &Download,
        bucket: &str,
        key: &str,
        new: NewObject,
        condition: &Condition,
    ) -> Result<ObjectMeta, Error> {
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let Stored { value: mut object, revision } = self.stored_object(bucket, key).await?;
            if object.content != *source.content() {
                return Err(Error::Contended);
            }
            check(condition, Some(&object.meta), key)?;
            object.meta.attributes = new.attributes.clone();
            object.meta.tags = new.tags.clone();
            object.meta.modified_ms = self.clock.now_ms();
            if self.rewrite(bucket, key, &object, revision).await? {
                return Ok(object.meta);
            }
        }
        Err(Error::Contended)
    }

    pub async fn tag(&self, bucket: &str, key: &str, tags: Tags) -> Result<(), Error> {
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let Stored { value: mut object, revision } = self.stored_object(bucket, key).await?;
            object.meta.tags = tags.clone();
            if self.rewrite(bucket, key, &object, revision).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Deletes the object. An absent key is no error, unless the condition asks for one.
    pub async fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> Result<(), Error> {
        self.stored_bucket(bucket).await?;
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let old = self.find(bucket, key).await?;
            check(condition, old.as_ref().map(|old| &old.value.meta), key)?;
            let Some(old) = old else { return Ok(()) };
            let blobs = self.blobs_of(&old.value.content).await?;
            let mut writes = vec![Write::Delete {
                table: OBJECTS,
                key: object_key(bucket, key),
                expect: Expect::Revision(old.revision),
            }];
            writes.extend(delete_manifest(&old.value.content));
            if committed(self.records.commit(writes).await)?.is_some() {
                self.discard(unit(&old.value.content), blobs).await;
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Writes the object's record in place of what is there, with `also` in the same batch, and
    /// gives up the bytes of what was there. A conflict on a write of `also` is the caller's.
    pub(super) async fn replace(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
        object: &Object,
        also: &[Write],
    ) -> Result<(), Error> {
        let record_key = object_key(bucket, key);
        let value = document::write(OBJECTS, &record_key, object)?;
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let mut writes = vec![self.bucket_check(bucket).await?];
            let old = self.find(bucket, key).await?;
            check(condition, old.as_ref().map(|old| &old.value.meta), key)?;
            let blobs = match &old {
                Some(old) => self.blobs_of(&old.value.content).await?,
                None => Vec::new(),
            };
            let expect = old.as_ref().map_or(Expect::Absent, |old| Expect::Revision(old.revision));
            writes.push(Write::Put {
                table: OBJECTS,
                key: record_key.clone(),
                value: value.clone(),
                expect,
            });
            writes.extend(old.as_ref().and_then(|old| delete_manifest(&old.value.content)));
            writes.extend(also.iter().cloned());
            match self.records.commit(writes).await {
                Ok(_) => {
                    if let Some(old) = old {
                        self.discard(unit(&old.value.content), blobs).await;
                    }
                    return Ok(());
                }
                Err(records::Error::Conflict { table, .. })
                    if table == OBJECTS || table == document::BUCKETS => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }

    /// Writes a changed record where it is still the one that was read; false where it is not.
    async fn rewrite(
        &self,
        bucket: &str,
        key: &str,
        object: &Object,
        revision: Revision,
    ) -> Result<bool, Error> {
        let key = object_key(bucket, key);
        let value = document::write(OBJECTS, &key, object)?;
        let put = Write::Put { table: OBJECTS, key, value, expect: Expect::Revision(revision) };
        Ok(committed(self.records.commit(vec![put]).await)?.is_some())
    }

    pub(super) async fn find(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Stored<Object>>, Error> {
        let found = self.records.get(OBJECTS, &object_key(bucket, key)).await?;
        found.map(|record| document::read(OBJECTS, &record)).transpose()
    }

    pub(super) async fn stored_object(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Stored<Object>, Error> {
        if let Some(found) = self.find(bucket, key).await? {
            return Ok(found);
        }
        self.stored_bucket(bucket).await?;
        Err(Error::NoSuchKey(key.to_owned()))
    }

    pub(super) async fn manifest(&self, id: &str) -> Result<Manifest, Error> {
        match self.records.get(MANIFESTS, id).await? {
            Some(record) => Ok(document::read(MANIFESTS, &record)?.value),
            // An object and its manifest are written and deleted together.
            None => Err(Error::Corrupt { table: MANIFESTS, key: id.to_owned() }),
        }
    }

    async fn blobs_of(&self, content: &Content) -> Result<Vec<BlobId>, Error> {
        Ok(match content {
            Content::Empty => Vec::new(),
            Content::Blob(blob) => vec![blob.0.clone()],
            // An absent manifest means that the object was replaced meanwhile: the commit this is
            // for will find out.
            Content::Manifest(id) => match self.records.get(MANIFESTS, id).await? {
                Some(record) => document::read::<Manifest>(MANIFESTS, &record)?
                    .value
                    .parts
                    .into_iter()
                    .filter_map(|part| part.blob)
                    .map(|blob| blob.0)
                    .collect(),
                None => Vec::new(),
            },
        })
    }

    /// Deletes blobs no record names any more, as soon as nobody reads them. What fails here is
    /// left to the sweep at the next start.
    pub(super) async fn discard(&self, unit: &str, blobs: Vec<BlobId>) {
        if blobs.is_empty() {
            return;
        }
        self.delete_blobs(self.leases.discard(unit, blobs)).await;
    }

    pub(super) async fn delete_blobs(&self, blobs: Vec<BlobId>) {
        for blob in blobs {
            if let Err(error) = self.blobs.delete(&blob).await {
                tracing::warn!(%blob, %error, "a blob nobody names could not be deleted");
            }
        }
    }
}

/// The unit of [`super::leases`] that keeps the content's blobs.
pub(super) fn unit(content: &Content) -> &str {
    match content {
        Content::Empty => "",
        Content::Blob(blob) => blob.0.as_str(),
        Content::Manifest(id) => id,
    }
}

/// `Some` where the batch was committed, `None` where an expectation did not hold.
pub(super) fn committed(
    result: Result<Revision, records::Error>,
) -> Result<Option<Revision>, Error> {
    match result {
        Ok(revision) => Ok(Some(revision)),
        Err(records::Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn delete_manifest(content: &Content) -> Option<Write> {
    match content {
        Content::Manifest(id) => {
            Some(Write::Delete { table: MANIFESTS, key: id.clone(), expect: Expect::Any })
        }
        Content::Empty | Content::Blob(_) => None,
    }
}

fn check(condition: &Condition, found: Option<&ObjectMeta>, key: &str) -> Result<(), Error> {
    match (condition, found) {
        (Condition::None, _) | (Condition::Absent, None) | (Condition::Present, Some(_)) => Ok(()),
        (Condition::Absent, Some(_)) => Err(Error::PreconditionFailed("If-None-Match")),
        (Condition::Present | Condition::Etag(_), None) => Err(Error::NoSuchKey(key.to_owned())),
        (Condition::Etag(etag), Some(meta)) if *etag == meta.etag => Ok(()),
        (Condition::Etag(_), Some(_)) => Err(Error::PreconditionFailed("If-Match")),
    }
}

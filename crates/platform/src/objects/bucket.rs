//! Buckets: create, look up, list, tag, delete.

use kennel_store::{Expect, Revision, Write, records};

use super::document::{self, BUCKETS, Bucket, OBJECTS, Stored, Tags, UPLOADS};
use super::error::Error;
use super::{Objects, object};
use crate::limits::{LIST_READ_MAX, OBJECT_COMMIT_ATTEMPTS};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBucket {
    pub name: String,
    pub bucket: Bucket,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketPage {
    pub buckets: Vec<NamedBucket>,
    /// Whether there are more after the last.
    pub is_truncated: bool,
}

impl Objects {
    pub async fn create_bucket(&self, name: &str, tags: Tags) -> Result<Bucket, Error> {
        let bucket = Bucket { created_ms: self.clock.now_ms(), tags, deleting: false };
        let put = put(name, &bucket, Expect::Absent)?;
        match self.records.commit(vec![put]).await {
            Ok(_) => Ok(bucket),
            Err(records::Error::Conflict { .. }) => Err(Error::BucketExists(name.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn bucket(&self, name: &str) -> Result<Bucket, Error> {
        Ok(self.stored_bucket(name).await?.value)
    }

    pub async fn bucket_exists(&self, name: &str) -> Result<bool, Error> {
        match self.stored_bucket(name).await {
            Ok(_) => Ok(true),
            Err(Error::NoSuchBucket(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Buckets whose name starts with `prefix`, in order, after `start_after`.
    pub async fn list_buckets(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<BucketPage, Error> {
        let wanted = limit.saturating_add(1);
        let mut found = self.records.list(BUCKETS, prefix, start_after, wanted).await?;
        let is_truncated = found.len() > limit;
        found.truncate(limit);
        let mut buckets = Vec::with_capacity(found.len());
        for record in found {
            let bucket = document::read(BUCKETS, &record)?.value;
            buckets.push(NamedBucket { name: record.key, bucket });
        }
        Ok(BucketPage { buckets, is_truncated })
    }

    pub async fn tag_bucket(&self, name: &str, tags: Tags) -> Result<(), Error> {
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let Stored { value: mut bucket, revision } = self.stored_bucket(name).await?;
            bucket.tags.clone_from(&tags);
            let put = put(name, &bucket, Expect::Revision(revision))?;
            if object::committed(self.records.commit(vec![put]).await)?.is_some() {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Deletes an empty bucket, with the uploads that were never completed in it.
    ///
    /// The record is marked first, which makes every write under way fail its check of the
    /// bucket; only then does a look that finds no object prove that there will be none.
    pub async fn delete_bucket(&self, name: &str) -> Result<(), Error> {
        let Stored { value: mut bucket, revision } = self.stored_bucket(name).await?;
        // Before the mark, so that a deletion that cannot be does not get in anybody's way.
        self.check_empty(name).await?;
        bucket.deleting = true;
        let mark = put(name, &bucket, Expect::Revision(revision))?;
        let Some(marked) = object::committed(self.records.commit(vec![mark]).await)? else {
            return Err(Error::BucketBusy(name.to_owned()));
        };
        match self.delete_marked(name, marked).await {
            Ok(()) => Ok(()),
            Err(error) => {
                bucket.deleting = false;
                let unmark = put(name, &bucket, Expect::Revision(marked))?;
                object::committed(self.records.commit(vec![unmark]).await)?;
                Err(error)
            }
        }
    }

    async fn delete_marked(&self, name: &str, marked: Revision) -> Result<(), Error> {
        self.check_empty(name).await?;
        let inside = format!("{name}/");
        while let Some(record) = self.records.list(UPLOADS, &inside, None, 1).await?.pop() {
            let upload = document::read(UPLOADS, &record)?;
            self.abort_stored(record.key, &upload).await?;
        }
        let delete = Write::Delete {
            table: BUCKETS,
            key: name.to_owned(),
            expect: Expect::Revision(marked),
        };
        match object::committed(self.records.commit(vec![delete]).await)? {
            Some(_) => Ok(()),
            None => Err(Error::BucketBusy(name.to_owned())),
        }
    }

    async fn check_empty(&self, name: &str) -> Result<(), Error> {
        if self.records.list(OBJECTS, &format!("{name}/"), None, 1).await?.is_empty() {
            return Ok(());
        }
        Err(Error::BucketNotEmpty(name.to_owned()))
    }

    /// A server killed in the middle of a deletion left the mark; the deletion was not
    /// acknowledged, so the bucket is as it was.
    pub(super) async fn unmark_buckets(&self) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        loop {
            let page = self.list_buckets("", cursor.as_deref(), LIST_READ_MAX).await?;
            for named in page.buckets.iter().filter(|named| named.bucket.deleting) {
                let Stored { value: mut bucket, revision } =
                    self.stored_bucket(&named.name).await?;
                bucket.deleting = false;
                let unmark = put(&named.name, &bucket, Expect::Revision(revision))?;
                object::committed(self.records.commit(vec![unmark]).await)?;
            }
            cursor = page.buckets.into_iter().last().map(|named| named.name);
            if !page.is_truncated {
                return Ok(());
            }
        }
    }

    pub(super) async fn stored_bucket(&self, name: &str) -> Result<Stored<Bucket>, Error> {
        match self.records.get(BUCKETS, name).await? {
            Some(record) => document::read(BUCKETS, &record),
            None => Err(Error::NoSuchBucket(name.to_owned())),
        }
    }

    /// The check that belongs in every batch that adds something to the bucket.
    pub(super) async fn bucket_check(&self, name: &str) -> Result<Write, Error> {
        let Stored { value, revision } = self.stored_bucket(name).await?;
        if value.deleting {
            return Err(Error::BucketBusy(name.to_owned()));
        }
        let expect = Expect::Revision(revision);
        Ok(Write::Check { table: BUCKETS, key: name.to_owned(), expect })
    }
}

fn put(name: &str, bucket: &Bucket, expect: Expect) -> Result<Write, Error> {
    let value = document::write(BUCKETS, name, bucket)?;
    Ok(Write::Put { table: BUCKETS, key: name.to_owned(), value, expect })
}

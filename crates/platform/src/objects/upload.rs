//! Multipart uploads: create, add parts, list, complete without copying, abort.

use std::collections::HashSet;

use kennel_store::{Expect, Write, records};
use md5::{Digest as _, Md5};

use super::Objects;
use super::checksum::{self, Algorithm, Checksum, Kind};
use super::document::{
    self, Attributes, Content, MANIFESTS, Manifest, ManifestPart, Object, ObjectMeta, PARTS, Part,
    Stored, StoredId, Tags, UPLOADS, Upload, part_key, upload_key,
};
use super::error::Error;
use super::list::fold;
use super::object::{Condition, committed};
use super::receive::Received;
use crate::limits::{
    LIST_READ_MAX, OBJECT_COMMIT_ATTEMPTS, PART_BYTES_MIN, PART_NUMBER_MAX, UPLOAD_ID_BYTES,
};

#[derive(Debug, Clone, Default)]
pub struct NewUpload {
    pub attributes: Attributes,
    pub tags: Tags,
    /// Where none is named, CRC64NVME over the whole object is computed all the same.
    pub checksum: Option<(Algorithm, Kind)>,
}

/// A part as the completing client knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletedPart {
    pub number: u32,
    /// Without quotes.
    pub etag: String,
    /// Base64, with its algorithm.
    pub checksum: Option<(Algorithm, String)>,
}

#[derive(Debug, Clone, Default)]
pub struct Completion {
    pub parts: Vec<CompletedPart>,
    pub condition: Condition,
    /// What the client believes of the whole; compared where given.
    pub size: Option<u64>,
    pub checksum: Option<(Algorithm, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    pub meta: ObjectMeta,
    /// Whether clients are to be told the checksum.
    pub algorithm_was_named: bool,
}

#[derive(Debug, Clone, Default)]
pub struct UploadsRequest<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// Keys after this one; with `id_marker`, also this key's uploads after that id.
    pub key_marker: Option<&'a str>,
    pub id_marker: Option<&'a str>,
    pub limit: usize,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UploadPage {
    pub uploads: Vec<Upload>,
    pub common_prefixes: Vec<String>,
    /// The key (or common prefix) and the id the page ends with, where there are more.
    pub next: Option<(String, String)>,
}

impl Objects {
    pub async fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        new: NewUpload,
    ) -> Result<Upload, Error> {
        let (algorithm, kind) = new.checksum.unwrap_or((Algorithm::Crc64Nvme, Kind::FullObject));
        let now_ms = self.clock.now_ms();
        let upload = Upload {
            key: key.to_owned(),
            id: upload_id(now_ms)?,
            initiated_ms: now_ms,
            algorithm,
            kind,
            algorithm_was_named: new.checksum.is_some(),
            attributes: new.attributes,
            tags: new.tags,
        };
        let record_key = upload_key(bucket, key, &upload.id);
        let value = document::write(UPLOADS, &record_key, &upload)?;
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let put = Write::Put {
                table: UPLOADS,
                key: record_key.clone(),
                value: value.clone(),
                expect: Expect::Absent,
            };
            let writes = vec![self.bucket_check(bucket).await?, put];
            if committed(self.records.commit(writes).await)?.is_some() {
                return Ok(upload);
            }
        }
        Err(Error::Contended)
    }

    pub async fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload, Error> {
        Ok(self.stored_upload(bucket, key, id).await?.value)
    }

    /// Keeps a received body as the part; an earlier part of that number is gone afterwards. The
    /// body must have been received with the upload's algorithm, and with `announced` where its
    /// sender named another.
    pub async fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: u32,
        received: Received,
        announced: Option<Algorithm>,
    ) -> Result<Part, Error> {
        let stored = self.stored_upload(bucket, key, id).await?;
        let algorithm = stored.value.algorithm;
        let checksum = received.checksum(algorithm).ok_or(Error::BadChecksum(algorithm))?;
        let record_key = upload_key(bucket, key, id);
        let mut part = Part {
            number,
            size: received.size(),
            etag: received.etag(),
            modified_ms: self.clock.now_ms(),
            checksum: checksum.value,
            announced: announced
                .filter(|announced| *announced != algorithm)
                .and_then(|announced| received.checksum(announced)),
            blob: None,
            upload: record_key.clone(),
        };
        let (blob, _writing) = received.commit().await?;
        part.blob = blob.clone().map(StoredId);
        let kept = self.keep_part(id, &part, record_key, stored.revision).await;
        if kept.is_err()
            && let Some(blob) = blob
        {
            self.discard(blob.as_str(), vec![blob.clone()]).await;
        }
        kept?;
        Ok(part)
    }

    async fn keep_part(
        &self,
        id: &str,
        part: &Part,
        upload: String,
        upload_revision: u64,
    ) -> Result<(), Error> {
        let key = part_key(id, part.number);
        let value = document::write(PARTS, &key, part)?;
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let old = match self.records.get(PARTS, &key).await? {
                Some(record) => Some(document::read::<Part>(PARTS, &record)?),
                None => None,
            };
            let expect = old.as_ref().map_or(Expect::Absent, |old| Expect::Revision(old.revision));
            let check = Write::Check {
                table: UPLOADS,
                key: upload.clone(),
                expect: Expect::Revision(upload_revision),
            };
            let put = Write::Put { table: PARTS, key: key.clone(), value: value.clone(), expect };
            match self.records.commit(vec![check, put]).await {
                Ok(_) => {
                    let replaced = old.and_then(|old| old.value.blob);
                    if let Some(StoredId(blob)) = replaced {
                        self.discard(blob.as_str(), vec![blob.clone()]).await;
                    }
                    return Ok(());
                }
                Err(records::Error::Conflict { table, .. }) if table == UPLOADS => {
                    return Err(Error::NoSuchUpload(id.to_owned()));
                }
                Err(records::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }

    /// Parts with a number above `after`, in order, at most `limit`, and whether there are more.
    pub async fn list_parts(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        after: u32,
        limit: usize,
    ) -> Result<(Upload, Vec<Part>, bool), Error> {
        let upload = self.stored_upload(bucket, key, id).await?.value;
        let start_after = part_key(id, after);
        let wanted = limit.saturating_add(1);
        let prefix = format!("{id}/");
        let found = self.records.list(PARTS, &prefix, Some(&start_after), wanted).await?;
        let is_truncated = found.len() > limit;
        let parts = found.iter().take(limit).map(|record| document::read(PARTS, record));
        let parts: Result<Vec<Stored<Part>>, Error> = parts.collect();
        Ok((upload, parts?.into_iter().map(|part| part.value).collect(), is_truncated))
    }

    pub async fn list_uploads(
        &self,
        bucket: &str,
        request: &UploadsRequest<'_>,
    ) -> Result<UploadPage, Error> {
        self.stored_bucket(bucket).await?;
        let mut page = UploadPage::default();
        let within = format!("{bucket}/{}", hex::encode(request.prefix));
        let mut cursor = match (request.key_marker, request.id_marker) {
            (None, _) => None,
            (Some(key), Some(id)) => Some(upload_key(bucket, key, id)),
            // `.` sorts after the `-` that precedes every id, and before the digits of a longer key.
            (Some(key), None) => Some(format!("{bucket}/{}.", hex::encode(key))),
        };
        let mut count = 0_usize;
        let mut last = (String::new(), String::new());
        loop {
            let found =
                self.records.list(UPLOADS, &within, cursor.as_deref(), LIST_READ_MAX).await?;
            for record in &found {
                let upload = document::read::<Upload>(UPLOADS, record)?.value;
                let common = fold(&upload.key, request.prefix, request.delimiter);
                if let Some(common) = common
                    && (page.common_prefixes.last().is_some_and(|before| before == common)
                        || request.key_marker == Some(common))
                {
                    continue;
                }
                if count == request.limit {
                    page.next = (count > 0).then_some(last);
                    return Ok(page);
                }
                count += 1;
                match common {
                    Some(common) => {
                        last = (common.to_owned(), String::new());
                        page.common_prefixes.push(common.to_owned());
                    }
                    None => {
                        last = (upload.key.clone(), upload.id.clone());
                        page.uploads.push(upload);
                    }
                }
            }
            if found.len() < LIST_READ_MAX {
                return Ok(page);
            }
            cursor = found.last().map(|record| record.key.clone());
        }
    }

    /// Makes the object of the named parts; bytes stay where they are. Asked again after it was
    /// done, it answers again.
    pub async fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        completion: &Completion,
    ) -> Result<Completed, Error> {
        for _ in 0..OBJECT_COMMIT_ATTEMPTS {
            let upload = match self.stored_upload(bucket, key, id).await {
                Err(Error::NoSuchUpload(id)) => return self.completed(bucket, key, id).await,
                upload => upload?,
            };
            let parts = self.stored_parts(id).await?;
            let chosen = choose(&parts, &completion.parts, &upload.value)?;
            let (object, manifest) = assemble(&chosen, &upload.value, completion)?;
            let object = Object {
                meta: ObjectMeta { modified_ms: self.clock.now_ms(), ..object },
                content: Content::Manifest(id.to_owned()),
            };
            let mut also = vec![
                Write::Delete {
                    table: UPLOADS,
                    key: upload_key(bucket, key, id),
                    expect: Expect::Revision(upload.revision),
                },
                Write::Put {
                    table: MANIFESTS,
                    key: id.to_owned(),
                    value: document::write(MANIFESTS, id, &manifest)?,
                    expect: Expect::Absent,
                },
            ];
            also.extend(parts.iter().map(|part| Write::Delete {
                table: PARTS,
                key: part_key(id, part.value.number),
                expect: Expect::Revision(part.revision),
            }));
            match self.replace(bucket, key, &completion.condition, &object, &also).await {
                Ok(()) => {}
                // A part was sent again, or somebody else completed or aborted: look again.
                Err(Error::Records(records::Error::Conflict { .. })) => continue,
                Err(error) => return Err(error),
            }
            let numbers: HashSet<u32> = chosen.iter().map(|part| part.number).collect();
            let unused = parts.iter().filter(|part| !numbers.contains(&part.value.number));
            let unused = unused.filter_map(|part| part.value.blob.clone()).map(|blob| blob.0);
            self.delete_blobs(unused.collect()).await;
            self.drop_parts(id).await?;
            let algorithm_was_named = upload.value.algorithm_was_named;
            return Ok(Completed { meta: object.meta, algorithm_was_named });
        }
        Err(Error::Contended)
    }

    /// The answer to a client that did not hear the first one.
    async fn completed(&self, bucket: &str, key: &str, id: String) -> Result<Completed, Error> {
        match self.find(bucket, key).await? {
            Some(found) if found.value.content == Content::Manifest(id.clone()) => {
                Ok(Completed { meta: found.value.meta, algorithm_was_named: true })
            }
            _ => Err(Error::NoSuchUpload(id)),
        }
    }

    pub async fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<(), Error> {
        let upload = self.stored_upload(bucket, key, id).await?;
        self.abort_stored(upload_key(bucket, key, id), &upload).await
    }

    pub(super) async fn abort_stored(
        &self,
        record_key: String,
        upload: &Stored<Upload>,
    ) -> Result<(), Error> {
        let expect = Expect::Revision(upload.revision);
        let delete = Write::Delete { table: UPLOADS, key: record_key, expect };
        if committed(self.records.commit(vec![delete]).await)?.is_none() {
            return Err(Error::NoSuchUpload(upload.value.id.clone()));
        }
        self.drop_parts(&upload.value.id).await
    }

    /// Deletes the part records of an upload that is no more, and their blobs.
    pub(super) async fn drop_parts(&self, id: &str) -> Result<(), Error> {
        let parts = self.stored_parts(id).await?;
        if parts.is_empty() {
            return Ok(());
        }
        let deletes = parts.iter().map(|part| Write::Delete {
            table: PARTS,
            key: part_key(id, part.value.number),
            expect: Expect::Any,
        });
        self.records.commit(deletes.collect()).await?;
        let blobs = parts.into_iter().filter_map(|part| part.value.blob).map(|blob| blob.0);
        self.delete_blobs(blobs.collect()).await;
        Ok(())
    }

    async fn stored_parts(&self, id: &str) -> Result<Vec<Stored<Part>>, Error> {
        let limit = usize::try_from(PART_NUMBER_MAX).unwrap_or(usize::MAX);
        let found = self.records.list(PARTS, &format!("{id}/"), None, limit).await?;
        found.iter().map(|record| document::read(PARTS, record)).collect()
    }

    async fn stored_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> Result<Stored<Upload>, Error> {
        if let Some(record) = self.records.get(UPLOADS, &upload_key(bucket, key, id)).await? {
            return document::read(UPLOADS, &record);
        }
        self.stored_bucket(bucket).await?;
        Err(Error::NoSuchUpload(id.to_owned()))
    }
}

/// Starts with the time, so that the uploads of one key are listed in the order they were made.
fn upload_id(now_ms: i64) -> Result<String, Error> {
    let mut random = [0_u8; UPLOAD_ID_BYTES];
    getrandom::fill(&mut random).map_err(|_| Error::Randomness)?;
    Ok(format!("{now_ms:012x}{}", hex::encode(random)))
}

/// The uploaded parts the client names, each checked against what it says of it.
fn choose<'a>(
    parts: &'a [Stored<Part>],
    named: &[CompletedPart],
    upload: &Upload,
) -> Result<Vec<&'a Part>, Error> {
    let mut chosen: Vec<&Part> = Vec::with_capacity(named.len());
    for named in named {
        if chosen.last().is_some_and(|before| before.number >= named.number) {
            return Err(Error::InvalidPartOrder);
        }
        let found = parts.binary_search_by_key(&named.number, |part| part.value.number).ok();
        let part = found.and_then(|at| parts.get(at)).map(|part| &part.value);
        let part = part.filter(|part| part.etag == named.etag);
        let part = part.ok_or(Error::InvalidPart(named.number))?;
        check_part(part, named, upload)?;
        chosen.push(part);
    }
    let all_but_last = chosen.len().saturating_sub(1);
    match chosen.iter().take(all_but_last).find(|part| part.size < PART_BYTES_MIN) {
        Some(part) => Err(Error::PartTooSmall { number: part.number, size: part.size }),
        None => Ok(chosen),
    }
}

fn check_part(part: &Part, named: &CompletedPart, upload: &Upload) -> Result<(), Error> {
    let Some((algorithm, value)) = &named.checksum else {
        if upload.algorithm_was_named && upload.kind == Kind::Composite {
            let (number, algorithm) = (named.number, upload.algorithm);
            return Err(Error::PartChecksumMissing { number, algorithm });
        }
        return Ok(());
    };
    let announced = part.announced.as_ref();
    let announced = announced.filter(|announced| announced.algorithm == *algorithm);
    let known = match announced {
        Some(announced) => &announced.value,
        None if *algorithm == upload.algorithm => &part.checksum,
        None => {
            let (expected, actual) = (upload.algorithm, *algorithm);
            return Err(Error::WrongAlgorithm { expected, actual });
        }
    };
    if known == value { Ok(()) } else { Err(Error::InvalidPart(named.number)) }
}

/// The object the parts make, compared with what the client believes of it.
fn assemble(
    chosen: &[&Part],
    upload: &Upload,
    completion: &Completion,
) -> Result<(ObjectMeta, Manifest), Error> {
    let size = chosen.iter().map(|part| part.size).sum();
    if let Some(expected) = completion.size
        && expected != size
    {
        return Err(Error::SizeMismatch { expected, actual: size });
    }
    let mut md5 = Md5::new();
    let mut raw = Vec::with_capacity(chosen.len());
    for part in chosen {
        let corrupt = || Error::Corrupt { table: PARTS, key: part_key(&upload.id, part.number) };
        md5.update(hex::decode(&part.etag).map_err(|_| corrupt())?);
        let value = checksum::decode(upload.algorithm, &part.checksum).ok_or_else(corrupt)?;
        raw.push((value, part.size));
    }
    let checksum: Checksum = checksum::combine(upload.algorithm, upload.kind, &raw);
    if let Some((algorithm, value)) = &completion.checksum {
        if *algorithm != upload.algorithm {
            let (expected, actual) = (upload.algorithm, *algorithm);
            return Err(Error::WrongAlgorithm { expected, actual });
        }
        if *value != checksum.value {
            return Err(Error::BadChecksum(*algorithm));
        }
    }
    let parts = chosen.iter().map(|part| ManifestPart {
        number: part.number,
        size: part.size,
        blob: part.blob.clone(),
        checksum: Some(part.checksum.clone()),
    });
    let meta = ObjectMeta {
        size,
        etag: format!("{}-{}", hex::encode(md5.finalize()), chosen.len()),
        modified_ms: 0,
        checksum: Some(checksum),
        parts: u32::try_from(chosen.len()).ok(),
        attributes: upload.attributes.clone(),
        tags: upload.tags.clone(),
    };
    Ok((meta, Manifest { parts: parts.collect() }))
}

//! Uploads: one PUT for small objects, parallel parts for large ones and for those of unknown
//! length. Parts become an object only when all of them are there.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::Method;
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{
    Progress, Put, S3, Stored, call, encode_segment, etag, length, object_path, on_file,
    put_headers,
};
use crate::apis::read_xml;
use crate::error::Error;

/// What one part holds; S3 wants 5 MiB at least. Objects up to this size are one PUT.
const PART_BYTES: u64 = 16 << 20;

/// S3's own bound; parts grow with the object so that it is never reached.
const PARTS_MAX: u64 = 10_000;

/// Parts in flight: enough to keep the server busy while the next is read and hashed.
const PARALLEL_PARTS: usize = 3;

/// Parts grow by this factor every so many parts of a stream whose end is not known.
const GROWTH_EVERY_PARTS: u32 = 1000;

impl S3 {
    /// Stores a file as it is now. Its length is read once; a file that shrinks meanwhile fails.
    pub async fn put_file(
        &self,
        bucket: &str,
        key: &str,
        file: File,
        put: &Put,
        progress: Option<Progress>,
    ) -> Result<Stored, Error> {
        let operation = "PutObject";
        let file = Arc::new(file);
        let measured = Arc::clone(&file);
        let size = on_file(operation, move || Ok(measured.metadata()?.len())).await?;
        if size <= PART_BYTES {
            let body = read_range(&file, 0, size).await?;
            let stored = self.put_bytes(bucket, key, body, put).await?;
            if let Some(progress) = &progress {
                progress(size);
            }
            return Ok(stored);
        }
        let part_bytes = PART_BYTES.max(size.div_ceil(PARTS_MAX));
        let mut upload = self.upload(bucket, key, put);
        upload.progress = progress;
        let mut offset = 0;
        while offset < size {
            let wanted = part_bytes.min(size - offset);
            let body = match read_range(&file, offset, wanted).await {
                Ok(body) => body,
                Err(error) => {
                    upload.abort().await;
                    return Err(error);
                }
            };
            offset += wanted;
            if let Err(error) = upload.send_part(body).await {
                upload.abort().await;
                return Err(error);
            }
        }
        upload.finish().await
    }

    /// An object of unknown length. Nothing is sent before a part is full.
    pub fn upload(&self, bucket: &str, key: &str, put: &Put) -> Upload {
        Upload {
            s3: self.clone(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            put: put.clone(),
            progress: None,
            upload_id: None,
            buffer: BytesMut::new(),
            parts_sent: 0,
            size: 0,
            etags: BTreeMap::new(),
            in_flight: JoinSet::new(),
        }
    }
}

/// An upload under way. Ended by [`Upload::finish`] or [`Upload::abort`]; one that is dropped
/// leaves its parts to the server's sweep of abandoned uploads.
pub struct Upload {
    s3: S3,
    bucket: String,
    key: String,
    put: Put,
    progress: Option<Progress>,
    upload_id: Option<String>,
    buffer: BytesMut,
    parts_sent: u32,
    size: u64,
    etags: BTreeMap<u32, String>,
    in_flight: JoinSet<Result<(u32, String), Error>>,
}

impl Upload {
    /// Takes more of the object; waits while enough parts are in flight.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.buffer.extend_from_slice(chunk);
        while length(&self.buffer) >= self.part_bytes() {
            let wanted = usize::try_from(self.part_bytes()).unwrap_or(usize::MAX);
            let part = self.buffer.split_to(wanted.min(self.buffer.len())).freeze();
            self.send_part(part).await?;
        }
        Ok(())
    }

    /// Completes the object. On an error nothing of it is visible, and its parts are removed.
    pub async fn finish(mut self) -> Result<Stored, Error> {
        let rest = self.buffer.split().freeze();
        if self.upload_id.is_none() {
            return self.s3.put_bytes(&self.bucket, &self.key, rest, &self.put).await;
        }
        match self.complete(rest).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                self.abort().await;
                Err(error)
            }
        }
    }

    /// Removes what was sent, as far as the server can be reached.
    pub async fn abort(mut self) {
        self.in_flight.shutdown().await;
        let Some(upload_id) = &self.upload_id else { return };
        let path = self.path(&format!("uploadId={}", encode_segment(upload_id)));
        let call = call("AbortMultipartUpload", Method::DELETE, path);
        if let Err(error) = self.s3.client.fetch(&call).await {
            tracing::warn!(error = %error.chain(), key = %self.key, "parts of an upload stay behind");
        }
    }

    /// A stream may be longer than the part bound times the first part size.
    fn part_bytes(&self) -> u64 {
        PART_BYTES << (self.parts_sent / GROWTH_EVERY_PARTS).min(8)
    }

    async fn send_part(&mut self, body: Bytes) -> Result<(), Error> {
        while self.in_flight.len() >= PARALLEL_PARTS {
            self.take_finished().await?;
        }
        let upload_id = match &self.upload_id {
            Some(upload_id) => upload_id.clone(),
            None => {
                let created = self.create().await?;
                self.upload_id.insert(created).clone()
            }
        };
        self.parts_sent += 1;
        self.size += length(&body);
        let number = self.parts_sent;
        let query = format!("partNumber={number}&uploadId={}", encode_segment(&upload_id));
        let mut call = call("UploadPart", Method::PUT, self.path(&query));
        let progress = self.progress.clone();
        let bytes = length(&body);
        call.body = body;
        let client = self.s3.client.clone();
        self.in_flight.spawn(async move {
            let (headers, _body) = client.fetch(&call).await?;
            if let Some(progress) = progress {
                progress(bytes);
            }
            Ok((number, etag(&headers)))
        });
        Ok(())
    }

    async fn take_finished(&mut self) -> Result<(), Error> {
        let Some(joined) = self.in_flight.join_next().await else { return Ok(()) };
        let (number, etag) = joined.unwrap_or_else(|source| {
            Err(Error::Build { operation: "UploadPart".to_owned(), source: Box::new(source) })
        })?;
        self.etags.insert(number, etag);
        Ok(())
    }

    async fn create(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Created {
            #[serde(rename = "UploadId")]
            upload_id: String,
        }
        let operation = "CreateMultipartUpload";
        let mut call = call(operation, Method::POST, self.path("uploads="));
        call.headers = put_headers(&self.put);
        let (_headers, body) = self.s3.client.fetch(&call).await?;
        let created: Created = read_xml(operation, &body)?;
        Ok(created.upload_id)
    }

    async fn complete(&mut self, rest: Bytes) -> Result<Stored, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Completed {
            #[serde(default)]
            e_tag: String,
            code: Option<String>,
            message: Option<String>,
        }
        if !rest.is_empty() {
            self.send_part(rest).await?;
        }
        while !self.in_flight.is_empty() {
            self.take_finished().await?;
        }
        let operation = "CompleteMultipartUpload";
        let upload_id = self.upload_id.as_deref().unwrap_or_default();
        let path = self.path(&format!("uploadId={}", encode_segment(upload_id)));
        let mut call = call(operation, Method::POST, path);
        call.body = self.parts_document().into();
        let (_headers, body) = self.s3.client.fetch(&call).await?;
        let completed: Completed = read_xml(operation, &body)?;
        // S3 may find out after it began to answer 200.
        if let Some(code) = completed.code {
            return Err(Error::Service {
                operation: operation.to_owned(),
                code,
                message: completed.message.unwrap_or_default(),
                status: 500,
                request_id: None,
            });
        }
        Ok(Stored { etag: completed.e_tag, size: self.size })
    }

    fn parts_document(&self) -> String {
        let mut document = String::from(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
        );
        for (number, etag) in &self.etags {
            let etag = quick_xml::escape::escape(etag.as_str());
            document.push_str(&format!(
                "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            ));
        }
        document.push_str("</CompleteMultipartUpload>");
        document
    }

    fn path(&self, query: &str) -> String {
        format!("{}?{query}", object_path(&self.bucket, &self.key))
    }
}

async fn read_range(file: &Arc<File>, offset: u64, wanted: u64) -> Result<Bytes, Error> {
    let file = Arc::clone(file);
    on_file("PutObject", move || {
        let mut body = vec![0_u8; usize::try_from(wanted).map_err(std::io::Error::other)?];
        file.read_exact_at(&mut body, offset)?;
        Ok(Bytes::from(body))
    })
    .await
}

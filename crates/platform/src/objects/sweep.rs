//! Removes what a killed server left: blobs no record names, parts of uploads that are no more,
//! marks of deletions that never ended.

use std::collections::HashSet;
use std::sync::Arc;

use kennel_store::BlobId;
use tokio_util::sync::CancellationToken;

use super::Objects;
use super::document::{
    self, Content, MANIFESTS, Manifest, OBJECTS, Object, PARTS, Part, StoredId, UPLOADS,
};
use super::error::Error;
use crate::limits::{LIST_READ_MAX, OBJECTS_TICK};

impl Objects {
    /// Sweeps once, then deletes what late readers leave, until `shutdown`. A sweep that fails is
    /// tried again.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut swept = false;
        loop {
            if !swept {
                let removed = tokio::select! {
                    () = shutdown.cancelled() => return,
                    removed = self.sweep() => removed,
                };
                match removed {
                    Ok(0) => swept = true,
                    Ok(removed) => {
                        swept = true;
                        tracing::info!(removed, "removed blobs that no record names");
                    }
                    Err(error) => tracing::warn!(%error, "the sweep failed and will run again"),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(OBJECTS_TICK) => {}
            }
            self.delete_blobs(self.leases.freed()).await;
        }
    }

    /// Returns how many blobs were removed. Safe beside writers and readers: a blob is removed
    /// only where it was there before every writer that is under way, and no record names it
    /// after all earlier writers have ended.
    pub async fn sweep(&self) -> Result<usize, Error> {
        self.unmark_buckets().await?;
        self.drop_orphaned_parts().await?;
        let blobs = self.blobs.list().await?;
        let mut unnamed: HashSet<BlobId> = blobs.into_iter().collect();
        if unnamed.is_empty() {
            return Ok(0);
        }
        self.writers.fence().await;
        // Completing an upload moves names from parts to manifests: looked at in this order, none
        // is missed on the way.
        self.each(PARTS, |part: Part| forget(&mut unnamed, part.blob)).await?;
        self.each(MANIFESTS, |manifest: Manifest| {
            for part in manifest.parts {
                forget(&mut unnamed, part.blob);
            }
        })
        .await?;
        self.each(OBJECTS, |object: Object| {
            if let Content::Blob(blob) = object.content {
                forget(&mut unnamed, Some(blob));
            }
        })
        .await?;
        for blob in self.leases.doomed() {
            unnamed.remove(&blob);
        }
        let removed = unnamed.len();
        self.delete_blobs(unnamed.into_iter().collect()).await;
        Ok(removed)
    }

    async fn drop_orphaned_parts(&self) -> Result<(), Error> {
        let mut uploads: HashSet<(String, String)> = HashSet::new();
        let mut cursor: Option<String> = None;
        loop {
            let found = self.records.list(PARTS, "", cursor.as_deref(), LIST_READ_MAX).await?;
            for record in &found {
                let part = document::read::<Part>(PARTS, record)?.value;
                if let Some((id, _)) = record.key.split_once('/') {
                    uploads.insert((id.to_owned(), part.upload));
                }
            }
            if found.len() < LIST_READ_MAX {
                break;
            }
            cursor = found.last().map(|record| record.key.clone());
        }
        for (id, upload) in uploads {
            if self.records.get(UPLOADS, &upload).await?.is_none() {
                self.drop_parts(&id).await?;
            }
        }
        Ok(())
    }

    async fn each<T: serde::de::DeserializeOwned>(
        &self,
        table: &'static str,
        mut visit: impl FnMut(T),
    ) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        loop {
            let found = self.records.list(table, "", cursor.as_deref(), LIST_READ_MAX).await?;
            for record in &found {
                visit(document::read(table, record)?.value);
            }
            if found.len() < LIST_READ_MAX {
                return Ok(());
            }
            cursor = found.last().map(|record| record.key.clone());
        }
    }
}

fn forget(unnamed: &mut HashSet<BlobId>, blob: Option<StoredId>) {
    if let Some(StoredId(blob)) = blob {
        unnamed.remove(&blob);
    }
}

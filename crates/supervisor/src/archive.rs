//! `tar.gz` from a directory straight into the bucket, never whole in memory or on the disk.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use kennel_client::{Put, S3};
use kennel_wire::run::S3Object;
use tokio::sync::mpsc;

use crate::error::Failure;
use crate::limits::{ARCHIVE_CHUNK_BYTES, ARCHIVE_CHUNKS};
use crate::tree::{Folder, Found, Kind};

/// What goes into an archive: the content of `folder`, and single files beside it.
pub(crate) struct Content {
    pub folder: Option<Folder>,
    /// Names at the archive's root and the open files they hold.
    pub files: Vec<(String, std::fs::File)>,
}

impl Content {
    /// Whether there is anything to pack.
    pub fn is_empty(&self) -> std::io::Result<bool> {
        let folder = self.folder.as_ref().map(Folder::walk).transpose()?;
        Ok(self.files.is_empty() && folder.is_none_or(|found| found.is_empty()))
    }
}

/// Packs and uploads; gives the archive's size. Nothing is visible in the bucket before all of it
/// is there.
pub(crate) async fn upload(
    s3: &S3,
    content: Content,
    target: &S3Object,
    put: &Put,
) -> Result<u64, Failure> {
    let doing = format!("Artifact upload failed: \"s3://{}/{}\"", target.bucket, target.key);
    let (sender, mut chunks) = mpsc::channel(ARCHIVE_CHUNKS);
    let packing = tokio::task::spawn_blocking(move || {
        let mut sink = Chunks { sender, pending: Vec::with_capacity(ARCHIVE_CHUNK_BYTES) };
        pack(content, &mut sink)?;
        sink.flush()
    });
    let mut upload = s3.upload(&target.bucket, &target.key, put);
    while let Some(chunk) = chunks.recv().await {
        if let Err(error) = upload.write(&chunk).await {
            upload.abort().await;
            return Err(Failure::call(&doing, &error));
        }
    }
    let packed = packing.await.unwrap_or_else(|panicked| Err(std::io::Error::other(panicked)));
    if let Err(error) = packed {
        upload.abort().await;
        return Err(Failure::io(&doing)(error));
    }
    let stored = upload.finish().await.map_err(|error| Failure::call(&doing, &error))?;
    Ok(stored.size)
}

fn pack(content: Content, sink: &mut impl Write) -> std::io::Result<()> {
    // Weights hardly shrink: the fastest level costs the least time for nearly the same size.
    let mut archive = tar::Builder::new(GzEncoder::new(sink, Compression::fast()));
    if let Some(folder) = &content.folder {
        for found in folder.walk()? {
            append(&mut archive, folder, &found)?;
        }
    }
    for (name, file) in content.files {
        let size = file.metadata()?.len();
        let mut header = header(size, 0o644, 0, tar::EntryType::Regular);
        archive.append_data(&mut header, name, Exactly { file, left: size })?;
    }
    archive.into_inner()?.finish()?;
    Ok(())
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    folder: &Folder,
    found: &Found,
) -> std::io::Result<()> {
    let modified_secs = u64::try_from(found.modified_ns / 1_000_000_000).unwrap_or(0);
    let header = |size, kind| header(size, found.mode, modified_secs, kind);
    match found.kind {
        Kind::Folder => {
            let mut header = header(0, tar::EntryType::Directory);
            archive.append_data(&mut header, &found.path, std::io::empty())
        }
        Kind::File => {
            let Some(file) = folder.file(&found.path)? else { return Ok(()) };
            let size = file.metadata()?.len();
            let mut header = header(size, tar::EntryType::Regular);
            archive.append_data(&mut header, &found.path, Exactly { file, left: size })
        }
        // A link is kept as what it says; where it leads is not looked at.
        Kind::Link => {
            let Some(target) = folder.link(&found.path)? else { return Ok(()) };
            let mut header = header(0, tar::EntryType::Symlink);
            archive.append_link(&mut header, &found.path, target)
        }
        Kind::Other => Ok(()),
    }
}

fn header(size: u64, mode: u32, modified_secs: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(modified_secs);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// As many bytes as the header says, whatever happens to the file meanwhile.
struct Exactly {
    file: std::fs::File,
    left: u64,
}

impl std::io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let Some(buffer) = buffer.get_mut(..wanted) else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.file.read(buffer)?;
        if read == 0 {
            return Err(std::io::Error::other("a file became shorter while it was packed"));
        }
        self.left -= u64::try_from(read).unwrap_or(self.left);
        Ok(read)
    }
}

/// Hands chunks of a fair size to the upload, and waits while it has enough.
struct Chunks {
    sender: mpsc::Sender<Bytes>,
    pending: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= ARCHIVE_CHUNK_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.pending, Vec::with_capacity(ARCHIVE_CHUNK_BYTES));
        let sent = self.sender.blocking_send(chunk.into());
        sent.map_err(|_| std::io::Error::other("the upload ended"))
    }
}

/// A directory of the workload and a file beside it, as an archive holds them.
pub(crate) fn content(
    root: &Folder,
    folder: &Path,
    files: &[(&str, &Path)],
) -> std::io::Result<Content> {
    let mut open = Vec::new();
    for (name, path) in files {
        if let Some(file) = root.file(path)? {
            open.push(((*name).to_owned(), file));
        }
    }
    Ok(Content { folder: root.folder(folder)?, files: open })
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_has_the_folder_s_content_at_its_root() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("model/code")).unwrap();
        std::fs::write(dir.path().join("model/model.onnx"), vec![7; 100_000]).unwrap();
        std::fs::write(dir.path().join("model/code/x.py"), "x").unwrap();
        std::fs::write(dir.path().join("failure"), "why").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("model/link")).unwrap();
        let root = Folder::open(dir.path()).unwrap();
        let files = [("failure", Path::new("failure")), ("absent", Path::new("absent"))];
        let content = content(&root, Path::new("model"), &files).unwrap();
        assert!(!content.is_empty().unwrap());
        let mut packed = Vec::new();
        pack(content, &mut packed).unwrap();

        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut body = Vec::new();
            entry.read_to_end(&mut body).unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            seen.push((path, entry.header().entry_type(), body.len()));
        }
        assert_eq!(
            seen,
            [
                ("code".to_owned(), tar::EntryType::Directory, 0),
                ("code/x.py".to_owned(), tar::EntryType::Regular, 1),
                ("link".to_owned(), tar::EntryType::Symlink, 0),
                ("model.onnx".to_owned(), tar::EntryType::Regular, 100_000),
                ("failure".to_owned(), tar::EntryType::Regular, 3),
            ]
        );
    }
}

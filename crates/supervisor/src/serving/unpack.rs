//! A model artifact becomes files. It was written by somebody else: nothing of it may land outside
//! of the model's directory, and neither its size nor its number of files is taken on trust.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use tar::{Archive, EntryType};

use crate::limits::{MODEL_FILES_MAX, MODEL_UNPACKED_BYTES_MAX};

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it is not a gzip-compressed tar archive: {0}")]
    NotAnArchive(std::io::Error),
    #[error("`{0}` leads out of the model's directory")]
    Escapes(String),
    #[error("`{0}` is a link or a device; a model holds files and directories")]
    Kind(String),
    #[error("it holds more than {MODEL_FILES_MAX} files")]
    TooMany,
    #[error("it unpacks to more than {} GiB", MODEL_UNPACKED_BYTES_MAX >> 30)]
    TooLarge,
    #[error("`{0}` cannot be written: {1}")]
    Write(String, std::io::Error),
}

pub(super) fn unpack(mut packed: File, directory: &Path) -> Result<(), Error> {
    packed.seek(SeekFrom::Start(0)).map_err(Error::NotAnArchive)?;
    let mut archive = Archive::new(MultiGzDecoder::new(BufReader::new(packed)));
    let mut bytes = 0_u64;
    for (number, entry) in archive.entries().map_err(Error::NotAnArchive)?.enumerate() {
        let mut entry = entry.map_err(Error::NotAnArchive)?;
        if number >= MODEL_FILES_MAX {
            return Err(Error::TooMany);
        }
        let kind = entry.header().entry_type();
        let name = entry.path().map_err(Error::NotAnArchive)?.into_owned();
        let shown = name.display().to_string();
        let Some(path) = inside(&name).ok_or_else(|| Error::Escapes(shown.clone()))? else {
            continue;
        };
        let target = directory.join(path);
        let written = |error| Error::Write(shown.clone(), error);
        match kind {
            EntryType::Directory => fs::create_dir_all(&target).map_err(written)?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                if let Some(parent) = target.parent() {
                    fs::create_dir_all(parent).map_err(written)?;
                }
                let left = MODEL_UNPACKED_BYTES_MAX - bytes;
                bytes += write(&mut entry, &target, left, &shown)?;
            }
            // What tar itself needs, and what the crate reads for us.
            EntryType::XGlobalHeader | EntryType::XHeader => {}
            _ => return Err(Error::Kind(shown)),
        }
    }
    Ok(())
}

/// The path below the directory; `None` for the directory itself (`./`).
fn inside(name: &Path) -> Option<Option<PathBuf>> {
    let mut path = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some((!path.as_os_str().is_empty()).then_some(path))
}

fn write(entry: &mut impl Read, target: &Path, left: u64, shown: &str) -> Result<u64, Error> {
    let written = |error| Error::Write(shown.to_owned(), error);
    let mut file = File::create(target).map_err(written)?;
    let mut buffer = vec![0_u8; 256 << 10];
    let mut bytes = 0_u64;
    loop {
        let read = entry.read(&mut buffer).map_err(Error::NotAnArchive)?;
        if read == 0 {
            return Ok(bytes);
        }
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        if bytes > left {
            return Err(Error::TooLarge);
        }
        file.write_all(buffer.get(..read).unwrap_or_default()).map_err(written)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with one entry, its name written as it is.
    fn archive(name: &[u8], kind: EntryType, body: &[u8]) -> File {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        if kind == EntryType::Symlink || kind == EntryType::Link {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        let packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let mut builder = tar::Builder::new(packer);
        builder.append(&header, body).unwrap();
        file(&builder.into_inner().unwrap().finish().unwrap())
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn files_are_unpacked_below_the_model_s_directory() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["./a/model.onnx", "b/model.onnx"] {
            unpack(archive(name.as_bytes(), EntryType::Regular, b"weights"), dir.path()).unwrap();
        }
        assert_eq!(fs::read(dir.path().join("a/model.onnx")).unwrap(), b"weights");
        assert_eq!(fs::read(dir.path().join("b/model.onnx")).unwrap(), b"weights");
        unpack(archive(b"./", EntryType::Directory, b""), dir.path()).unwrap();
    }

    #[test]
    fn what_leads_out_or_is_no_file_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("model");
        fs::create_dir(&dir).unwrap();
        for name in ["../x", "/tmp/x", "a/../../x"] {
            let refused = unpack(archive(name.as_bytes(), EntryType::Regular, b"x"), &dir);
            assert!(matches!(refused, Err(Error::Escapes(_))), "{name}: {refused:?}");
        }
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char] {
            let refused = unpack(archive(b"x", kind, b""), &dir);
            assert!(matches!(refused, Err(Error::Kind(_))), "{kind:?}: {refused:?}");
        }
        assert!(matches!(unpack(file(b"no archive"), &dir), Err(Error::NotAnArchive(_))));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    }
}

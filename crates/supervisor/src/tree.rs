//! Directories a workload wrote to, read without trusting it.
//!
//! A workload may replace any of its directories by a link to somewhere else on the host. So
//! nothing below the run's own directory is opened by path: each step opens one name of a
//! directory that is open already, and refuses links. Only directories and regular files are
//! entered or read.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::limits::TREE_DEPTH_MAX;

/// An open directory.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// What lies in a tree; paths are relative to its root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub kind: Kind,
    pub size: u64,
    pub modified_ns: i128,
    pub mode: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Folder,
    File,
    Link,
    /// A socket, a pipe, a device.
    Other,
}

impl Folder {
    /// `path` is the supervisor's own; its last part may not be a link either.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(openat(CWD, path, FOLDER, Mode::empty())?))
    }

    /// A folder below this one; absent, or not a folder: `None`.
    pub fn folder(&self, path: &Path) -> std::io::Result<Option<Self>> {
        let mut at = Self(openat(&self.0, ".", FOLDER, Mode::empty())?);
        for name in path.iter() {
            at = match openat(&at.0, name, FOLDER, Mode::empty()) {
                Ok(fd) => Self(fd),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
        }
        Ok(Some(at))
    }

    /// A regular file below this folder; absent, or something else: `None`.
    pub fn file(&self, path: &Path) -> std::io::Result<Option<File>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(folder) = self.folder(parent)? else { return Ok(None) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&folder.0, name, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(file.metadata()?.is_file().then_some(file))
    }

    /// Where a link points, as it says itself.
    pub fn link(&self, path: &Path) -> std::io::Result<Option<PathBuf>> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let Some(folder) = self.folder(parent)? else { return Ok(None) };
        match readlinkat(&folder.0, name, Vec::new()) {
            Ok(target) => Ok(Some(PathBuf::from(OsStr::from_bytes(target.as_bytes())))),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Everything below, sorted by path, folders before what they hold. What vanishes meanwhile is
    /// left out.
    pub fn walk(&self) -> std::io::Result<Vec<Found>> {
        let mut found = Vec::new();
        self.walk_into(Path::new(""), 0, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn walk_into(&self, at: &Path, depth: usize, found: &mut Vec<Found>) -> std::io::Result<()> {
        if depth > TREE_DEPTH_MAX {
            let message = format!("`{}` is nested too deeply", at.display());
            return Err(std::io::Error::other(message));
        }
        for name in self.names()? {
            let stat = match statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error.into()),
            };
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Kind::Folder,
                FileType::RegularFile => Kind::File,
                FileType::Symlink => Kind::Link,
                _ => Kind::Other,
            };
            let path = at.join(&name);
            found.push(Found {
                path: path.clone(),
                kind,
                size: u64::try_from(stat.st_size).unwrap_or(0),
                modified_ns: i128::from(stat.st_mtime) * 1_000_000_000
                    + i128::from(stat.st_mtime_nsec),
                mode: stat.st_mode & 0o777,
            });
            if kind == Kind::Folder
                && let Some(folder) = self.folder(Path::new(&name))?
            {
                folder.walk_into(&path, depth + 1, found)?;
            }
        }
        Ok(())
    }

    fn names(&self) -> std::io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let secret = tempfile::tempdir().unwrap();
        std::fs::write(secret.path().join("key"), "secret").unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("model/a")).unwrap();
        std::fs::write(root.join("model/a/w"), "12").unwrap();
        symlink(secret.path(), root.join("model/away")).unwrap();
        symlink(secret.path().join("key"), root.join("model/key")).unwrap();
        symlink(secret.path(), root.join("linked")).unwrap();

        let folder = Folder::open(root).unwrap();
        assert!(folder.folder(Path::new("linked")).unwrap().is_none());
        assert!(folder.file(Path::new("linked/key")).unwrap().is_none());
        assert!(folder.file(Path::new("model/key")).unwrap().is_none());
        assert!(Folder::open(&root.join("linked")).is_err());
        let model = folder.folder(Path::new("model")).unwrap().unwrap();
        let found = model.walk().unwrap();
        let seen: Vec<_> =
            found.iter().map(|f| (f.path.to_str().unwrap(), f.kind, f.size)).collect();
        assert_eq!(seen[1], ("a/w", Kind::File, 2));
        assert_eq!(seen[0].1, Kind::Folder);
        assert_eq!((seen[2].0, seen[2].1), ("away", Kind::Link));
        assert_eq!((seen[3].0, seen[3].1), ("key", Kind::Link));
        assert_eq!(model.link(Path::new("away")).unwrap().unwrap(), secret.path());
        assert!(folder.file(Path::new("model/a/w")).unwrap().is_some());
    }
}

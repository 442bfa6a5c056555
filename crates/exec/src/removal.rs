//! Removes a tree that a workload made, however deep it is.
//!
//! Each level of a walk holds a descriptor, and so the walk goes down some levels only: directories
//! below these are moved up to the top of the tree and removed from there. Links are removed, never
//! followed.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Ordinary trees are not as deep, and nothing of theirs is moved; a process has at least 1024
/// descriptors, so that several removals go on at once.
const LEVELS_MAX: usize = 64;

/// Removes the directory with everything in it. Nothing to remove is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_encoded_bytes())?;
    let Some(top) = open(CWD, &name)? else { return Ok(()) };
    let mut removal = Removal { top: top.try_clone()?, moved: 0, waiting: Vec::new() };
    removal.empty(Level::new(top, c"")?)?;
    while let Some(name) = removal.waiting.pop() {
        let Some(dir) = open(&removal.top, &name)? else { continue };
        removal.empty(Level::new(dir, &name)?)?;
        absent(rustix::fs::unlinkat(&removal.top, &name, AtFlags::REMOVEDIR))?;
    }
    absent(rustix::fs::rmdir(&name))
}

/// A directory that is being emptied.
struct Level {
    dir: OwnedFd,
    entries: Dir,
    name: CString,
}

impl Level {
    fn new(dir: OwnedFd, name: &CStr) -> io::Result<Self> {
        Ok(Self { entries: Dir::read_from(&dir)?, dir, name: name.to_owned() })
    }

    /// Removes files up to the next directory, and returns its name.
    fn next_directory(&mut self) -> io::Result<Option<CString>> {
        while let Some(entry) = self.entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let file_type = match entry.file_type() {
                // Some file systems do not tell.
                FileType::Unknown => {
                    let stat = rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(stat.st_mode)
                }
                known => known,
            };
            if file_type == FileType::Directory {
                return Ok(Some(name.to_owned()));
            }
            absent(rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()))?;
        }
        Ok(None)
    }
}

struct Removal {
    top: OwnedFd,
    /// Gives directories that are moved up a name.
    moved: u64,
    /// Directories that were moved to the top.
    waiting: Vec<CString>,
}

impl Removal {
    /// Removes all that lies in a directory, or moves it to the top.
    fn empty(&mut self, first: Level) -> io::Result<()> {
        let mut levels = vec![first];
        loop {
            let is_deepest = levels.len() >= LEVELS_MAX;
            let Some(level) = levels.last_mut() else { return Ok(()) };
            if let Some(child) = level.next_directory()? {
                if is_deepest {
                    self.move_up(&level.dir, &child)?;
                } else if let Some(dir) = open(&level.dir, &child)? {
                    levels.push(Level::new(dir, &child)?);
                }
                continue;
            }
            let emptied = levels.pop();
            if let (Some(emptied), Some(parent)) = (emptied, levels.last()) {
                absent(rustix::fs::unlinkat(&parent.dir, &emptied.name, AtFlags::REMOVEDIR))?;
            }
        }
    }

    fn move_up(&mut self, dir: &OwnedFd, child: &CStr) -> io::Result<()> {
        loop {
            self.moved += 1;
            let name = CString::new(format!(".removing-{}", self.moved))?;
            let mut renamed = rustix::fs::renameat(dir, child, &self.top, &name);
            if renamed == Err(Errno::ACCESS) {
                // A directory that changes its parent has to be writable itself.
                make_writable(dir, child)?;
                renamed = rustix::fs::renameat(dir, child, &self.top, &name);
            }
            match renamed {
                Ok(()) => self.waiting.push(name),
                // Something else has this name already.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => continue,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
    }
}

/// What is gone already is as it should be.
fn absent(removed: rustix::io::Result<()>) -> io::Result<()> {
    match removed {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a directory that its owner can change then: a workload may have taken its own permission
/// away. `None` where there is none.
fn open(parent: impl std::os::fd::AsFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = parent.as_fd();
    let mut opened = rustix::fs::openat(parent, name, flags, Mode::empty());
    if matches!(opened, Err(Errno::ACCESS)) {
        make_writable(parent, name)?;
        opened = rustix::fs::openat(parent, name, flags, Mode::empty());
    }
    let dir = match opened {
        Ok(dir) => dir,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // Where it is somebody else's, what follows says so.
    let _ = rustix::fs::fchmod(&dir, Mode::RWXU);
    Ok(Some(dir))
}

fn make_writable(parent: impl std::os::fd::AsFd, name: &CStr) -> io::Result<()> {
    Ok(rustix::fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More levels than a process commonly may have open files, and than a path may have.
    const DEPTH: u32 = 3000;

    #[test]
    fn a_tree_of_thousands_of_levels_is_removed() {
        // In memory where there is such a place: some disks take milliseconds a directory.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = dir.path().join("run");
        std::fs::create_dir(&path).unwrap();
        std::fs::create_dir_all(path.join(".removing-1/in the way")).unwrap();
        let mut at = open(CWD, &CString::new(path.as_os_str().as_encoded_bytes()).unwrap());
        for _ in 0..DEPTH {
            let parent = at.unwrap().unwrap();
            for name in [c"deeper", c"beside"] {
                rustix::fs::mkdirat(&parent, name, Mode::RWXU).unwrap();
            }
            rustix::fs::symlinkat(c"/", &parent, c"link").unwrap();
            at = open(&parent, c"deeper");
        }
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_directory_behind_a_link_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, path) = (dir.path().join("kept"), dir.path().join("run"));
        std::fs::create_dir_all(kept.join("inner")).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::os::unix::fs::symlink(&kept, path.join("link")).unwrap();
        remove(&path).unwrap();
        assert!(kept.join("inner").exists());
        assert!(!path.exists());
    }
}

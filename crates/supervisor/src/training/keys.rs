//! From object keys to file names below a channel's directory. Pure.
//!
//! A key is whatever somebody stored; it becomes a path only through [`relative`], which lets
//! nothing out of the directory.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::limits::NAME_BYTES_MAX;

/// Why a key is no file name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    #[error("the key has a `{0}` part")]
    Dots(String),
    #[error("the key holds a NUL character")]
    Nul,
    #[error("a part of the key is longer than {NAME_BYTES_MAX} bytes")]
    Long,
    #[error("another object of the channel has the same file name")]
    Twice,
    #[error("another object of the channel needs a directory of the same name")]
    FileAndDirectory,
}

/// The part of `key` below `prefix`, as SageMaker's File mode names files: an object that is the
/// prefix keeps its last part, others lose the prefix when it ends at a `/`, and otherwise keep
/// what follows the prefix's last `/`.
pub(crate) fn below<'a>(key: &'a str, prefix: &str) -> &'a str {
    let last_part = |text: &str| text.rfind('/').map_or(0, |slash| slash + 1);
    if key == prefix {
        return key.get(last_part(key)..).unwrap_or(key);
    }
    let rest = key.strip_prefix(prefix).unwrap_or(key);
    if prefix.is_empty() || prefix.ends_with('/') || rest.starts_with('/') {
        return rest;
    }
    key.get(last_part(prefix)..).unwrap_or(key)
}

/// The path of a file below the channel's directory. `None` for the markers of directories that
/// consoles leave behind (`photos/`, which is nothing below the prefix `photos/`). Empty parts count as one `/`, as they do in a file system.
pub(crate) fn relative(name: &str) -> Result<Option<PathBuf>, Unusable> {
    if name.is_empty() || name.ends_with('/') {
        return Ok(None);
    }
    let mut path = PathBuf::new();
    for part in name.split('/').filter(|part| !part.is_empty()) {
        if part == "." || part == ".." {
            return Err(Unusable::Dots(part.to_owned()));
        }
        if part.contains('\0') {
            return Err(Unusable::Nul);
        }
        if part.len() > NAME_BYTES_MAX {
            return Err(Unusable::Long);
        }
        path.push(part);
    }
    Ok(Some(path))
}

/// Finds two objects of one channel that would get in each other's way.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    files: HashSet<PathBuf>,
    folders: HashSet<PathBuf>,
}

impl Taken {
    pub fn take(&mut self, path: &PathBuf) -> Result<(), Unusable> {
        if self.folders.contains(path) {
            return Err(Unusable::FileAndDirectory);
        }
        for folder in path.ancestors().skip(1) {
            if self.files.contains(folder) {
                return Err(Unusable::FileAndDirectory);
            }
            if !self.folders.insert(folder.to_owned()) {
                break;
            }
        }
        if self.files.insert(path.clone()) { Ok(()) } else { Err(Unusable::Twice) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_prefix_as_in_file_mode() {
        let cases = [
            ("", "a/b.jpg", "a/b.jpg"),
            ("", "/valid/b.jpg", "/valid/b.jpg"),
            ("data/train/", "data/train/x/1.jpg", "x/1.jpg"),
            ("data/train", "data/train/x/1.jpg", "/x/1.jpg"),
            ("data/train.csv", "data/train.csv", "train.csv"),
            ("data/tr", "data/train/1.jpg", "train/1.jpg"),
            ("tr", "train/1.jpg", "train/1.jpg"),
        ];
        for (prefix, key, expected) in cases {
            assert_eq!(below(key, prefix), expected, "{prefix} {key}");
        }
    }

    #[test]
    fn no_key_leads_out_of_the_directory() {
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        let cases = [
            ("a/b", Ok(Some("a/b"))),
            ("/a//b", Ok(Some("a/b"))),
            ("a/", Ok(None)),
            ("/", Ok(None)),
            ("../a", Err(Unusable::Dots("..".to_owned()))),
            ("a/../../b", Err(Unusable::Dots("..".to_owned()))),
            ("a/./b", Err(Unusable::Dots(".".to_owned()))),
            ("..", Err(Unusable::Dots("..".to_owned()))),
            ("a\0b", Err(Unusable::Nul)),
            ("", Ok(None)),
            (long.as_str(), Err(Unusable::Long)),
            ("...", Ok(Some("..."))),
            ("~/x\\..\\y", Ok(Some("~/x\\..\\y"))),
        ];
        for (name, expected) in cases {
            assert_eq!(relative(name), expected.map(|path| path.map(PathBuf::from)), "{name:?}");
        }
    }

    #[test]
    fn objects_in_each_others_way_are_found_in_any_order() {
        let take = |paths: &[&str]| {
            let mut taken = Taken::default();
            paths.iter().try_for_each(|path| taken.take(&PathBuf::from(path)))
        };
        assert_eq!(take(&["a/b", "a/c", "d"]), Ok(()));
        assert_eq!(take(&["a", "a"]), Err(Unusable::Twice));
        assert_eq!(take(&["a/b/c", "a/b"]), Err(Unusable::FileAndDirectory));
        assert_eq!(take(&["a", "a/b/c"]), Err(Unusable::FileAndDirectory));
    }
}

//! Finds the shared library of ONNX Runtime without running anything.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const EXPLICIT: &str = "KENNEL_ONNXRUNTIME";
const RUNTIME_DIR: &str = "KENNEL_RUNTIME_DIR";

/// Where a Python package keeps the library, below its `site-packages`.
const IN_PYTHON_PACKAGE: &str = "onnxruntime/capi";

/// A library that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Located {
    pub path: PathBuf,
    /// Who put it there, in words.
    pub source: &'static str,
}

/// The library that [`super::choose`] would try first, for whoever has to show it to a sandbox.
pub fn locate() -> Option<Located> {
    if switched_off() {
        return None;
    }
    candidates().into_iter().next()
}

/// The user asked for the pure-Rust engine.
pub fn switched_off() -> bool {
    env::var_os(EXPLICIT).is_some_and(|value| value == "off")
}

/// Every library found, best first.
pub fn candidates() -> Vec<Located> {
    let mut found = Vec::new();
    if let Some(path) = non_empty(EXPLICIT) {
        // A path that was given is tried even where it is absent: the log names it then.
        found.push(Located { path: path.into(), source: "set by KENNEL_ONNXRUNTIME" });
    }
    if let Some(dir) = non_empty(RUNTIME_DIR) {
        let dir = PathBuf::from(dir);
        add(&mut found, &dir, "Kennel's runtime folder");
        add(&mut found, &dir.join("lib"), "Kennel's runtime folder");
    }
    for dir in system_directories() {
        add(&mut found, &dir, "of the system");
    }
    for dir in python_directories() {
        add(&mut found, &dir.join(IN_PYTHON_PACKAGE), "of an installed Python package");
    }
    found
}

fn non_empty(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// Adds the library in `dir`: the file with the longest name, which carries the full version.
fn add(found: &mut Vec<Located>, dir: &Path, source: &'static str) {
    let library = entries(dir)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(is_library) && path.is_file())
        .max_by_key(|path| path.as_os_str().len());
    if let Some(path) = library {
        found.push(Located { path, source });
    }
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.32.0`, `libonnxruntime.1.32.0.dylib`; not
/// `libonnxruntime_providers_shared.so`.
fn is_library(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    match name.strip_prefix("libonnxruntime.") {
        Some(rest) => rest == "so" || rest.starts_with("so.") || rest.ends_with("dylib"),
        None => false,
    }
}

fn system_directories() -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = env::var_os("LD_LIBRARY_PATH")
        .map(|paths| env::split_paths(&paths).collect())
        .unwrap_or_default();
    dirs.retain(|dir| dir.is_absolute());
    for dir in [
        "/usr/local/lib",
        "/usr/local/lib64",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
        "/opt/onnxruntime/lib",
        "/opt/homebrew/lib",
    ] {
        dirs.push(dir.into());
    }
    dirs
}

/// The `site-packages` and `dist-packages` of the interpreters that a user would call.
fn python_directories() -> Vec<PathBuf> {
    let mut prefixes: Vec<PathBuf> = Vec::new();
    for name in ["VIRTUAL_ENV", "CONDA_PREFIX"] {
        prefixes.extend(non_empty(name).map(PathBuf::from));
    }
    if let Some(path) = env::var_os("PATH") {
        // `<prefix>/bin` on the path stands for `<prefix>/lib/python3.x`.
        let with_python =
            env::split_paths(&path).filter(|dir| dir.is_absolute() && dir.join("python3").exists());
        prefixes.extend(with_python.filter_map(|dir| dir.parent().map(Path::to_path_buf)));
    }
    if let Some(home) = non_empty("HOME").map(PathBuf::from) {
        prefixes.push(home.join(".local"));
        let versions = non_empty("PYENV_ROOT").map_or_else(|| home.join(".pyenv"), PathBuf::from);
        prefixes.extend(newest_first(&versions.join("versions")));
    }
    prefixes.push("/usr/local".into());
    prefixes.push("/usr".into());

    let mut seen = BTreeSet::new();
    let mut dirs = Vec::new();
    for prefix in prefixes {
        for lib in newest_first(&prefix.join("lib")) {
            let is_python =
                lib.file_name().is_some_and(|name| name.to_string_lossy().starts_with("python3"));
            if !is_python {
                continue;
            }
            for packages in ["site-packages", "dist-packages"] {
                let dir = lib.join(packages);
                if seen.insert(dir.clone()) {
                    dirs.push(dir);
                }
            }
        }
    }
    dirs
}

fn newest_first(dir: &Path) -> Vec<PathBuf> {
    let mut paths = entries(dir);
    paths.sort();
    paths.reverse();
    paths
}

/// A directory that cannot be read holds nothing for us.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(read) = fs::read_dir(dir) else {
        return Vec::new();
    };
    read.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_library_itself_is_taken() {
        let taken = |name: &str| is_library(OsStr::new(name));
        assert!(taken("libonnxruntime.so"));
        assert!(taken("libonnxruntime.so.1.32.0"));
        assert!(taken("libonnxruntime.1.32.0.dylib"));
        assert!(!taken("libonnxruntime_providers_shared.so"));
        assert!(!taken("libonnx.so"));
    }

    #[test]
    fn the_name_with_the_version_wins() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["libonnxruntime.so", "libonnxruntime.so.1.32.0"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut found = Vec::new();
        add(&mut found, dir.path(), "here");
        assert_eq!(found.len(), 1);
        assert!(found[0].path.ends_with("libonnxruntime.so.1.32.0"));
    }
}

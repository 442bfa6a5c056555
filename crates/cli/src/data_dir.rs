//! The data directory: who may read it, the root key in it, and where its server answers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use kennel_platform::identity::RootKey;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

/// The root key, as an AWS credentials file (mode 0600).
const CREDENTIALS: &str = "credentials";
/// What a running server says about itself; removed when it stops.
const SERVER: &str = "server.json";

/// A directory only its owner can enter.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

/// What a running server says about itself to the verbs of the same machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerFacts {
    pub version: String,
    pub pid: u32,
    pub endpoint: String,
    pub account: String,
    pub region: String,
    pub engine: String,
}

impl DataDir {
    /// `--data-dir`, else `KENNEL_DATA_DIR`, else `kennel` under `XDG_DATA_HOME` or
    /// `~/.local/share`.
    pub fn choose(given: Option<&Path>) -> Result<Self, Failure> {
        let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let chosen = given
            .map(Path::to_path_buf)
            .or_else(|| of("KENNEL_DATA_DIR").map(PathBuf::from))
            .or_else(|| of("XDG_DATA_HOME").map(|home| Path::new(&home).join("kennel")))
            .or_else(|| of("HOME").map(|home| Path::new(&home).join(".local/share/kennel")));
        let chosen = chosen.ok_or_else(|| {
            Failure::new(Kind::Environment, "no home directory to keep data in")
                .hinted("name a directory with --data-dir DIR")
        })?;
        std::path::absolute(&chosen).map(Self).map_err(|error| unusable(&chosen, &error))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Creates the directory (mode 0700) where it does not exist, and closes it to others where
    /// it does.
    pub fn create(&self) -> Result<(), Failure> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
            .and_then(|()| fs::set_permissions(&self.0, fs::Permissions::from_mode(0o700)))
            .map_err(|error| unusable(&self.0, &error))
    }

    /// The root key: given by `KENNEL_ROOT_ACCESS_KEY_ID` and `KENNEL_ROOT_SECRET_ACCESS_KEY`,
    /// else that of the credentials file, else a new random one. It is kept in the file.
    pub fn root_key(&self) -> Result<RootKey, Failure> {
        let key = match given_root_key()? {
            Some(given) => given,
            None => match self.read_root_key()? {
                Some(kept) => return Ok(kept),
                None => RootKey::random().map_err(|error| {
                    Failure::caused(Kind::Environment, "could not make a root key", &error)
                })?,
            },
        };
        self.write_private(CREDENTIALS, key.to_credentials_file().as_bytes())?;
        Ok(key)
    }

    /// The key in the credentials file; `None` where there is no file.
    pub fn read_root_key(&self) -> Result<Option<RootKey>, Failure> {
        let Some(text) = self.read(CREDENTIALS)? else { return Ok(None) };
        RootKey::from_credentials_file(&text).map(Some).map_err(|error| {
            let path = self.0.join(CREDENTIALS);
            let message = format!("`{}` holds no root key", path.display());
            Failure::caused(Kind::Environment, &message, &error)
                .hinted("restore it, or remove it to have a new root key made")
        })
    }

    pub fn write_facts(&self, facts: &ServerFacts) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(facts)
            .map_err(|error| Failure::caused(Kind::Environment, "could not write JSON", &error))?;
        self.write_private(SERVER, &text)
    }

    pub fn read_facts(&self) -> Result<Option<ServerFacts>, Failure> {
        Ok(self.read(SERVER)?.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub fn remove_facts(&self) {
        let _ = fs::remove_file(self.0.join(SERVER));
    }

    fn read(&self, name: &str) -> Result<Option<String>, Failure> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&path, &error)),
        }
    }

    /// Written beside and renamed, so that a reader never sees half of it.
    fn write_private(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.0.join(name);
        let beside = self.0.join(format!("{name}.new"));
        let _ = fs::remove_file(&beside);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|error| unusable(&path, &error))
    }
}

fn given_root_key() -> Result<Option<RootKey>, Failure> {
    let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let id = of("KENNEL_ROOT_ACCESS_KEY_ID");
    match (id, of("KENNEL_ROOT_SECRET_ACCESS_KEY")) {
        (None, None) => Ok(None),
        (Some(access_key_id), Some(secret_access_key)) => {
            let given = RootKey::given(&access_key_id, &secret_access_key);
            given.map(Some).map_err(|error| {
                Failure::caused(Kind::Environment, "the given root key cannot be used", &error)
            })
        }
        _ => Err(Failure::new(
            Kind::Environment,
            "only one of KENNEL_ROOT_ACCESS_KEY_ID and KENNEL_ROOT_SECRET_ACCESS_KEY is set",
        )
        .hinted("set both, or neither to have a root key made")),
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::caused(Kind::Environment, &format!("cannot use `{}`", path.display()), error)
        .hinted("name another directory with --data-dir DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, DataDir) {
        let place = tempfile::tempdir().unwrap();
        let dir = DataDir::choose(Some(&place.path().join("data"))).unwrap();
        dir.create().unwrap();
        (place, dir)
    }

    #[test]
    fn a_new_root_key_is_kept_for_the_owner_alone() {
        let (_place, dir) = fresh();
        let first = dir.root_key().unwrap();
        let second = dir.root_key().unwrap();
        assert_eq!(second.access_key_id, first.access_key_id);
        assert_eq!(second.secret_access_key, first.secret_access_key);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir.path().join(CREDENTIALS)), 0o600);
        assert_eq!(mode(dir.path()), 0o700);
    }

    #[test]
    fn a_damaged_credentials_file_is_an_error_not_a_new_key() {
        let (_place, dir) = fresh();
        fs::write(dir.path().join(CREDENTIALS), "nothing here").unwrap();
        let failure = dir.root_key().err().unwrap();
        assert!(failure.to_string().contains("holds no root key"), "{failure}");
    }
}

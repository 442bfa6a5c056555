//! `kennel demo` to its end: as the user who runs the tests, as an unprivileged user, and with
//! user namespaces denied.

#![allow(clippy::disallowed_methods, reason = "tests start the programs they test with")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "this is a test, its helpers included"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const KENNEL: &str = env!("CARGO_BIN_EXE_kennel");
/// An account every Debian system has and that owns nothing.
const UNPRIVILEGED: &str = "65534";

#[test]
fn the_demo_trains_deploys_and_classifies() {
    let place = Place::new();
    let report = place.demo(Command::new(&place.kennel));
    let accuracy = report["test_accuracy"].as_f64().unwrap();
    assert!(accuracy >= place.accuracy_min(), "test accuracy {accuracy}");
    let names: Vec<&str> =
        report["steps"].as_array().unwrap().iter().filter_map(|s| s["name"].as_str()).collect();
    for wanted in ["start a server", "upload", "train", "deploy", "classify pictures"] {
        assert!(names.contains(&wanted), "no step `{wanted}` in {names:?}");
    }
    for file in ["confusion_matrix.png", "training_curve.png", "contact_sheet.png"] {
        let bytes = std::fs::read(place.files().join(file)).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{file} is not a PNG");
    }
}

#[test]
fn the_demo_runs_as_an_unprivileged_user() {
    if !is_root() {
        println!("not root: the other test was this one");
        return;
    }
    let mut prefix = vec!["setpriv", "--reuid", UNPRIVILEGED, "--regid", UNPRIVILEGED];
    prefix.extend(["--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
    demo_behind(&prefix);
}

#[test]
fn the_demo_runs_with_user_namespaces_denied() {
    // The outer namespace counts its own: none may be made below it.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && \
                  exec setpriv --inh-caps=-all --bounding-set=-all --no-new-privs \"$0\" \"$@\"";
    demo_behind(&["unshare", "--user", "--map-root-user", "sh", "-c", script]);
}

/// The demo behind a program that changes who or where it is, where that program works.
fn demo_behind(prefix: &[&str]) {
    let command = || {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]);
        command
    };
    if !command().arg("true").output().is_ok_and(|output| output.status.success()) {
        let required = std::env::var("KENNEL_REQUIRE_ALL").is_ok_and(|value| value == "1");
        assert!(!required, "`{}` does not work here", prefix[0]);
        println!("skipped: `{}` does not work here", prefix[0]);
        return;
    }
    let place = Place::new();
    let mut command = command();
    command.arg(&place.kennel);
    let report = place.demo(command);
    let accuracy = report["test_accuracy"].as_f64().unwrap();
    assert!(accuracy >= place.accuracy_min(), "{report}");
}

/// A directory anybody can use, with the binary and the pictures in it.
struct Place {
    directory: tempfile::TempDir,
    kennel: PathBuf,
    photos: Option<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        open_to_all(directory.path());
        let kennel = directory.path().join("kennel");
        std::fs::copy(KENNEL, &kennel).unwrap();
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dogs25");
        let photos = shared.is_dir().then(|| {
            let photos = directory.path().join("photos");
            copy(&shared, &photos);
            photos
        });
        for name in ["files", "home", "tmp"] {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).unwrap();
            open_to_all(&path);
        }
        Self { directory, kennel, photos }
    }

    fn accuracy_min(&self) -> f64 {
        if self.photos.is_some() { 0.89 } else { 0.8 }
    }

    fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Runs the demo with the given command in front and returns what it printed.
    fn demo(&self, mut command: Command) -> Value {
        command.args(["demo", "--output", "json", "--files"]).arg(self.files());
        if let Some(photos) = &self.photos {
            command.arg("--data").arg(photos);
        }
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.env("HOME", self.directory.path().join("home"));
        command.env("TMPDIR", self.directory.path().join("tmp"));
        command.current_dir(self.directory.path());
        let output: Output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the demo failed:\n{told}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn is_root() -> bool {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

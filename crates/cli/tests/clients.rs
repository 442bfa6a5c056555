//! Runs the Python client tests against the binary that was just built.
//!
//! They need Python with working virtual environments and a package index. Where either is
//! absent, one line says that they were skipped; with `KENNEL_REQUIRE_ALL=1` that is a failure.

#![allow(clippy::disallowed_methods, reason = "tests start the programs they test with")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "this is a test, its helpers included"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PYTHON: &str = "python3";

#[test]
fn real_aws_clients_get_what_they_expect() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let clients = repository.join("tests/clients");
    let venv = match virtual_environment(&clients.join("requirements.txt")) {
        Ok(venv) => venv,
        Err(reason) => return skipped(&reason),
    };
    let conformance = repository.join("tests/conformance");
    let status = Command::new(venv.join("bin/python"))
        .args(["-m", "pytest", "--durations=10"])
        .arg("-c")
        .arg(clients.join("pytest.ini"))
        .args([&clients, &conformance])
        .env("KENNEL_BIN", env!("CARGO_BIN_EXE_kennel"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "the client tests failed: their report stands above");
}

/// A virtual environment with exactly the listed packages, made anew when the list changes.
fn virtual_environment(requirements: &Path) -> Result<PathBuf, String> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients-venv");
    let wanted = std::fs::read_to_string(requirements).unwrap();
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(venv);
    }
    let _ = std::fs::remove_dir_all(&venv);
    let made = Command::new(PYTHON).args(["-m", "venv"]).arg(&venv).output();
    succeeded(made, "python3 -m venv")?;
    let installed = Command::new(venv.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(requirements)
        .output();
    succeeded(installed, "pip install")?;
    std::fs::write(stamp, wanted).unwrap();
    Ok(venv)
}

fn succeeded(output: std::io::Result<Output>, what: &str) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rev().find(|line| !line.trim().is_empty());
            Err(format!("{what} failed: {}", last.unwrap_or("no reason given")))
        }
        Err(error) => Err(format!("{what} could not run: {error}")),
    }
}

fn skipped(reason: &str) {
    let required = std::env::var("KENNEL_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!required, "the client tests cannot run: {reason}");
    println!("skipped: the client tests cannot run: {reason}");
}

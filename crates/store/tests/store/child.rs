//! Runs one test of this very binary as a process of its own: to be killed, or on a disk of its
//! own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const DIR: &str = "KENNEL_STORE_TEST_CHILD_DIR";

/// A command that runs the test named `test` alone, with `dir` as its directory.
pub fn command(test: &str, dir: &Path) -> Command {
    with_program(&[env::current_exe().unwrap().to_str().unwrap()], test, dir)
}

/// The same, started through another program whose last arguments it becomes.
pub fn command_through(program: &[&str], test: &str, dir: &Path) -> Command {
    let own = env::current_exe().unwrap();
    with_program(&[program, &[own.to_str().unwrap()]].concat(), test, dir)
}

/// The directory given to this process, or `None` where it is not a child but the tests.
pub fn dir() -> Option<PathBuf> {
    env::var_os(DIR).map(PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "the tests kill a process of their own")]
fn with_program(program: &[&str], test: &str, dir: &Path) -> Command {
    let mut command = Command::new(program[0]);
    command.args(&program[1..]).args(["--exact", test, "--nocapture"]).env(DIR, dir);
    command
}

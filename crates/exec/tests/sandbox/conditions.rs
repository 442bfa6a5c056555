//! Runs all of these tests again as other users would have them: as an ordinary user, and with user
//! namespaces denied.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use kennel_exec::Probe;
use libtest_mimic::{Arguments, Failed, Trial};

use super::rig::{is_namespaces, skip};

/// Tells a copy of this program which condition it runs under.
const CONDITION: &str = "KENNEL_TEST_CONDITION";

pub fn trials(found: &Probe, arguments: &Arguments) -> Vec<Trial> {
    match std::env::var(CONDITION).as_deref() {
        Ok("unprivileged") => {
            let right = is_namespaces(found.isolation) && !rustix::process::geteuid().is_root();
            vec![claim("an_ordinary_user_has_namespaces", right, found)]
        }
        Ok("denied") => {
            let right = !is_namespaces(found.isolation) && found.reason.contains("denied");
            vec![claim("denied_namespaces_are_found_out", right, found)]
        }
        // A filter means that one test is looked at, not all conditions.
        _ if arguments.filter.is_some() || arguments.list => Vec::new(),
        _ => vec![
            Trial::test("all_tests_pass_as_an_ordinary_user", || {
                again("unprivileged", &unprivileged())
            }),
            Trial::test("all_tests_pass_with_user_namespaces_denied", || {
                again("denied", &denied())
            }),
        ],
    }
}

fn claim(name: &str, right: bool, found: &Probe) -> Trial {
    let text = format!("{}: {}; {}", found.isolation, found.reason, found.remedy);
    Trial::test(name, move || if right { Ok(()) } else { Err(Failed::from(text.clone())) })
}

/// An ordinary user without groups; the same words work for nobody but root.
fn unprivileged() -> Vec<String> {
    words("setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --")
}

/// A user namespace whose own limit of user namespaces is zero, and no capability to raise it.
fn denied() -> Vec<String> {
    let inner = "echo 0 > /proc/sys/user/max_user_namespaces && \
                 exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs -- \"$@\"";
    let mut command = words("unshare --user --map-root-user sh -c");
    command.extend([inner.to_owned(), "sh".to_owned()]);
    command
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

fn again(condition: &str, prefix: &[String]) -> Result<(), Failed> {
    if condition == "unprivileged" && !rustix::process::geteuid().is_root() {
        skip(condition, "these tests run as an ordinary user already");
        return Ok(());
    }
    if !run(prefix, "true".into(), condition).is_ok_and(|output| output.status.success()) {
        skip(condition, &format!("`{}` does not work here", prefix.join(" ")));
        return Ok(());
    }
    if condition == "unprivileged" {
        let mut nested = prefix.to_vec();
        nested.extend(words("unshare --user --pid --mount --net --fork"));
        if !run(&nested, "true".into(), condition).is_ok_and(|output| output.status.success()) {
            skip(condition, "ordinary users have no user namespaces here");
            return Ok(());
        }
    }
    // Where everybody may read and execute it.
    let shelf =
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir()?;
    let program = shelf.path().join("sandbox-tests");
    fs::copy(std::env::current_exe()?, &program)?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    let output = run(prefix, program, condition)?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    Err(Failed::from(format!("under condition {condition}:\n{text}")))
}

fn run(
    prefix: &[String],
    program: PathBuf,
    condition: &str,
) -> std::io::Result<std::process::Output> {
    let (first, rest) = prefix.split_first().unwrap();
    Command::new(first)
        .args(rest)
        .arg(program)
        .env(CONDITION, condition)
        .env_remove("TMPDIR")
        .current_dir("/")
        .output()
}

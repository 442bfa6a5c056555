//! What a person sees when a server cannot start, and that one which runs stops in order.

#![allow(clippy::disallowed_methods, reason = "tests start the programs they test with")]
#![allow(clippy::unwrap_used, reason = "this is a test, its helpers included")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn kennel(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennel"));
    command.env_clear().arg("--data-dir").arg(data_dir);
    command
}

/// A server that said it is ready, and where.
fn running(data_dir: &Path) -> (Child, String) {
    let mut server = kennel(data_dir)
        .args(["up", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    (server, url)
}

fn stop(mut server: Child) -> std::process::ExitStatus {
    let pid = server.id().to_string();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    server.wait().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_port_that_is_taken_is_named_with_a_hint() {
    let place = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = kennel(&place.path().join("data")).args(["up", "--listen", &address]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = told(&output);
    assert!(told.contains(&format!("error: cannot listen on {address}")), "{told}");
    assert!(told.contains("hint: another program has the port"), "{told}");
}

#[test]
fn a_data_directory_in_use_is_named_with_its_server() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let (server, _) = running(&data);
    let output = kennel(&data).args(["up", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let told = told(&output);
    assert!(told.contains("error: cannot lock the data directory"), "{told}");
    assert!(told.contains(&server.id().to_string()), "{told}");
    assert!(told.contains("hint: stop the server that uses it"), "{told}");
    assert!(stop(server).success());
}

#[test]
fn env_prints_what_aws_programs_need_and_only_while_a_server_runs() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let (server, url) = running(&data);
    let output = kennel(&data).arg("env").output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(lines.contains(&format!("export AWS_ENDPOINT_URL='{url}'")), "{lines}");
    assert!(lines.contains("export AWS_SECRET_ACCESS_KEY='"), "{lines}");
    assert!(stop(server).success());
    let output = kennel(&data).arg("env").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(told(&output).contains("hint: start one with `kennel up`"), "{}", told(&output));
}

#[test]
fn status_names_isolation_limiter_and_engine() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let (server, url) = running(&data);
    let output = kennel(&data).args(["status", "--output", "json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status.get("endpoint").and_then(|value| value.as_str()), Some(url.as_str()));
    for fact in ["server/isolation", "server/limiter", "server/limiter_reason", "engine"] {
        let value = status.pointer(&format!("/{fact}")).and_then(|value| value.as_str());
        assert!(value.is_some_and(|text| !text.is_empty()), "{fact} is missing in {status}");
    }
    assert!(stop(server).success());
}

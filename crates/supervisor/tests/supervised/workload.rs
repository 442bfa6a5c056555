//! Workloads on the container contract, each named by the hyperparameter or the file that asks for
//! it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

fn base() -> PathBuf {
    PathBuf::from(std::env::var("SAGEMAKER_BASE_DIR").unwrap_or_else(|_| "/opt/ml".to_owned()))
}

pub fn run(verb: &str) -> ExitCode {
    match verb {
        "train" => train(),
        "serve" => serve(),
        other => panic!("unknown verb {other}"),
    }
}

fn train() -> ExitCode {
    let base = base();
    let text = std::fs::read(base.join("input/config/hyperparameters.json")).unwrap();
    let parameters: serde_json::Value = serde_json::from_slice(&text).unwrap();
    println!("job {}", std::env::var("TRAINING_JOB_NAME").unwrap());
    match parameters["do"].as_str().unwrap() {
        "copy" => {
            let from = base.join("input/data/train/sub/a.txt");
            std::fs::copy(from, base.join("model/weights")).unwrap();
            std::fs::write(base.join("output/data/curve.csv"), "1,2").unwrap();
            eprintln!("copied");
            ExitCode::SUCCESS
        }
        "fail" => {
            std::fs::write(base.join("output/failure"), "no dogs in the data").unwrap();
            ExitCode::from(3)
        }
        "crash" => ExitCode::from(9),
        "sleep" => {
            std::fs::write(base.join("model/best"), "so far").unwrap();
            println!("sleeping");
            std::thread::sleep(Duration::from_secs(1000));
            ExitCode::SUCCESS
        }
        "steal" => {
            std::fs::remove_dir(base.join("model")).unwrap();
            std::os::unix::fs::symlink("/etc", base.join("model")).unwrap();
            std::os::unix::fs::symlink("/etc/hostname", base.join("output/failure")).unwrap();
            ExitCode::from(1)
        }
        "checkpoint" => {
            let before = std::fs::read_to_string(base.join("checkpoints/step")).unwrap();
            std::fs::write(base.join("checkpoints/step"), format!("{before}+1")).unwrap();
            ExitCode::SUCCESS
        }
        "credentials" => credentials(),
        other => panic!("unknown workload {other}"),
    }
}

/// Asks for its credentials as programs on AWS do.
fn credentials() -> ExitCode {
    let uri = std::env::var("AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap();
    let token = std::env::var("AWS_CONTAINER_AUTHORIZATION_TOKEN").unwrap();
    let address = uri.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /credentials HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut stream, &mut answer).unwrap();
    std::fs::write(base().join("model/answer"), answer).unwrap();
    ExitCode::SUCCESS
}

/// Answers /ping with what the model's file `ping` says, until that file says `die`.
fn serve() -> ExitCode {
    let port: u16 = std::env::var("SAGEMAKER_BIND_TO_PORT").unwrap().parse().unwrap();
    let mode = std::fs::read_to_string(base().join("model/mode")).unwrap();
    if mode == "never" {
        std::thread::sleep(Duration::from_secs(1000));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    println!("serving");
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut first = String::new();
        reader.read_line(&mut first).unwrap();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
                break;
            }
        }
        if first.starts_with("GET /die") {
            eprintln!("the model is broken");
            return ExitCode::from(7);
        }
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
        let _gone = stream.write_all(answer.as_bytes());
    }
    ExitCode::SUCCESS
}

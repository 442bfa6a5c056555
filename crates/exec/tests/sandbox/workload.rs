//! Small well-behaved workloads; the hostile ones are in `hostile`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

pub const VERB: &str = "__workload";

pub fn run(words: &[&str]) -> ExitCode {
    match words {
        ["exit", code] => ExitCode::from(code.parse::<u8>().unwrap()),
        ["print", text] => {
            print!("{text}");
            eprint!("{text} as error");
            ExitCode::SUCCESS
        }
        ["hostile", rest @ ..] => super::hostile::attack(rest),
        ["server", run_dir] => super::launcher::serve_and_die(run_dir),
        ["burn", threads, millis] => {
            burn(threads.parse().unwrap(), Duration::from_millis(millis.parse().unwrap()))
        }
        ["sleep", ..] => {
            println!("ready");
            std::thread::sleep(Duration::from_secs(1000));
            ExitCode::SUCCESS
        }
        ["echo-server", variable] => echo_server(port(variable)),
        ["send", variable, text] => send(port(variable), text),
        ["write", variable, name, text] => {
            let base = std::path::PathBuf::from(std::env::var(variable).unwrap());
            match std::fs::write(base.join(name), text) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("{error}");
                    ExitCode::from(3)
                }
            }
        }
        other => panic!("unknown workload {other:?}"),
    }
}

fn burn(threads: usize, time: Duration) -> ExitCode {
    println!("{} CPUs", std::thread::available_parallelism().unwrap());
    let start = std::time::Instant::now();
    let busy = move || while start.elapsed() < time {};
    let threads: Vec<_> = (0..threads).map(|_| std::thread::spawn(busy)).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    ExitCode::SUCCESS
}

fn port(variable: &str) -> u16 {
    std::env::var(variable).unwrap().parse().unwrap()
}

/// Answers every connection with what it said, in capitals.
fn echo_server(port: u16) -> ExitCode {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))
        .unwrap();
    println!("listening");
    for connection in listener.incoming() {
        let mut connection = connection.unwrap();
        let mut text = String::new();
        connection.read_to_string(&mut text).unwrap();
        connection.write_all(text.to_uppercase().as_bytes()).unwrap();
    }
    ExitCode::SUCCESS
}

fn send(port: u16, text: &str) -> ExitCode {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    connection.write_all(text.as_bytes()).unwrap();
    connection.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    print!("{answer}");
    ExitCode::SUCCESS
}

//! `kennel up`: the server in the foreground.

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

use crate::data_dir::DataDir;
use crate::failure::Failure;
use crate::logging;
use crate::printer;
use crate::server::{Server, Settings};

/// Start the server in the foreground; Ctrl-C or SIGTERM drains and stops it
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4566")]
    listen: SocketAddr,
    /// Twelve-digit account number
    #[arg(long, default_value = "123456789012", value_parser = account)]
    account: String,
    #[arg(long, default_value = "us-east-1", value_parser = region)]
    region: String,
}

pub async fn run(data_dir: &DataDir, arguments: Arguments) -> Result<(), Failure> {
    logging::start("info");
    let shutdown = CancellationToken::new();
    let settings = Settings {
        data_dir: data_dir.clone(),
        listen: arguments.listen,
        account: arguments.account,
        region: arguments.region,
    };
    let server = Server::start(settings, shutdown.clone()).await?;
    let facts = server.facts();
    printer::data(&format!(
        "Kennel is ready at {} (account {}, region {}, data in {})",
        facts.endpoint,
        facts.account,
        facts.region,
        data_dir.path().display()
    ))?;
    wait_for_signal().await;
    printer::remark("stopping: no new requests, those under way have some seconds to end");
    shutdown.cancel();
    server.stopped().await;
    Ok(())
}

/// Resolves at the first SIGINT or SIGTERM. Where handlers cannot be installed the signals keep
/// their default and end the process.
pub async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}

fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.to_owned()).ok_or_else(|| "not twelve digits".to_owned())
}

fn region(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let fits = (1..=32).contains(&text.len()) && text.bytes().all(plain);
    fits.then(|| text.to_owned()).ok_or_else(|| "not the name of a region".to_owned())
}

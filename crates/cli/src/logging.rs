//! The server's own log, on stderr. `KENNEL_LOG` chooses what is in it, as `RUST_LOG` does for
//! other programs (`warn`, `debug`, `kennel_api=trace`).

use tracing_subscriber::EnvFilter;

/// Starts logging; `default` is the filter where `KENNEL_LOG` is absent or unreadable.
pub fn start(default: &str) {
    let filter = std::env::var("KENNEL_LOG").ok().and_then(|text| text.parse().ok());
    let filter: EnvFilter = filter.unwrap_or_else(|| EnvFilter::new(default));
    // A second call (the demo starts a server of its own) keeps the first.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(crate::printer::stderr_is_terminal())
        .try_init();
}

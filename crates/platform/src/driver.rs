//! Runs a reconciler: once at start, again whenever a table it watches changes, and at least once
//! every tick, until the server shuts down.

use std::future::Future;
use std::time::Duration;

use kennel_store::Revision;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Calls `reconcile` until `shutdown`. A reconciler handles its own errors: what could not be done
/// now is tried again at the next call.
pub async fn drive<F, Fut>(
    mut tables: Vec<watch::Receiver<Revision>>,
    tick: Duration,
    shutdown: CancellationToken,
    mut reconcile: F,
) where
    F: FnMut() -> Fut,
    Fut: Future<Output = ()>,
{
    loop {
        for table in &mut tables {
            table.mark_unchanged();
        }
        reconcile().await;
        let changed = async {
            // The combinator panics on nothing to wait for.
            if tables.is_empty() {
                return std::future::pending().await;
            }
            let changes = tables.iter_mut().map(|table| Box::pin(table.changed()));
            let (_changed, _index, _others) = futures::future::select_all(changes).await;
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = changed => {}
            () = tokio::time::sleep(tick) => {}
        }
    }
}

//! Which replica takes a request: the variant by weight, within it the replica with the fewest
//! requests in flight.
//!
//! The table is in memory and follows the records. It is replaced whole: a request sees the fleet
//! before an update or the fleet after it. A replica that leaves the table is closed after the
//! table was replaced, so that a request that read the older one looks again instead of being
//! lost, and [`Router::in_flight`] can only fall.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use super::config::Routing;
use super::record::{Endpoint, Status, log_stream};
use crate::limits::REPLICA_IN_FLIGHT_MAX;

/// Reads of the table before a request gives up on replicas that close under its hands.
const LOOKS_MAX: usize = 4;

/// Set in a door's state when it takes no more requests; the rest counts those in flight.
const CLOSED: u32 = 1 << 31;

pub struct Router {
    routes: RwLock<HashMap<String, Arc<Route>>>,
    doors: Mutex<HashMap<String, Arc<Door>>>,
    counts: Mutex<HashMap<(String, String), Arc<Counts>>>,
    draws: AtomicU64,
    /// Changes when the last request leaves a closed door.
    emptied: watch::Sender<u64>,
}

impl Router {
    pub fn new(seed: u64) -> Self {
        Self {
            routes: RwLock::default(),
            doors: Mutex::default(),
            counts: Mutex::default(),
            draws: AtomicU64::new(seed),
            emptied: watch::Sender::new(0),
        }
    }

    pub fn watch_emptied(&self) -> watch::Receiver<u64> {
        self.emptied.subscribe()
    }

    /// A place at a replica that is not among `avoid`, until the lease is dropped. `endpoint` is
    /// the record key.
    pub fn lease(
        &self,
        endpoint: &str,
        target_variant: Option<&str>,
        avoid: &[String],
    ) -> Result<Lease, NoRoute> {
        let mut answer = NoRoute::Endpoint;
        for _ in 0..LOOKS_MAX {
            let Some(route) = self.route(endpoint) else { return Err(NoRoute::Endpoint) };
            let variant = route.variant(target_variant, self.draw()).ok_or(NoRoute::Variant)?;
            let mut doors: Vec<&Arc<Door>> =
                variant.doors.iter().filter(|door| !avoid.contains(&door.run_id)).collect();
            if doors.is_empty() {
                return Err(NoRoute::Replica);
            }
            let turn = usize::try_from(self.draw() % doors.len() as u64).unwrap_or(0);
            doors.rotate_left(turn);
            if variant.routing == Routing::LeastOutstandingRequests {
                doors.sort_by_key(|door| door.in_flight());
            }
            if let Some(door) = doors.iter().find(|door| door.enter()) {
                let counts = Arc::clone(&variant.counts);
                counts.invocations.fetch_add(1, Ordering::Relaxed);
                return Ok(Lease {
                    door: Arc::clone(door),
                    variant: variant.name.clone(),
                    counts,
                    emptied: self.emptied.clone(),
                });
            }
            answer = NoRoute::Busy;
        }
        Err(answer)
    }

    /// Requests that a run works on.
    pub fn in_flight(&self, run_id: &str) -> u32 {
        lock(&self.doors).get(run_id).map_or(0, |door| door.in_flight())
    }

    /// What a variant was asked so far by this process, for metrics.
    pub fn counts(&self, endpoint: &str, variant: &str) -> Option<Arc<Counts>> {
        let key = (endpoint.to_owned(), variant.to_owned());
        lock(&self.counts).get(&key).map(Arc::clone)
    }

    /// Makes the table follow the record; `is_ready` and `socket` tell of a run.
    pub(super) fn publish(
        &self,
        endpoint: &Endpoint,
        is_ready: impl Fn(&str) -> bool,
        socket: impl Fn(&str) -> PathBuf,
    ) {
        let key = endpoint.name.key();
        let serves = match endpoint.status {
            Status::InService | Status::Updating | Status::RollingBack => true,
            Status::Creating | Status::Failed | Status::Deleting => false,
        };
        let route = endpoint.serving.as_ref().filter(|_| serves).map(|fleet| {
            let variants = fleet.variants.iter().map(|variant| {
                let name = variant.config.name.as_str();
                let ready = variant.replicas.iter().filter_map(|replica| {
                    let run = replica.run.as_ref().filter(|run| is_ready(&run.run_id))?;
                    let stream = log_stream(name, replica);
                    Some(self.door(&run.run_id, || socket(&run.run_id), stream))
                });
                RouteVariant {
                    name: name.to_owned(),
                    weight: variant.weight,
                    routing: variant.config.routing.unwrap_or(Routing::LeastOutstandingRequests),
                    doors: ready.collect(),
                    counts: self.counts_of(&key, name),
                }
            });
            Arc::new(Route { variants: variants.collect() })
        });
        let old = match route {
            Some(route) => self.write().insert(key, route),
            None => self.write().remove(&key),
        };
        // Closed only now: whoever read the older table finds the newer one when it looks again.
        for retired in &endpoint.retired {
            self.close(&retired.run_id);
        }
        if let Some(old) = old {
            self.close_absent(&old, endpoint);
        }
    }

    /// Removes an endpoint that is no more.
    pub(super) fn remove(&self, key: &str) {
        let old = self.write().remove(key);
        let doors = old.iter().flat_map(|route| &route.variants).flat_map(|one| &one.doors);
        for door in doors {
            self.close(&door.run_id);
        }
        lock(&self.counts).retain(|(endpoint, _), _| endpoint != key);
    }

    fn close_absent(&self, old: &Route, endpoint: &Endpoint) {
        let living: HashSet<&str> = endpoint.run_ids().collect();
        for door in old.variants.iter().flat_map(|variant| &variant.doors) {
            if !living.contains(door.run_id.as_str()) {
                self.close(&door.run_id);
            }
        }
    }

    /// A door that nobody is behind any more is forgotten.
    fn close(&self, run_id: &str) {
        let mut doors = lock(&self.doors);
        if let Some(door) = doors.get(run_id) {
            door.close();
        }
        doors.retain(|_, door| !door.is_done());
    }

    fn door(&self, run_id: &str, socket: impl Fn() -> PathBuf, log_stream: String) -> Arc<Door> {
        let mut doors = lock(&self.doors);
        let door = doors.entry(run_id.to_owned()).or_insert_with(|| {
            Arc::new(Door {
                run_id: run_id.to_owned(),
                socket: socket(),
                log_stream,
                state: AtomicU32::new(0),
            })
        });
        Arc::clone(door)
    }

    fn counts_of(&self, endpoint: &str, variant: &str) -> Arc<Counts> {
        let key = (endpoint.to_owned(), variant.to_owned());
        Arc::clone(lock(&self.counts).entry(key).or_default())
    }

    fn route(&self, endpoint: &str) -> Option<Arc<Route>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.get(endpoint).map(Arc::clone)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Arc<Route>>> {
        self.routes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// SplitMix64: cheap, shared without a lock, and even enough to divide requests.
    fn draw(&self) -> u64 {
        let mut bits = self.draws.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}

/// Why no replica takes the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoute {
    /// No such endpoint, or it does not serve.
    Endpoint,
    /// It has no such variant.
    Variant,
    /// No replica of the variant answers /ping now.
    Replica,
    /// Every replica works on as many requests as it may.
    Busy,
}

/// A place at a replica.
pub struct Lease {
    door: Arc<Door>,
    variant: String,
    counts: Arc<Counts>,
    emptied: watch::Sender<u64>,
}

impl Lease {
    pub fn run_id(&self) -> &str {
        &self.door.run_id
    }

    /// The Unix socket that leads to the workload's port.
    pub fn socket(&self) -> &Path {
        &self.door.socket
    }

    /// A new connection to the workload's port.
    pub async fn connect(&self) -> std::io::Result<tokio::net::UnixStream> {
        kennel_exec::socket::connect(&self.door.socket).await
    }

    pub fn variant(&self) -> &str {
        &self.variant
    }

    pub fn log_stream(&self) -> &str {
        &self.door.log_stream
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.door.leave() == (CLOSED | 1) {
            self.emptied.send_modify(|times| *times = times.wrapping_add(1));
        }
    }
}

/// Grows while the server runs; metrics take differences.
#[derive(Debug, Default)]
pub struct Counts {
    pub invocations: AtomicU64,
    pub errors_4xx: AtomicU64,
    pub errors_5xx: AtomicU64,
}

struct Route {
    variants: Vec<RouteVariant>,
}

struct RouteVariant {
    name: String,
    weight: f64,
    routing: Routing,
    doors: Vec<Arc<Door>>,
    counts: Arc<Counts>,
}

impl Route {
    fn variant(&self, target: Option<&str>, draw: u64) -> Option<&RouteVariant> {
        if let Some(target) = target {
            return self.variants.iter().find(|variant| variant.name == target);
        }
        let sum: f64 = self.variants.iter().map(|variant| variant.weight).sum();
        // 53 bits are what a double holds exactly: a number in [0, 1).
        let unit = (draw >> 11) as f64 / (1_u64 << 53) as f64;
        let mut rest = unit * sum;
        for variant in &self.variants {
            if rest < variant.weight {
                return Some(variant);
            }
            rest -= variant.weight;
        }
        // Every weight is zero, or rounding took the last bit.
        self.variants.iter().rev().find(|variant| variant.weight > 0.0).or(self.variants.first())
    }
}

/// A replica as requests see it.
struct Door {
    run_id: String,
    socket: PathBuf,
    log_stream: String,
    state: AtomicU32,
}

impl Door {
    fn enter(&self) -> bool {
        let more = |state: u32| {
            (state & CLOSED == 0 && state < REPLICA_IN_FLIGHT_MAX).then_some(state + 1)
        };
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// The state before.
    fn leave(&self) -> u32 {
        self.state.fetch_sub(1, Ordering::AcqRel)
    }

    fn close(&self) {
        self.state.fetch_or(CLOSED, Ordering::AcqRel);
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    fn in_flight(&self) -> u32 {
        self.state.load(Ordering::Acquire) & !CLOSED
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(variants: &[(&str, f64, &[&str])]) -> Router {
        let router = Router::new(7);
        let variants = variants.iter().map(|(name, weight, runs)| RouteVariant {
            name: (*name).to_owned(),
            weight: *weight,
            routing: Routing::LeastOutstandingRequests,
            doors: runs.iter().map(|run| door(&router, run)).collect(),
            counts: router.counts_of("e", name),
        });
        let route = Arc::new(Route { variants: variants.collect() });
        router.write().insert("e".to_owned(), route);
        router
    }

    fn door(router: &Router, run_id: &str) -> Arc<Door> {
        router.door(run_id, PathBuf::new, String::new())
    }

    #[test]
    fn variants_share_requests_by_weight() {
        let router = route(&[("a", 3.0, &["1"]), ("b", 1.0, &["2"]), ("c", 0.0, &["3"])]);
        let mut taken = HashMap::new();
        for _ in 0..4_000 {
            let lease = router.lease("e", None, &[]).unwrap();
            *taken.entry(lease.variant().to_owned()).or_insert(0) += 1;
        }
        let (a, b) = (taken["a"], taken["b"]);
        assert!((2_850..3_150).contains(&a), "{a} of 4000 for three quarters");
        assert_eq!(a + b, 4_000, "a variant without weight takes none");
        assert_eq!(router.counts("e", "a").unwrap().invocations.load(Ordering::Relaxed), a);
    }

    #[test]
    fn a_named_variant_is_taken_whatever_its_weight() {
        let router = route(&[("a", 1.0, &["1"]), ("b", 0.0, &["2"])]);
        assert_eq!(router.lease("e", Some("b"), &[]).unwrap().run_id(), "2");
        assert_eq!(router.lease("e", Some("x"), &[]).err(), Some(NoRoute::Variant));
    }

    #[test]
    fn the_replica_with_the_fewest_requests_is_next() {
        let router = route(&[("a", 1.0, &["1", "2", "3"])]);
        let leases: Vec<Lease> = (0..9).map(|_| router.lease("e", None, &[]).unwrap()).collect();
        for run in ["1", "2", "3"] {
            assert_eq!(router.in_flight(run), 3);
        }
        drop(leases);
        assert_eq!(router.in_flight("1"), 0);
    }

    #[test]
    fn replicas_that_could_not_be_reached_are_avoided() {
        let router = route(&[("a", 1.0, &["1", "2"])]);
        let avoid = vec!["1".to_owned()];
        for _ in 0..20 {
            assert_eq!(router.lease("e", None, &avoid).unwrap().run_id(), "2");
        }
        let avoid = vec!["1".to_owned(), "2".to_owned()];
        assert_eq!(router.lease("e", None, &avoid).err(), Some(NoRoute::Replica));
    }

    #[test]
    fn a_replica_takes_a_bounded_number_of_requests() {
        let router = route(&[("a", 1.0, &["1"])]);
        let held: Vec<Lease> =
            (0..REPLICA_IN_FLIGHT_MAX).map(|_| router.lease("e", None, &[]).unwrap()).collect();
        assert_eq!(router.lease("e", None, &[]).err(), Some(NoRoute::Busy));
        drop(held);
        assert!(router.lease("e", None, &[]).is_ok());
    }

    #[test]
    fn a_closed_replica_takes_no_more_and_tells_when_it_is_empty() {
        let router = route(&[("a", 1.0, &["1"])]);
        let emptied = router.watch_emptied();
        let held = router.lease("e", None, &[]).unwrap();
        router.close("1");
        assert_eq!(router.lease("e", None, &[]).err(), Some(NoRoute::Busy));
        assert_eq!(router.in_flight("1"), 1);
        assert!(!emptied.has_changed().unwrap());
        drop(held);
        assert!(emptied.has_changed().unwrap());
        assert_eq!(router.in_flight("1"), 0);
    }
}

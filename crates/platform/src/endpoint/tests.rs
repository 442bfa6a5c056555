//! Endpoints over a memory store, scripted runs and a clock moved by hand.

mod world;

use super::record::Fleet;
use super::submit::Retain;
use super::*;
use world::{World, name};

#[tokio::test]
async fn in_service_only_when_every_replica_answered_ping() {
    let world = World::new();
    world.config("two", &[("AllTraffic", 2)]).await;
    world.create("dogs", "two").await;
    world.pass().await;
    let runs = world.host.live();
    assert_eq!(runs.len(), 2);
    assert_eq!(world.status("dogs").await, Some(Status::Creating));
    world.host.ready(&runs[0]);
    world.pass().await;
    assert_eq!(world.status("dogs").await, Some(Status::Creating));
    assert_eq!(world.lease("dogs").await.err(), Some(NoRoute::Endpoint));
    world.host.ready(&runs[1]);
    world.pass().await;
    assert_eq!(world.status("dogs").await, Some(Status::InService));
    assert!(world.lease("Dogs").await.is_ok());
}

#[tokio::test]
async fn dead_replica_is_started_again_after_growing_pauses_and_its_log_says_why() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    for pause_ms in [1_000, 2_000, 4_000] {
        let run = world.host.live().remove(0);
        world.host.end(&run, "AlgorithmError: killed by signal 9");
        world.pass().await;
        assert!(world.host.live().is_empty());
        assert_eq!(world.lease("dogs").await.err(), Some(NoRoute::Replica));
        world.clock.advance_ms(pause_ms - 1);
        world.pass().await;
        assert!(world.host.live().is_empty());
        world.clock.advance_ms(1);
        world.pass().await;
        world.host.all_ready();
        world.pass().await;
        assert!(world.lease("dogs").await.is_ok());
        assert_eq!(world.status("dogs").await, Some(Status::InService));
    }
    let lines = world.host.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines[2].contains("killed by signal 9 (failure 3 in a row"), "{}", lines[2]);
    assert_eq!(world.host.known().len(), 1, "ended runs are forgotten");
}

#[tokio::test]
async fn a_replica_that_was_stable_starts_from_the_shortest_pause() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    for _ in 0..2 {
        let run = world.host.live().remove(0);
        world.host.end(&run, "AlgorithmError: exit 1");
        world.pass().await;
        world.clock.advance_ms(5_000);
        world.pass().await;
        world.host.all_ready();
        world.pass().await;
        world.clock.advance_ms(60_000);
        world.pass().await;
    }
    assert!(world.host.lines()[1].contains("failure 1 in a row"));
}

#[tokio::test]
async fn fleet_that_never_answers_fails_the_endpoint_with_the_reason() {
    let world = World::new();
    world.config("one", &[("AllTraffic", 1)]).await;
    world.create("dogs", "one").await;
    for _ in 0..3 {
        world.pass().await;
        let run = world.host.live().remove(0);
        world.host.end(&run, "AlgorithmError: exit code 1");
        world.pass().await;
        world.clock.advance_ms(70_000);
    }
    let endpoint = world.get("dogs").await.unwrap();
    assert_eq!(endpoint.status, Status::Failed);
    assert_eq!(
        endpoint.failure_reason.unwrap(),
        "The primary container for production variant AllTraffic did not pass the ping health \
         check. Please check CloudWatch logs for this endpoint. AlgorithmError: exit code 1"
    );
    assert!(world.host.known().is_empty());
    let refused = world.endpoints.update(&name("dogs"), &name("one"), Retain::default()).await;
    assert!(matches!(refused, Err(Error::NotInService(_))));
    world.endpoints.delete(&name("dogs")).await.unwrap();
    world.pass().await;
    assert_eq!(world.status("dogs").await, None);
}

#[tokio::test]
async fn a_replica_that_never_answers_ping_is_given_up_after_its_time() {
    let world = World::new();
    world.config("one", &[("AllTraffic", 1)]).await;
    world.create("dogs", "one").await;
    world.pass().await;
    world.pass().await;
    let run = world.host.live().remove(0);
    world.clock.advance_ms(i64::from(1_200 + 480 + 30) * 1_000);
    world.pass().await;
    assert!(world.host.stopped().contains(&run));
    assert!(world.host.lines()[0].contains("/ping did not answer in time"));
}

#[tokio::test]
async fn a_replica_that_was_ready_and_answers_ping_no_more_is_replaced_after_a_minute() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    let run = world.host.live().remove(0);
    world.host.unready(&run);
    world.pass().await;
    world.clock.advance_ms(59_999);
    world.pass().await;
    world.host.ready(&run);
    world.pass().await;
    assert!(world.lease("dogs").await.is_ok(), "it came back in time");
    world.host.unready(&run);
    world.pass().await;
    world.clock.advance_ms(60_000);
    world.pass().await;
    assert!(world.host.stopped().contains(&run));
    world.until(async |world| world.lease("dogs").await.is_ok()).await;
    assert_eq!(world.host.live().len(), 1);
}

#[test]
fn a_run_recorded_before_it_was_known_whether_it_served_can_be_read() {
    let record = r#"{"run_id": "r", "generation": 1, "ready": true, "turned_at_ms": 5}"#;
    let run: record::ReplicaRun = serde_json::from_str(record).unwrap();
    assert!(!run.served);
}

#[tokio::test]
async fn update_moves_requests_at_once_and_drains_the_old_fleet() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    world.config("other", &[("AllTraffic", 2)]).await;
    let old = world.lease("dogs").await.unwrap();
    let update = world.endpoints.update(&name("dogs"), &name("other"), Retain::default()).await;
    assert_eq!(update.unwrap().status, Status::Updating);
    world.pass().await;
    assert_eq!(world.lease("dogs").await.unwrap().run_id(), old.run_id());
    world.host.all_ready();
    world.pass().await;
    let endpoint = world.get("dogs").await.unwrap();
    assert_eq!(endpoint.status, Status::InService);
    assert_eq!(endpoint.config_name.as_str(), "other");
    assert_ne!(world.lease("dogs").await.unwrap().run_id(), old.run_id());
    assert!(world.host.stopped().is_empty(), "the old replica still has a request");
    let run_id = old.run_id().to_owned();
    drop(old);
    world.pass().await;
    assert_eq!(world.host.stopped(), vec![run_id]);
    world.settle().await;
    assert_eq!(world.host.known().len(), 2);
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_an_old_fleet_for_ever() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    let held = world.lease("dogs").await.unwrap();
    world.endpoints.delete(&name("dogs")).await.unwrap();
    world.endpoints.delete(&name("dogs")).await.unwrap();
    world.pass().await;
    assert!(world.host.stopped().is_empty());
    world.clock.advance_ms(crate::limits::REPLICA_DRAIN_MS);
    world.pass().await;
    assert_eq!(world.host.stopped(), vec![held.run_id().to_owned()]);
    world.settle().await;
    assert_eq!(world.status("dogs").await, None);
}

#[tokio::test]
async fn failed_update_rolls_back_and_the_old_fleet_serves_throughout() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    let old = world.lease("dogs").await.unwrap().run_id().to_owned();
    world.config("broken", &[("AllTraffic", 1)]).await;
    world.endpoints.update(&name("dogs"), &name("broken"), Retain::default()).await.unwrap();
    for _ in 0..3 {
        world.pass().await;
        for run in world.host.live().into_iter().filter(|run| *run != old) {
            world.host.end(&run, "ClientError: no such key");
        }
        assert_eq!(world.lease("dogs").await.unwrap().run_id(), old);
        world.pass().await;
        world.clock.advance_ms(70_000);
    }
    world.settle().await;
    let endpoint = world.get("dogs").await.unwrap();
    assert_eq!(endpoint.status, Status::InService);
    assert_eq!(endpoint.config_name.as_str(), "one");
    assert_eq!(endpoint.failure_reason.as_deref(), Some("ClientError: no such key"));
    assert_eq!(world.host.known(), vec![old]);
}

#[tokio::test]
async fn changes_are_refused_while_one_is_under_way() {
    let world = World::new();
    world.config("one", &[("AllTraffic", 1)]).await;
    world.create("Dogs", "one").await;
    let again = world.endpoints.create(name("dogs"), &name("one"), &[]).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    let update = world.endpoints.update(&name("dogs"), &name("one"), Retain::default()).await;
    assert!(matches!(update, Err(Error::InProgress(_))));
    assert!(matches!(world.endpoints.delete(&name("dogs")).await, Err(Error::InProgress(_))));
    let absent = world.endpoints.create(name("cats"), &name("none"), &[]).await;
    assert!(matches!(absent, Err(Error::ConfigAbsent(_))));
}

#[tokio::test]
async fn a_fleet_without_memory_waits_and_then_fails_with_a_capacity_error() {
    let world = World::new();
    world.config("one", &[("AllTraffic", 1)]).await;
    world.host.full(true);
    world.create("dogs", "one").await;
    world.pass().await;
    world.clock.advance_ms(299_000);
    world.pass().await;
    assert_eq!(world.status("dogs").await, Some(Status::Creating));
    world.clock.advance_ms(1_000);
    world.settle().await;
    let endpoint = world.get("dogs").await.unwrap();
    assert_eq!(endpoint.status, Status::Failed);
    assert!(endpoint.failure_reason.unwrap().starts_with("CapacityError: Unable to provision"));
}

#[tokio::test]
async fn a_restarted_server_routes_to_the_replicas_it_finds() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    let before = world.lease("dogs").await.unwrap().run_id().to_owned();
    let world = world.restarted();
    assert_eq!(world.lease("dogs").await.unwrap().run_id(), before);
    world.pass().await;
    assert_eq!(world.host.live(), vec![before.clone()]);
    assert!(world.endpoints.wanted_runs().await.unwrap().contains(&before));
}

#[tokio::test]
async fn weights_and_counts_change_in_place_and_are_undone_where_there_is_no_memory() {
    let world = World::new();
    world.in_service("dogs", "one", 1).await;
    let more = |count| {
        vec![Desired {
            variant: name("AllTraffic"),
            weight: Some(2.0),
            instance_count: Some(count),
        }]
    };
    let change = world.endpoints.update_weights_and_capacities(&name("dogs"), &more(2)).await;
    assert_eq!(change.unwrap().status, Status::Updating);
    world.pass().await;
    world.host.all_ready();
    world.settle().await;
    assert_eq!(world.status("dogs").await, Some(Status::InService));
    assert_eq!(world.host.live().len(), 2);
    world.host.full(true);
    world.endpoints.update_weights_and_capacities(&name("dogs"), &more(3)).await.unwrap();
    world.pass().await;
    world.clock.advance_ms(crate::limits::REPLICA_CAPACITY_WAIT_MS);
    world.settle().await;
    let endpoint = world.get("dogs").await.unwrap();
    assert_eq!(endpoint.status, Status::InService);
    assert_eq!(endpoint.serving.as_ref().map(|fleet| fleet.replicas().count()), Some(2));
    assert!(endpoint.failure_reason.is_some());
}

#[tokio::test]
async fn a_variant_that_went_down_comes_back_where_the_other_could_not_go_up() {
    let world = World::new();
    world.config("two", &[("Calm", 3), ("Busy", 1)]).await;
    world.create("dogs", "two").await;
    world.pass().await;
    world.host.all_ready();
    world.settle().await;
    let change = |variant: &str, count| Desired {
        variant: name(variant),
        weight: None,
        instance_count: Some(count),
    };
    let changes = [change("Calm", 1), change("Busy", 2)];
    world.endpoints.update_weights_and_capacities(&name("dogs"), &changes).await.unwrap();
    world.host.full(true);
    world.pass().await;
    assert_eq!(world.host.live().len(), 2);
    world.clock.advance_ms(crate::limits::REPLICA_CAPACITY_WAIT_MS);
    world.settle().await;
    assert_eq!(world.status("dogs").await, Some(Status::RollingBack), "two are not back yet");
    world.host.full(false);
    world.until(async |world| world.status("dogs").await == Some(Status::InService)).await;
    let fleet = world.get("dogs").await.unwrap().serving.unwrap();
    let counts: Vec<usize> = fleet.variants.iter().map(|one| one.replicas.len()).collect();
    assert_eq!(counts, [3, 1]);
    assert!(fleet.replicas().all(|one| one.run.as_ref().is_some_and(|run| run.ready)));
    assert_eq!(world.host.live().len(), 4);
    let mut ids: Vec<_> = fleet.replicas().map(|one| one.instance_id.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4, "every instance has an id of its own");
}

/// Create, update, lose a replica, delete: cut off before and after each write and each effect,
/// every point once. Whatever happens, the end is the same and nothing is left over.
#[tokio::test]
async fn every_point_of_a_life_can_be_cut_off() {
    for after in [false, true] {
        let mut cuts = 0;
        for point in 0.. {
            let cut = a_life(point, after).await;
            if !cut {
                break;
            }
            cuts += 1;
        }
        assert!(cuts > 20, "only {cuts} points");
    }
}

/// Whether the point was reached.
async fn a_life(point: i64, after: bool) -> bool {
    let mut world = World::new();
    world.config("one", &[("AllTraffic", 1)]).await;
    world.config("other", &[("AllTraffic", 2)]).await;
    world.create("dogs", "one").await;
    world.fuse.set(point, after);
    world.until(async |world| world.status("dogs").await == Some(Status::InService)).await;
    world = world.restarted();
    world.endpoints.update(&name("dogs"), &name("other"), Retain::default()).await.ok();
    if world.status("dogs").await == Some(Status::InService) {
        world.endpoints.update(&name("dogs"), &name("other"), Retain::default()).await.ok();
    }
    world
        .until(async |world| {
            let endpoint = world.get("dogs").await.unwrap();
            endpoint.status == Status::InService && endpoint.config_name.as_str() == "other"
        })
        .await;
    assert!(world.lease("dogs").await.is_ok());
    if let Some(run) = world.host.live().first() {
        world.host.end(run, "AlgorithmError: killed");
    }
    world
        .until(async |world| {
            let fleet = world.get("dogs").await.unwrap().serving.unwrap();
            let ready = |fleet: &Fleet| fleet.runs().filter(|run| run.ready).count();
            ready(&fleet) == 2 && world.host.live().len() == 2
        })
        .await;
    while world.status("dogs").await.is_some() {
        world.endpoints.delete(&name("dogs")).await.ok();
        world.settle().await;
    }
    assert!(world.host.known().is_empty(), "runs are left: {:?}", world.host.known());
    let mut generations = world.host.generations();
    generations.sort_unstable();
    let all = generations.len();
    generations.dedup();
    assert_eq!(generations.len(), all, "a generation was used twice");
    world.fuse.blown()
}

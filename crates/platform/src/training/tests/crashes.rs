//! The process may die before and after every effect of a job: the job ends the same.

use super::world::{World, completed, name, run_to_end, spec, statuses};
use crate::training::{Job, State};

/// Breaks the scenario at each effect in turn, restarts, and gives every end to `check`.
async fn at_every_effect<F>(stop_after: Option<usize>, check: F) -> usize
where
    F: Fn(&Job, &World),
{
    let mut broken = 0;
    for effect_happens in [false, true] {
        for break_at in 1.. {
            let world = World::new();
            world.server().submit(spec("dogs"), &[]).await.unwrap();
            // Submitting is one effect, and its caller hears when it fails.
            world.faults.arm(break_at + 1, effect_happens);
            let died = play(&world, stop_after).await;
            let job = run_to_end(&world, &world.server(), &completed()).await;
            check(&job, &world);
            if !died {
                break;
            }
            broken += 1;
        }
    }
    broken
}

/// Plays until the job is over or the process died; true where it died.
async fn play(world: &World, stop_after: Option<usize>) -> bool {
    let server = world.server();
    let mut stop = stop_after;
    for second in 0..20 {
        if stop.is_some_and(|after| second >= after) {
            let asked = server.request_stop(&name("dogs")).await.is_ok();
            if asked {
                stop = None;
            }
        }
        server.reconcile().await;
        if world.faults.is_dead() {
            world.faults.restart();
            // Who asked for a stop and heard an error asks again.
            if stop_after.is_some_and(|after| second >= after) {
                let _already_over = world.server().request_stop(&name("dogs")).await;
            } else if stop_after.is_some() {
                world.server().request_stop(&name("dogs")).await.unwrap();
            }
            return true;
        }
        world.advance(&completed());
    }
    false
}

#[tokio::test]
async fn killed_at_any_effect_the_job_completes_once() {
    let broken = at_every_effect(None, |job, world| {
        assert_eq!(job.state, State::Completed);
        assert_eq!(
            statuses(job),
            ["Starting", "Downloading", "Training", "Uploading", "Completed"]
        );
        assert_eq!(job.metrics.values.len(), 1);
        assert!((job.metrics.values[0].value - 0.5).abs() < f64::EPSILON);
        let facts = world.facts();
        assert!(facts.starts.iter().all(|start| start.spec.run_id == job.run_id));
        assert_eq!(facts.announced, 1);
        assert!(facts.abandoned.is_empty());
        assert!(facts.runs.is_empty() && facts.forgotten.contains(&job.run_id));
    })
    .await;
    assert!(broken >= 16, "only {broken} effects were broken");
}

#[tokio::test]
async fn killed_at_any_effect_a_stopped_job_stops_once() {
    for stop_after in [1, 2, 3] {
        let broken = at_every_effect(Some(stop_after), |job, world| {
            assert_eq!(job.state, State::Stopped, "{:?}", statuses(job));
            assert_eq!(statuses(job).iter().filter(|status| **status == "Stopping").count(), 1);
            assert_eq!(statuses(job).last(), Some(&"Stopped"));
            assert!(world.facts().runs.is_empty());
        })
        .await;
        assert!(broken >= 8, "only {broken} effects were broken");
    }
}

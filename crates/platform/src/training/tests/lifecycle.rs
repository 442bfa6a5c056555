//! What becomes of one job.

use kennel_wire::run::{Channel, ChannelSource, Checkpoints, Outcome, S3Object, StopReason, Work};

use super::world::{START_MS, World, completed, name, run_to_end, spec, statuses};
use crate::limits::CAPACITY_WAIT_SECS;
use crate::runs::Refused;
use crate::tags::{Tag, Tags};
use crate::training::{Error, SecondaryStatus, State, Status};

#[tokio::test]
async fn completed_job_tells_every_stage_with_its_times() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    let job = run_to_end(&world, &server, &completed()).await;

    assert_eq!(job.status(), Status::Completed);
    assert_eq!(job.failure_reason, None);
    assert_eq!(statuses(&job), ["Starting", "Downloading", "Training", "Uploading", "Completed"]);
    for pair in job.transitions.windows(2) {
        assert_eq!(pair[0].end_ms, Some(pair[1].start_ms));
    }
    assert_eq!(job.started_at_ms, Some(START_MS + 1_000));
    assert_eq!(job.ended_at_ms, Some(START_MS + 4_000));
    assert_eq!(job.training_secs(), Some(3));
    assert_eq!(job.metrics.values[0].at_ms, START_MS + 2_000);
}

#[tokio::test]
async fn job_says_that_it_has_less_than_its_type() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    let job = run_to_end(&world, &server, &completed()).await;

    let sentence = "ml.m5.xlarge has 4 vCPUs and 16 GiB of memory; this machine gives 2 and 4 GiB.";
    assert_eq!(
        job.transitions[0].message,
        format!("Preparing the instances for training. {sentence}")
    );
    let facts = world.facts();
    assert_eq!(facts.log[0].message, sentence);
    let limits = &facts.starts[0].spec.limits;
    assert_eq!((limits.vcpus, limits.memory_bytes), (2, 4 << 30));
}

#[tokio::test]
async fn nothing_is_called_completed_without_its_artifact() {
    let world = World::new();
    let server = world.server();
    let mut elsewhere = spec("dogs");
    elsewhere.output.bucket = "gone".to_owned();
    server.submit(elsewhere, &[]).await.unwrap();
    let job = run_to_end(&world, &server, &completed()).await;

    assert_eq!(job.state, State::Failed);
    assert_eq!(
        job.failure_reason.as_deref(),
        Some(
            "ClientError: Artifact upload failed: there is no object at \
             s3://gone/models/dogs/output/model.tar.gz"
        )
    );
}

#[tokio::test]
async fn failed_run_gives_the_first_characters_of_its_reason() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    let reason = format!("AlgorithmError: {}", "ä".repeat(2_000));
    let job = run_to_end(&world, &server, &Outcome::Failed { reason: reason.clone() }).await;

    assert_eq!(job.state, State::Failed);
    assert_eq!(job.failure_reason.unwrap(), reason.chars().take(1_024).collect::<String>());
    assert_eq!(job.transitions.last().unwrap().message, "Training job failed");
}

#[tokio::test]
async fn job_beyond_its_runtime_is_stopped_and_says_so() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    let outcome = Outcome::Stopped { reason: StopReason::MaxRuntime, artifact_bytes: Some(7) };
    let job = run_to_end(&world, &server, &outcome).await;

    assert_eq!(job.status(), Status::Stopped);
    assert_eq!(job.secondary_status(), SecondaryStatus::MaxRuntimeExceeded);
    assert_eq!(
        job.transitions.last().unwrap().message,
        "Training job runtime exceeded MaxRuntimeInSeconds provided"
    );
}

#[tokio::test]
async fn stopped_job_still_uploads() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    for _ in 0..2 {
        server.reconcile().await;
        world.advance(&completed());
    }
    server.reconcile().await;
    server.request_stop(&name("dogs")).await.unwrap();
    server.request_stop(&name("dogs")).await.unwrap();
    let stopping = server.get(&name("dogs")).await.unwrap().unwrap();
    assert_eq!(stopping.status(), Status::Stopping);
    let job = run_to_end(&world, &server, &completed()).await;

    assert_eq!(job.state, State::Stopped);
    assert_eq!(
        statuses(&job),
        ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    );
    assert_eq!(world.facts().stops.len(), 1);
}

#[tokio::test]
async fn ended_job_cannot_be_stopped_and_an_unknown_one_neither() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    run_to_end(&world, &server, &completed()).await;

    let ended = server.request_stop(&name("dogs")).await.unwrap_err();
    assert!(matches!(ended, Error::AlreadyEnded { status: Status::Completed, .. }));
    let unknown = server.request_stop(&name("cats")).await.unwrap_err();
    assert!(matches!(unknown, Error::Unknown(_)));
}

#[tokio::test]
async fn job_without_room_waits_and_starts_when_there_is_some() {
    let world = World::new();
    let server = world.server();
    world.facts().lacking_bytes = 1;
    server.submit(spec("dogs"), &[]).await.unwrap();
    server.reconcile().await;
    let waiting = server.get(&name("dogs")).await.unwrap().unwrap();
    assert_eq!(waiting.state, State::Pending);
    assert_eq!(
        waiting.transitions[0].message,
        "Insufficient capacity while launching instances, retrying! 4096 MiB of memory are \
         needed, 1 MiB are free."
    );

    world.facts().lacking_bytes = 0;
    let job = run_to_end(&world, &server, &completed()).await;
    assert_eq!(job.state, State::Completed);
}

#[tokio::test]
async fn job_that_finds_no_room_for_long_fails_with_capacity_error() {
    let world = World::new();
    world.facts().lacking_bytes = 1;
    world.server().submit(spec("dogs"), &[]).await.unwrap();
    world.server().reconcile().await;
    let wait_ms = i64::try_from(CAPACITY_WAIT_SECS).unwrap() * 1_000;
    world.clock.advance_ms(wait_ms - 1);
    world.server().reconcile().await;
    let waiting = world.server().get(&name("dogs")).await.unwrap().unwrap();
    assert_eq!(waiting.state, State::Pending);

    world.clock.advance_ms(1);
    let job = run_to_end(&world, &world.server(), &completed()).await;
    assert_eq!(job.state, State::Failed);
    assert_eq!(
        job.failure_reason.as_deref(),
        Some(
            "CapacityError: Unable to provision requested ML compute capacity. Please retry \
             using a different ML instance type."
        )
    );
    assert_eq!(job.training_secs(), None);
}

#[tokio::test]
async fn spot_job_gives_up_after_its_own_wait() {
    let world = World::new();
    world.facts().lacking_bytes = 1;
    let mut spot = spec("dogs");
    spot.max_wait_secs = Some(60);
    world.server().submit(spot, &[]).await.unwrap();
    world.server().reconcile().await;
    world.clock.advance_ms(60_000);
    let job = run_to_end(&world, &world.server(), &completed()).await;

    assert_eq!(job.state, State::Stopped);
    assert_eq!(job.secondary_status(), SecondaryStatus::MaxWaitTimeExceeded);
}

#[tokio::test]
async fn job_that_is_stopped_while_it_waits_never_starts() {
    let world = World::new();
    let server = world.server();
    world.facts().lacking_bytes = 1;
    server.submit(spec("dogs"), &[]).await.unwrap();
    server.reconcile().await;
    server.request_stop(&name("dogs")).await.unwrap();
    let job = run_to_end(&world, &server, &completed()).await;

    assert_eq!(statuses(&job), ["Starting", "Stopping", "Stopped"]);
    assert!(world.facts().starts.is_empty());
}

#[tokio::test]
async fn refused_run_fails_with_the_reason() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    world.facts().refusal =
        Some(Refused { reason: "no sandbox".to_owned(), remedy: "allow it".to_owned() });
    let job = run_to_end(&world, &server, &completed()).await;

    assert_eq!(job.failure_reason.as_deref(), Some("ClientError: no sandbox; allow it"));
}

#[tokio::test]
async fn run_that_vanished_is_an_internal_error() {
    let world = World::new();
    let server = world.server();
    server.submit(spec("dogs"), &[]).await.unwrap();
    server.reconcile().await;
    world.facts().runs.clear();
    let job = run_to_end(&world, &server, &completed()).await;

    assert!(job.failure_reason.unwrap().starts_with("InternalServerError: "));
}

#[tokio::test]
async fn of_racing_submissions_exactly_one_wins() {
    let world = World::new();
    let server = world.server();
    let attempts =
        (0..16).map(|number| {
            let tag = Tag { key: "attempt".to_owned(), value: number.to_string() };
            let server = &server;
            async move {
                server.submit(spec(if number % 2 == 0 { "dogs" } else { "DOGS" }), &[tag]).await
            }
        });
    let results = futures::future::join_all(attempts).await;

    let won: Vec<usize> =
        results.iter().enumerate().filter(|(_, it)| it.is_ok()).map(|(at, _)| at).collect();
    assert_eq!(won.len(), 1);
    let lost = results.into_iter().filter_map(Result::err);
    assert!(lost.into_iter().all(|error| matches!(error, Error::Exists { .. })));
    let arn = server.arn(&name("dogs"));
    let tags = Tags::new(&world.backends()).list(&arn).await.unwrap();
    assert_eq!(tags[0].value, won[0].to_string());
}

#[tokio::test]
async fn session_of_a_run_is_narrowed_to_its_data() {
    let world = World::new();
    let server = world.server();
    let mut job = spec("dogs");
    job.channels[0].source = ChannelSource::Manifest(S3Object {
        bucket: "lists".to_owned(),
        key: "train.manifest".to_owned(),
    });
    job.checkpoints = Some(Checkpoints {
        bucket: "saves".to_owned(),
        prefix: "dogs/".to_owned(),
        local_path: "/opt/ml/checkpoints".to_owned(),
    });
    let manifest = br#"[{"prefix": "s3://photos/dogs/"}, "a.jpg"]"#.to_vec();
    world.facts().objects.insert("lists/train.manifest".to_owned(), manifest);
    server.submit(job, &[]).await.unwrap();
    server.reconcile().await;

    let facts = world.facts();
    let start = &facts.starts[0];
    let [policy] = start.policies.as_slice() else { panic!("one policy: {:?}", start.policies) };
    for expected in [
        "arn:aws:s3:::lists/train.manifest\"",
        "arn:aws:s3:::photos/dogs/*\"",
        "arn:aws:s3:::saves/dogs/*\"",
        "arn:aws:s3:::out/models/dogs/output/model.tar.gz\"",
        "arn:aws:s3:::out/models/dogs/output/output.tar.gz\"",
        "log-group:/aws/sagemaker/TrainingJobs:log-stream:dogs/algo-1-1790000000\"",
    ] {
        assert!(policy.contains(expected), "{expected} in {policy}");
    }
    for forbidden in ["s3:*", "\"*\"", "sagemaker:", "s3:ListAllMyBuckets", "iam:"] {
        assert!(!policy.contains(forbidden), "{forbidden} in {policy}");
    }
    let Work::Training(work) = &start.spec.work else { panic!("no training") };
    assert_eq!(work.model_artifact.key, "models/dogs/output/model.tar.gz");
    assert_eq!(start.role_arn, "arn:aws:iam::123456789012:role/Trainer");
}

#[tokio::test]
async fn job_with_more_places_than_a_policy_holds_is_refused() {
    let world = World::new();
    let mut job = spec("dogs");
    let channel = job.channels[0].clone();
    job.channels = (0..20)
        .map(|number| {
            let prefix = format!("{number}/{}", "x".repeat(1_000));
            let source = ChannelSource::Prefix { bucket: "photos".to_owned(), prefix };
            Channel { name: format!("c{number}"), source, ..channel.clone() }
        })
        .collect();
    let refused = world.server().submit(job, &[]).await.unwrap_err();
    assert!(matches!(refused, Error::TooManyPlaces));
}

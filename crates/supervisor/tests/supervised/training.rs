//! Training jobs, from the channels to the artifacts.

use std::collections::BTreeMap;
use std::time::Duration;

use kennel_exec::Executor;
use kennel_wire::run::{Checkpoints, Event, Order, Outcome, Stage, StopReason, TrainingWork, Work};
use libtest_mimic::Trial;

use crate::rig::{Rig, channel, training, trial, unpack};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_job_reads_its_channel_and_its_artifacts_are_uploaded", completes),
        trial("what_the_workload_wrote_about_its_failure_is_the_reason", fails),
        trial("missing_data_says_which_channel", missing_data),
        trial("a_stopped_job_keeps_what_it_had", stops),
        trial("max_runtime_ends_a_job", max_runtime),
        trial("no_link_of_the_workload_leads_to_the_host_s_files", steals),
        trial("checkpoints_go_down_and_up", checkpoints),
        trial("a_workload_gets_its_own_credentials", own_credentials),
        trial("lines_survive_a_log_service_that_says_later", log_retries),
        trial("a_successor_of_a_killed_supervisor_says_that_the_work_was_lost", killed),
        trial("a_successor_uploads_what_an_exited_workload_left", uploads_later),
        trial("an_abandoned_job_ends_without_a_report", abandoned),
    ]
}

async fn start(work: TrainingWork) -> Rig {
    let rig = Rig::new(Work::Training(work)).await;
    rig.start().await;
    rig
}

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { reason } => reason,
        other => panic!("{other:?}"),
    }
}

async fn completes() {
    let mut work = training("copy");
    work.channels = vec![channel("in", "data/")];
    let mut rig = Rig::new(Work::Training(work)).await;
    rig.aws.put("in/data/sub/a.txt", "weights");
    rig.aws.put("in/data/", "");
    rig.start().await;
    let outcome = rig.outcome().await;
    let Outcome::Completed { artifact_bytes } = outcome else { panic!("{outcome:?}") };

    let model = rig.aws.get("out/model.tar.gz").unwrap();
    assert_eq!(artifact_bytes, model.len() as u64);
    assert_eq!(unpack(&model), BTreeMap::from([("weights".to_owned(), "weights".to_owned())]));
    let output = unpack(&rig.aws.get("out/output.tar.gz").unwrap());
    assert_eq!(output.get("curve.csv").map(String::as_str), Some("1,2"));
    let lines = rig.aws.lines();
    assert!(
        lines.contains(&"job job".to_owned()) && lines.contains(&"copied".to_owned()),
        "{lines:?}"
    );
    let stages: Vec<Stage> = rig
        .reports
        .iter()
        .filter_map(|report| match report.event {
            Event::Stage { stage, .. } => Some(stage),
            _ => None,
        })
        .collect();
    assert_eq!(stages, [Stage::Downloading, Stage::Training, Stage::Uploading]);
}

async fn fails() {
    let mut rig = start(training("fail")).await;
    assert_eq!(failed(rig.outcome().await), "AlgorithmError: no dogs in the data, exit code: 3");
    assert!(rig.aws.get("out/model.tar.gz").is_none());
    assert!(unpack(&rig.aws.get("out/output.tar.gz").unwrap()).contains_key("failure"));

    let mut rig = start(training("crash")).await;
    let reason = failed(rig.outcome().await);
    assert!(reason.starts_with("AlgorithmError: ") && reason.ends_with("exit code: 9"), "{reason}");
}

async fn missing_data() {
    let cases = [
        (channel("in", "nothing/"), "No S3 objects found under S3 URL \"s3://in/nothing/\""),
        (channel("absent", ""), "NoSuchBucket"),
    ];
    for (channel, expected) in cases {
        let mut work = training("copy");
        work.channels = vec![channel];
        let mut rig = start(work).await;
        let reason = failed(rig.outcome().await);
        assert!(reason.starts_with("ClientError: Data download failed"), "{reason}");
        assert!(reason.contains(expected) && reason.contains("channel \"train\""), "{reason}");
    }
    let mut work = training("copy");
    work.channels = vec![channel("in", "")];
    let mut rig = Rig::new(Work::Training(work)).await;
    rig.aws.put("in/a/b", "x");
    rig.aws.put("in/a", "x");
    rig.start().await;
    let reason = failed(rig.outcome().await);
    assert!(
        reason.starts_with("ClientError: ") && reason.contains("cannot become a file"),
        "{reason}"
    );
}

async fn stops() {
    let mut rig = start(training("sleep")).await;
    rig.until(|event| matches!(event, Event::Stage { stage: Stage::Training, .. })).await;
    rig.printed("sleeping").await;
    rig.order(&Order::Stop { grace_secs: 5 }).await;
    let outcome = rig.outcome().await;
    let Outcome::Stopped { reason: StopReason::Requested, artifact_bytes: Some(_) } = outcome
    else {
        panic!("{outcome:?}")
    };
    assert_eq!(unpack(&rig.aws.get("out/model.tar.gz").unwrap())["best"], "so far");
}

async fn max_runtime() {
    let mut work = training("sleep");
    work.max_runtime_secs = 1;
    let mut rig = start(work).await;
    let outcome = rig.outcome().await;
    assert!(
        matches!(outcome, Outcome::Stopped { reason: StopReason::MaxRuntime, .. }),
        "{outcome:?}"
    );
}

async fn steals() {
    let mut rig = start(training("steal")).await;
    let reason = failed(rig.outcome().await);
    assert_eq!(reason, "AlgorithmError: the program ended with an error, exit code: 1");
    assert!(rig.aws.get("out/output.tar.gz").is_none());
}

async fn checkpoints() {
    let mut work = training("checkpoint");
    work.checkpoints = Some(Checkpoints {
        bucket: "out".to_owned(),
        prefix: "saved".to_owned(),
        local_path: "/opt/ml/checkpoints".to_owned(),
    });
    let mut rig = Rig::new(Work::Training(work)).await;
    rig.aws.put("out/saved/step", "41");
    rig.aws.put("out/saved/old/step", "40");
    rig.start().await;
    assert!(matches!(rig.outcome().await, Outcome::Completed { .. }));
    assert_eq!(rig.aws.get("out/saved/step").unwrap(), "41+1");
    let puts = rig.aws.puts();
    assert!(!puts.contains(&"out/saved/old/step".to_owned()), "unchanged: {puts:?}");
}

async fn own_credentials() {
    let mut rig = start(training("credentials")).await;
    assert!(matches!(rig.outcome().await, Outcome::Completed { .. }));
    let answer = unpack(&rig.aws.get("out/model.tar.gz").unwrap()).remove("answer").unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let document: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(document["AccessKeyId"], "ASIAEXAMPLE");
    assert_eq!(document["Expiration"], "2100-01-01T00:00:00Z");
}

async fn log_retries() {
    let rig = Rig::new(Work::Training(training("fail"))).await;
    rig.aws.fail_logs(3);
    rig.start().await;
    let mut rig = rig;
    rig.outcome().await;
    assert_eq!(rig.aws.lines().iter().filter(|line| *line == "job job").count(), 1);
}

async fn killed() {
    let mut rig = start(training("sleep")).await;
    rig.until(|event| matches!(event, Event::Stage { stage: Stage::Training, .. })).await;
    rig.printed("sleeping").await;
    rig.executor.reap(&rig.run_dir).await.unwrap();
    rig.start().await;
    assert_eq!(
        failed(rig.outcome().await),
        "InternalServerError: the host's supervisor ended unexpectedly"
    );
}

async fn uploads_later() {
    let mut rig = Rig::new(Work::Training(training("copy"))).await;
    let model = rig.run_dir.join("ml/model");
    std::fs::create_dir_all(&model).unwrap();
    std::fs::write(model.join("weights"), "done").unwrap();
    let usage = kennel_exec::Usage::default();
    let exit = kennel_exec::Exit { status: kennel_exec::ExitStatus::Code(0), oom: false, usage };
    let state = serde_json::json!({
        "phase": { "Exited": { "exit": exit, "stopped": null } },
        "sequence": 2,
        "unacknowledged": [],
    });
    std::fs::write(rig.run_dir.join("state.json"), state.to_string()).unwrap();
    rig.start().await;
    assert!(matches!(rig.outcome().await, Outcome::Completed { .. }));
    assert_eq!(rig.reports.first().map(|report| report.sequence), Some(3));
    assert_eq!(unpack(&rig.aws.get("out/model.tar.gz").unwrap())["weights"], "done");
}

async fn abandoned() {
    let mut rig = start(training("sleep")).await;
    rig.until(|event| matches!(event, Event::Stage { stage: Stage::Training, .. })).await;
    rig.order(&Order::Abandon).await;
    let gone = tokio::time::timeout(Duration::from_secs(20), rig.executor.gone(&rig.run_dir));
    gone.await.unwrap();
    assert!(rig.aws.get("out/model.tar.gz").is_none());
}

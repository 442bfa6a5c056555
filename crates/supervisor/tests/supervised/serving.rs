//! Endpoint replicas: ready only when /ping answered, and what becomes of them.

use std::io::Write;

use kennel_exec::socket;
use kennel_wire::run::{Event, Order, Outcome, S3Object, ServingWork, Work, layout};
use libtest_mimic::Trial;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::rig::{Rig, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_replica_is_ready_when_ping_answered_and_stops_when_told", serves),
        trial("a_dying_replica_says_why", dies),
        trial("a_replica_that_never_answers_fails", never_ready),
        trial("a_model_archive_that_leads_out_is_refused", bad_model),
    ]
}

async fn start(files: &[(&str, &str)], startup_timeout_secs: u64) -> Rig {
    let artifact = S3Object { bucket: "models".to_owned(), key: "model.tar.gz".to_owned() };
    let rig = Rig::new(Work::Serving(ServingWork {
        endpoint_name: "e".to_owned(),
        variant_name: "v".to_owned(),
        model_name: "m".to_owned(),
        model_artifact: Some(artifact),
        startup_timeout_secs,
    }))
    .await;
    rig.aws.put("models/model.tar.gz", pack(files));
    rig.start().await;
    rig
}

fn pack(files: &[(&str, &str)]) -> Vec<u8> {
    let packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(packer);
    for (name, body) in files {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, body.as_bytes()).unwrap();
    }
    let mut packer = builder.into_inner().unwrap();
    packer.flush().unwrap();
    packer.finish().unwrap()
}

async fn get(rig: &Rig, path: &str) -> String {
    let mut stream = socket::connect(&rig.run_dir.join(layout::HTTP_SOCKET)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _broken = stream.read_to_string(&mut answer).await;
    answer
}

async fn serves() {
    let mut rig = start(&[("mode", "ok")], 30).await;
    rig.until(|event| *event == Event::Ready).await;
    assert!(get(&rig, "/invocations").await.ends_with("ok"));
    rig.order(&Order::Stop { grace_secs: 5 }).await;
    rig.until(|event| matches!(event, Event::Unready { .. })).await;
    let outcome = rig.outcome().await;
    assert!(matches!(outcome, Outcome::Stopped { artifact_bytes: None, .. }), "{outcome:?}");
}

async fn dies() {
    let mut rig = start(&[("mode", "ok")], 30).await;
    rig.until(|event| *event == Event::Ready).await;
    get(&rig, "/die").await;
    let Outcome::Failed { reason } = rig.outcome().await else { panic!() };
    assert!(reason.starts_with("AlgorithmError: "), "{reason}");
    assert!(reason.contains("the model is broken"), "{reason}");
    assert!(reason.ends_with("exit code: 7"), "{reason}");
}

async fn never_ready() {
    let mut rig = start(&[("mode", "never")], 1).await;
    let Outcome::Failed { reason } = rig.outcome().await else { panic!() };
    assert!(reason.contains("ping health check"), "{reason}");
}

async fn bad_model() {
    let mut rig = start(&[("../outside", "x")], 5).await;
    let Outcome::Failed { reason } = rig.outcome().await else { panic!() };
    assert!(reason.starts_with("ClientError: ") && reason.contains("leads out"), "{reason}");
    assert!(!rig.run_dir.join("ml/outside").exists());
}

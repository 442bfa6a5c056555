//! The audit line: complete, and without any secret.

use std::fmt;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tracing::field::{Field, Visit};
use tracing::span;

use crate::support::{Bench, Call, NOW_MS};

/// Collects everything that is logged, at every level.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Vec<(String, String)>>>);

impl tracing::Subscriber for Collector {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        // Below the server's own events lies the trace of the signing library, off by default.
        metadata.target().starts_with("kennel") || *metadata.level() <= tracing::Level::DEBUG
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let target = event.metadata().target().to_owned();
        self.0.lock().unwrap().push((target, line.0));
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{value:?}"));
    }
}

impl Collector {
    /// Everything, target and text.
    pub fn lines(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().clone()
    }

    fn audit(&self) -> Vec<Value> {
        let lines = self.0.lock().unwrap();
        let audit = lines.iter().filter(|(target, _)| target == "kennel::audit");
        audit.map(|(_, line)| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test]
async fn one_line_a_request_says_who_what_and_how_it_ended() {
    let collector = Collector::default();
    let _guard = tracing::subscriber::set_default(collector.clone());
    let bench = Bench::new().await;
    let session = bench.session(&[json!({"Statement": []})]).await;
    let delete = Call::json("logs", "Logs_20140328.DeleteLogGroup", &json!({"logGroupName": "g"}));
    bench.send(session.sign(delete.clone())).await;
    bench.send(bench.root.sign(delete)).await;
    let lines = collector.audit();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[0]["access_key_id"], session.id);
    assert_eq!(lines[0]["session_name"], "job-1");
    assert_eq!(
        (&lines[0]["service"], &lines[0]["operation"]),
        (&json!("logs"), &json!("DeleteLogGroup"))
    );
    assert_eq!(
        lines[0]["access"],
        json!([{"action": "logs:DeleteLogGroup",
            "resource": "arn:aws:logs:us-east-1:123456789012:log-group:g:log-stream:"}])
    );
    assert_eq!(lines[0]["decision"], "denied");
    assert_eq!(
        (&lines[0]["code"], &lines[0]["status"]),
        (&json!("AccessDeniedException"), &json!(400))
    );
    assert_eq!(lines[0]["request_id"].as_str().unwrap().len(), 36);
    assert_eq!(lines[1]["access_key_id"], bench.root.id);
    assert_eq!(lines[1]["decision"], "allowed");
    assert_eq!(lines[1]["code"], "ResourceNotFoundException");
}

#[tokio::test]
async fn no_log_line_holds_a_secret_a_token_or_a_signature() {
    let collector = Collector::default();
    let _guard = tracing::subscriber::set_default(collector.clone());
    let bench = Bench::new().await;
    let session = bench.session(&[]).await;
    let who = "Action=GetCallerIdentity&Version=2011-06-15";
    let mut requests = Vec::new();
    for key in [&bench.root, &session] {
        requests.push(key.sign(Call::query("sts", who)));
        requests.push(key.sign(Call::query("sts", who).at_ms(NOW_MS - 3_600_000)));
        requests.push(key.presign(Call::new("sts", "GET", &format!("/?{who}")), 60));
        requests.push(key.presign(Call::new("s3", "GET", "/bucket/key"), 60));
        requests.push(key.sign(Call::json("logs", "Logs_20140328.Nonsense", &json!({}))));
    }
    let mut secrets = vec![bench.root.secret.clone(), session.secret.clone()];
    secrets.extend(session.token.clone());
    for request in &requests {
        let shown = format!("{:?} {}", request.headers(), request.uri());
        let (_, signature) = shown.split_once("Signature=").unwrap();
        secrets.push(signature.chars().take(64).collect());
    }
    for request in requests {
        bench.send(request).await;
    }
    let lines = collector.0.lock().unwrap();
    assert!(lines.len() >= 10, "{}", lines.len());
    for (_, line) in lines.iter() {
        for secret in &secrets {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

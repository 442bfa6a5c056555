use std::sync::Arc;

use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};

use super::*;
use crate::clock::ManualClock;

const ROLE: &str = "arn:aws:iam::123456789012:role/service-role/Trainer";

struct Bench {
    backends: Backends,
    clock: Arc<ManualClock>,
    root: RootKey,
}

impl Bench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at_ms(1_700_000_000_000));
        let backends = Backends {
            records: Arc::new(MemoryRecords::new()),
            blobs: Arc::new(MemoryBlobs::new()),
            streams: Arc::new(MemoryStreams::new()),
            clock: clock.clone(),
        };
        Self { backends, clock, root: RootKey::random().unwrap() }
    }

    async fn open(&self) -> Identity {
        let config = Config {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            api_endpoint: "http://127.0.0.1:0".into(),
            data_dir: "/nonexistent".into(),
        };
        Identity::open(&self.backends, &config, self.root.clone()).await.unwrap()
    }
}

#[test]
fn a_root_key_is_random_and_has_the_usual_form() {
    let (one, other) = (RootKey::random().unwrap(), RootKey::random().unwrap());
    assert_ne!(one, other);
    assert!(one.access_key_id.starts_with("AKIA") && one.access_key_id.len() == 20);
    assert!(one.access_key_id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()));
    assert_eq!(one.secret_access_key.len(), 40);
}

#[test]
fn the_credentials_file_goes_both_ways() {
    let key = RootKey::random().unwrap();
    assert_eq!(RootKey::from_credentials_file(&key.to_credentials_file()).unwrap(), key);
    let other_profile = key.to_credentials_file().replace("[default]", "[other]");
    assert!(matches!(
        RootKey::from_credentials_file(&other_profile),
        Err(Error::BadCredentialsFile("aws_access_key_id"))
    ));
}

#[test]
fn a_given_key_must_be_usable_in_a_signature() {
    assert!(RootKey::given("AKIAEXAMPLEEXAMPLE12", "not-a-real-secret-key").is_ok());
    for (id, secret) in [
        ("short", "not-a-real-secret-key"),
        ("AKIA/EXAMPLE/EXAMPLE", "not-a-real-secret-key"),
        ("AKIAEXAMPLEEXAMPLE12", "has spaces in its text"),
        ("AKIAEXAMPLEEXAMPLE12", "short"),
    ] {
        assert!(RootKey::given(id, secret).is_err(), "{id} {secret}");
    }
}

#[test]
fn no_secret_is_printed() {
    let key = RootKey::random().unwrap();
    assert!(!format!("{key:?}").contains(&key.secret_access_key));
}

#[tokio::test]
async fn a_session_is_found_by_its_key_and_survives_a_restart() {
    let bench = Bench::new();
    let identity = bench.open().await;
    let created = identity.create_session(ROLE, "job-1", vec!["{}".into()], 3600).await.unwrap();
    assert!(created.access_key_id.starts_with("ASIA"));
    assert_eq!(created.expires_at_ms, 1_700_003_600_000);
    for identity in [identity, bench.open().await] {
        let key = identity.find_key(&created.access_key_id).await.unwrap().unwrap();
        assert_eq!(key.secret, created.secret_access_key);
        assert_eq!(key.session_token.as_ref(), Some(&created.session_token));
        let Principal::Session { role_arn, role_id, session_name, policies } = key.principal else {
            panic!("a session is not root");
        };
        assert_eq!((role_arn.as_str(), session_name.as_str()), (ROLE, "job-1"));
        assert!(role_id.starts_with("AROA") && role_id.len() == 20);
        assert_eq!(policies, ["{}"]);
    }
}

#[tokio::test]
async fn a_revoked_session_is_gone_after_a_restart_too() {
    let bench = Bench::new();
    let identity = bench.open().await;
    let one = identity.create_session(ROLE, "job-1", vec![], 3600).await.unwrap();
    let same_name = identity.create_session(ROLE, "job-1", vec![], 3600).await.unwrap();
    let other = identity.create_session(ROLE, "job-2", vec![], 3600).await.unwrap();
    identity.revoke_session(&one.access_key_id).await.unwrap();
    identity.revoke_session(&one.access_key_id).await.unwrap();
    assert!(identity.find_key(&same_name.access_key_id).await.unwrap().is_some());
    identity.revoke_sessions(ROLE, "job-1").await.unwrap();
    for identity in [identity, bench.open().await] {
        assert_eq!(identity.find_key(&one.access_key_id).await.unwrap(), None);
        assert_eq!(identity.find_key(&same_name.access_key_id).await.unwrap(), None);
        assert!(identity.find_key(&other.access_key_id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_expired_session_is_told_apart_for_a_while_and_then_forgotten() {
    let bench = Bench::new();
    let identity = bench.open().await;
    let session = identity.create_session(ROLE, "job-1", vec![], 60).await.unwrap();
    bench.clock.advance_ms(61_000);
    let key = identity.find_key(&session.access_key_id).await.unwrap().unwrap();
    assert_eq!(key.expires_at_ms, Some(1_700_000_060_000));
    bench.clock.advance_ms(limits::EXPIRED_SESSION_KEPT_MS);
    assert_eq!(bench.open().await.find_key(&session.access_key_id).await.unwrap(), None);
}

#[tokio::test]
async fn a_session_lasts_twelve_hours_at_most() {
    let bench = Bench::new();
    let session = bench.open().await.create_session(ROLE, "job", vec![], u64::MAX).await.unwrap();
    assert_eq!(session.expires_at_ms, 1_700_000_000_000 + 12 * 3_600_000);
}

#[tokio::test]
async fn only_a_role_of_this_account_has_sessions() {
    let identity = Bench::new().open().await;
    for role in
        ["", "Trainer", "arn:aws:iam::999999999999:role/x", "arn:aws:iam::123456789012:user/x"]
    {
        let refused = identity.create_session(role, "job", vec![], 3600).await;
        assert!(matches!(refused, Err(Error::BadRole(_))), "{role}");
    }
}

#[tokio::test]
async fn the_root_key_is_found_and_an_unknown_one_is_not() {
    let bench = Bench::new();
    let identity = bench.open().await;
    let key = identity.find_key(&bench.root.access_key_id).await.unwrap().unwrap();
    assert_eq!(key.principal, Principal::Root);
    assert_eq!(key.session_token, None);
    assert_eq!(identity.find_key("AKIAEXAMPLEEXAMPLE12").await.unwrap(), None);
}

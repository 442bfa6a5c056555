//! Requests that nobody should send: whatever they hold, they are the sender's mistake.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use serde_json::json;

use crate::support::{Bench, Call};

/// The same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        const ODD: &[u8] = b"\0\t %&=+/;,.:\"'{}[]<>\\?#*\x7f\x80\xff0aZ-";
        ODD[self.below(ODD.len())]
    }

    /// Replaces, inserts, removes or repeats somewhere.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len() + 1);
            match self.below(4) {
                0 => bytes.insert(at, self.byte()),
                1 => bytes.truncate(at),
                2 => {
                    let tail = bytes.get(at..).unwrap_or_default().to_vec();
                    bytes.extend(tail);
                }
                _ => {
                    let byte = self.byte();
                    if let Some(place) = bytes.get_mut(at) {
                        *place = byte;
                    }
                }
            }
        }
    }
}

fn requests(bench: &Bench) -> Vec<Request<Bytes>> {
    let who = "Action=GetCallerIdentity&Version=2011-06-15&A.member.1=x&B.entry.1.key=y";
    let describe = Call::json("logs", "Logs_20140328.DescribeLogGroups", &json!({"limit": 1}));
    vec![
        bench.root.sign(Call::query("sts", who)),
        bench.root.presign(Call::new("sts", "GET", &format!("/?{who}")), 60),
        bench.root.sign(describe.clone()),
        bench.root.sign(describe.header("x-amz-security-token", "token")),
        bench.root.sign(Call::new("sagemaker", "POST", "/endpoints/name/invocations").body("x")),
        bench.root.sign(Call::new("lambda", "GET", "/2015-03-31/functions/%2e%2e/x")),
    ]
}

/// Spoils one header, or the target, or nothing but the signed body.
fn spoiled(random: &mut Random, request: &Request<Bytes>) -> Option<Request<Bytes>> {
    let mut spoiled = request.clone();
    match random.below(4) {
        0 => {
            let mut body = request.body().to_vec();
            random.spoil(&mut body);
            *spoiled.body_mut() = body.into();
        }
        1 => {
            let mut target = request.uri().to_string().into_bytes();
            random.spoil(&mut target);
            *spoiled.uri_mut() = http::Uri::from_maybe_shared(Bytes::from(target)).ok()?;
        }
        _ => {
            let names: Vec<&HeaderName> = request.headers().keys().collect();
            let name = names[random.below(names.len())].clone();
            let mut value = request.headers()[&name].as_bytes().to_vec();
            random.spoil(&mut value);
            let value = HeaderValue::from_bytes(&value).ok()?;
            spoiled.headers_mut().insert(name, value);
        }
    }
    Some(spoiled)
}

#[tokio::test]
async fn spoiled_requests_are_the_clients_mistakes() {
    let bench = Bench::new().await;
    let requests = requests(&bench);
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut sent = 0;
    while sent < 20_000 {
        let request = &requests[random.below(requests.len())];
        let Some(spoiled) = spoiled(&mut random, request) else { continue };
        let shown = format!("{spoiled:?}");
        let answer = bench.send(spoiled).await;
        assert!(answer.status.as_u16() < 500, "{shown}: {} {}", answer.status, answer.text());
        sent += 1;
    }
}

/// With a good signature the spoiled body reaches the codecs and the operations.
#[tokio::test]
async fn signed_nonsense_is_refused_by_name_or_understood() {
    let bench = Bench::new().await;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let form = b"Action=GetCallerIdentity&Version=2011-06-15&A.member.1=x&A.member.2=y&B.1=z";
    let document = br#"{"logGroupName":"g","limit":3,"nextToken":"dG9rZW4","descending":true}"#;
    for round in 0..5_000 {
        let mut call = if round % 2 == 0 {
            Call::query("sts", "")
        } else {
            Call::json("logs", "Logs_20140328.DescribeLogStreams", &json!(null))
        };
        call.body = if round % 2 == 0 { form.to_vec() } else { document.to_vec() };
        random.spoil(&mut call.body);
        let shown = String::from_utf8_lossy(&call.body).into_owned();
        let answer = bench.send(bench.root.sign(call)).await;
        assert!(answer.status.as_u16() < 500, "{shown}: {} {}", answer.status, answer.text());
    }
}

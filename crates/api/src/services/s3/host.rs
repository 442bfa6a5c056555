//! Whether a request names its bucket in the host: `bucket.localhost`, `bucket.s3.amazonaws.com`.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// Hosts whose subdomains are buckets. Every other name is one of ours, buckets being in paths.
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match bucket(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

fn bucket(host: &str) -> Option<&str> {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bucket = name.strip_suffix(".localhost").or_else(|| {
        let (before, service) = match name.strip_suffix(".amazonaws.com")?.rsplit_once("s3") {
            Some((before, after)) => (before, after),
            None => return None,
        };
        // What follows `s3` is empty or one label, the region.
        let is_service = service.is_empty()
            || service.strip_prefix('.').is_some_and(|region| !region.contains('.'));
        if is_service { before.strip_suffix('.') } else { None }
    })?;
    (!bucket.is_empty()).then_some(bucket)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn buckets_in_hosts_are_found_and_other_hosts_left_alone() {
        let cases = [
            ("photos.localhost:4566", Some("photos")),
            ("a.b.localhost", Some("a.b")),
            ("localhost:4566", None),
            ("photos.s3.amazonaws.com", Some("photos")),
            ("photos.s3.eu-west-1.amazonaws.com", Some("photos")),
            ("my.s3.s3.us-east-1.amazonaws.com", Some("my.s3")),
            ("s3.amazonaws.com", None),
            ("s3.us-east-1.amazonaws.com", None),
            ("sts.amazonaws.com", None),
            ("kennel.example", None),
        ];
        for (host, expected) in cases {
            assert_eq!(bucket(host), expected, "{host}");
        }
    }
}

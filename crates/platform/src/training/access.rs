//! What the session of a training run may do: read its inputs, write its outputs and its log.
//!
//! These documents narrow the role's own policies; a run may do what both allow.

use std::collections::BTreeSet;

use kennel_wire::run::{Channel, ChannelSource, S3Object};
use serde_json::{Value, json};

use super::job::Job;
use crate::names::{S3Location, bucket_resource, object_resource};

/// What the place of one manifest adds: two ARNs of a URI of 1,024 characters.
const MANIFEST_PLACE_BYTES_MAX: usize = 1_200;

/// IAM policy documents for the run of this job. `manifests` are the places the job's manifest
/// files point to.
pub(super) fn policies(
    job: &Job,
    manifests: &[S3Location],
    region: &str,
    account: &str,
) -> Vec<String> {
    let mut reads = BTreeSet::new();
    let mut lists = BTreeSet::new();
    let mut writes = BTreeSet::new();
    for channel in &job.spec.channels {
        match &channel.source {
            ChannelSource::Prefix { bucket, prefix } => {
                reads.insert(objects_below(bucket, prefix));
                lists.insert(bucket_resource(bucket));
            }
            ChannelSource::Manifest(S3Object { bucket, key }) => {
                reads.insert(object_resource(bucket, key));
            }
        }
    }
    for place in manifests {
        reads.insert(objects_below(&place.bucket, &place.key));
        lists.insert(bucket_resource(&place.bucket));
    }
    if let Some(checkpoints) = &job.spec.checkpoints {
        let place = objects_below(&checkpoints.bucket, &checkpoints.prefix);
        reads.insert(place.clone());
        writes.insert(place);
        lists.insert(bucket_resource(&checkpoints.bucket));
    }
    for S3Object { bucket, key } in [job.spec.model_artifact(), job.spec.output_artifact()] {
        writes.insert(object_resource(&bucket, &key));
    }
    let group = format!("arn:aws:logs:{region}:{account}:log-group:{}", job.log.group);
    let stream = format!("{group}:log-stream:{}", job.log.stream);
    let statements: Vec<Value> = [
        (&["s3:GetObject"][..], reads),
        (&["s3:ListBucket"], lists),
        (&["s3:PutObject", "s3:AbortMultipartUpload"], writes),
        (&["logs:CreateLogGroup"], BTreeSet::from([format!("{group}:*")])),
        (&["logs:CreateLogStream", "logs:PutLogEvents"], BTreeSet::from([stream])),
    ]
    .into_iter()
    .filter(|(_, resources)| !resources.is_empty())
    .map(|(actions, resources)| {
        json!({ "Effect": "Allow", "Action": actions, "Resource": resources })
    })
    .collect();
    vec![json!({ "Version": "2012-10-17", "Statement": statements }).to_string()]
}

/// Bytes the documents have at most, whatever the job's manifests will say.
pub(super) fn policy_bytes_max(job: &Job, region: &str, account: &str) -> usize {
    let documents = policies(job, &[], region, account);
    let is_manifest = |channel: &&Channel| matches!(channel.source, ChannelSource::Manifest(_));
    let manifests = job.spec.channels.iter().filter(is_manifest).count();
    documents.iter().map(String::len).sum::<usize>() + manifests * MANIFEST_PLACE_BYTES_MAX
}

fn objects_below(bucket: &str, prefix: &str) -> String {
    format!("{}*", object_resource(bucket, prefix))
}

/// Where the files of a manifest lie: its first element is `{"prefix": "s3://bucket/prefix/"}`.
/// `None` where the manifest is malformed; the run then fails and says so.
pub(super) fn manifest_prefix(head: &[u8]) -> Option<S3Location> {
    #[derive(serde::Deserialize)]
    struct First {
        prefix: String,
    }
    let text = head.trim_ascii_start().strip_prefix(b"[")?;
    let first = serde_json::Deserializer::from_slice(text).into_iter::<First>().next()?.ok()?;
    S3Location::parse(&first.prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_with_a_star_opens_nothing_else() {
        assert_eq!(objects_below("photos", "*/dogs/"), "arn:aws:s3:::photos/?/dogs/*");
    }

    #[test]
    fn the_prefix_is_read_from_the_start_of_a_manifest() {
        let whole = br#" [ {"prefix": "s3://photos/dogs/"}, "a.jpg", "b.jpg" ]"#;
        let expected = S3Location::parse("s3://photos/dogs/").unwrap();
        assert_eq!(manifest_prefix(whole), Some(expected.clone()));
        assert_eq!(manifest_prefix(&whole[..45]), Some(expected));
        let bad = [&b""[..], b"{}", b"[\"a.jpg\"]", b"[{\"prefix\": \"dogs/\"}]", b"\xff\xd8"];
        let wide = [&br#"[{"prefix": "s3://*/"}]"#[..], br#"[{"prefix": "s3://pho*os/"}]"#];
        for bad in bad.into_iter().chain(wide) {
            assert_eq!(manifest_prefix(bad), None);
        }
    }
}

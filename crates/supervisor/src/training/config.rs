//! `/opt/ml` before the workload starts: directories and `input/config`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use kennel_wire::run::{ChannelSource, RunSpec, TrainingWork};
use serde_json::{Value, json};

/// What a container finds besides its channels.
const DIRECTORIES: [&str; 6] =
    ["input/config", "input/data", "model", "output/data", "checkpoints", "code"];

/// Makes the directories anew: a supervisor before this one may have been stopped while staging.
/// Channel names match AWS's pattern, which knows no `/` and no `.` alone; that is checked again,
/// because here they become paths.
pub(super) fn lay_out(base: &Path, channels: &[String]) -> std::io::Result<()> {
    match fs::remove_dir_all(base) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for directory in DIRECTORIES {
        fs::create_dir_all(base.join(directory))?;
    }
    for channel in channels {
        let plain =
            channel.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
        if !plain || channel.is_empty() || channel.starts_with('.') {
            let message = format!("channel name `{channel}` is no directory name");
            return Err(std::io::Error::other(message));
        }
        fs::create_dir(base.join("input/data").join(channel))?;
    }
    Ok(())
}

pub(super) fn write(base: &Path, spec: &RunSpec, work: &TrainingWork) -> std::io::Result<()> {
    let config = base.join("input/config");
    let files = [
        ("hyperparameters.json", json!(work.hyperparameters)),
        ("resourceconfig.json", resources(spec)),
        ("inputdataconfig.json", inputs(work)),
        ("init-config.json", init(work)),
    ];
    for (name, content) in files {
        fs::write(config.join(name), serde_json::to_vec_pretty(&content)?)?;
    }
    Ok(())
}

fn resources(spec: &RunSpec) -> Value {
    json!({
        "current_host": spec.current_host,
        "current_instance_type": spec.instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": spec.hosts,
        "instance_groups": [{
            "instance_group_name": "homogeneousCluster",
            "instance_type": spec.instance_type,
            "hosts": spec.hosts,
        }],
        "network_interface_name": "lo",
    })
}

fn inputs(work: &TrainingWork) -> Value {
    let channels: BTreeMap<&str, Value> = work
        .channels
        .iter()
        .map(|channel| {
            let mut input = json!({
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            });
            if let (Some(content_type), Value::Object(members)) =
                (&channel.content_type, &mut input)
            {
                members.insert("ContentType".to_owned(), json!(content_type));
            }
            (channel.name.as_str(), input)
        })
        .collect();
    json!(channels)
}

/// Where everything came from.
fn init(work: &TrainingWork) -> Value {
    let channels: BTreeMap<&str, Value> = work
        .channels
        .iter()
        .map(|channel| {
            let (kind, uri) = match &channel.source {
                ChannelSource::Prefix { bucket, prefix } => {
                    ("S3Prefix", format!("s3://{bucket}/{prefix}"))
                }
                ChannelSource::Manifest(object) => {
                    ("ManifestFile", format!("s3://{}/{}", object.bucket, object.key))
                }
            };
            let source = json!({
                "s3DataType": kind,
                "s3Uri": uri,
                "s3DataDistributionType": "FullyReplicated",
                "compressionType": if channel.gzip { "Gzip" } else { "None" },
            });
            (channel.name.as_str(), json!({ "s3DataSource": source }))
        })
        .collect();
    json!({ "inputMode": "File", "channels": channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_supervisor_staged_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("ml");
        lay_out(&base, &["train".to_owned()]).unwrap();
        fs::write(base.join("input/data/train/half"), "x").unwrap();
        lay_out(&base, &["train".to_owned(), "a.b".to_owned()]).unwrap();
        assert!(!base.join("input/data/train/half").exists());
        assert!(base.join("input/data/a.b").is_dir());
        for name in ["..", "a/b", "", "."] {
            assert!(lay_out(&base, &[name.to_owned()]).is_err(), "{name}");
        }
    }
}

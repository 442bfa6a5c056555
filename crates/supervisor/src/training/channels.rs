//! Input channels, File mode: objects become files before the workload starts.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kennel_client::{Error, S3};
use kennel_wire::run::{Channel, ChannelSource, S3Object};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::keys::{self, Taken, Unusable};
use crate::error::{Failure, blocking};
use crate::limits::{
    CHANNEL_FILES_MAX, CHANNEL_UNPACKED_BYTES_MAX, DOWNLOADS_AT_ONCE, MANIFEST_BYTES_MAX,
};

/// An object and the file it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    bucket: String,
    key: String,
    path: PathBuf,
}

/// What a channel held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Staged {
    pub files: usize,
    pub bytes: u64,
}

/// Brings every object of the channel below `directory`, which exists and is empty.
pub(crate) async fn stage(s3: &S3, channel: &Channel, directory: &Path) -> Result<Staged, Failure> {
    let items = match &channel.source {
        ChannelSource::Prefix { bucket, prefix } => list(s3, channel, bucket, prefix).await?,
        ChannelSource::Manifest(manifest) => read_manifest(s3, channel, manifest).await?,
    };
    let files = items.len();
    let bytes = Arc::new(AtomicU64::new(0));
    let unpacking = channel.gzip.then(Unpacking::default);
    let mut running: JoinSet<Result<(), Failure>> = JoinSet::new();
    for item in items {
        while running.len() >= DOWNLOADS_AT_ONCE {
            join_one(&mut running).await?;
        }
        let path = directory.join(&item.path);
        let (s3, bytes) = (s3.clone(), Arc::clone(&bytes));
        let (name, unpacking) = (channel.name.clone(), unpacking.clone());
        running.spawn(async move {
            let size = fetch(&s3, &name, &item, path, unpacking).await?;
            bytes.fetch_add(size, Ordering::Relaxed);
            Ok(())
        });
    }
    while !running.is_empty() {
        join_one(&mut running).await?;
    }
    Ok(Staged { files, bytes: bytes.load(Ordering::Relaxed) })
}

async fn join_one(running: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    match running.join_next().await {
        None => Ok(()),
        Some(joined) => {
            joined.unwrap_or_else(|error| Err(Failure::Internal(format!("a download: {error}"))))
        }
    }
}

async fn list(
    s3: &S3,
    channel: &Channel,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<Item>, Failure> {
    let mut plan = Plan::new(&channel.name);
    let mut lister = s3.list(bucket, prefix);
    loop {
        let page = lister.page().await.map_err(|error| refused(channel, bucket, prefix, &error))?;
        let Some(page) = page else { break };
        for object in page {
            let name = keys::below(&object.key, prefix).to_owned();
            plan.add(bucket, object.key, &name)?;
        }
    }
    if plan.items.is_empty() {
        return Err(Failure::Client(format!(
            "Data download failed: No S3 objects found under S3 URL \"s3://{bucket}/{prefix}\" \
             given in input data source of channel \"{}\". Please ensure that the bucket exists, \
             that objects exist under that S3 prefix, and that the role has \"s3:ListBucket\" \
             permissions on bucket \"{bucket}\".",
            channel.name
        )));
    }
    Ok(plan.items)
}

/// The first element names the prefix, the others are keys below it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ManifestEntry {
    Prefix { prefix: String },
    Key(String),
}

async fn read_manifest(
    s3: &S3,
    channel: &Channel,
    manifest: &S3Object,
) -> Result<Vec<Item>, Failure> {
    let S3Object { bucket, key } = manifest;
    let bytes = s3
        .get_bytes(bucket, key, MANIFEST_BYTES_MAX)
        .await
        .map_err(|error| refused(channel, bucket, key, &error))?;
    parse_manifest(&bytes, &channel.name, &format!("s3://{bucket}/{key}"))
}

fn parse_manifest(bytes: &[u8], channel: &str, url: &str) -> Result<Vec<Item>, Failure> {
    let bad = |why: &str| {
        Failure::Client(format!(
            "Data download failed: the manifest \"{url}\" of channel \"{channel}\" {why}"
        ))
    };
    let entries: Vec<ManifestEntry> = serde_json::from_slice(bytes)
        .map_err(|error| bad(&format!("is not a JSON array of a prefix and keys: {error}")))?;
    let mut entries = entries.into_iter();
    let Some(ManifestEntry::Prefix { prefix }) = entries.next() else {
        return Err(bad("does not begin with {\"prefix\": \"s3://...\"}"));
    };
    let location = prefix.strip_prefix("s3://").ok_or_else(|| bad("has a prefix without s3://"))?;
    let (bucket, prefix) = location.split_once('/').unwrap_or((location, ""));
    let mut plan = Plan::new(channel);
    for entry in entries {
        let ManifestEntry::Key(name) = entry else {
            return Err(bad("names a second prefix"));
        };
        plan.add(bucket, format!("{prefix}{name}"), &name)?;
    }
    if plan.items.is_empty() { Err(bad("names no objects")) } else { Ok(plan.items) }
}

/// The files a channel will have.
struct Plan<'a> {
    channel: &'a str,
    items: Vec<Item>,
    taken: Taken,
}

impl<'a> Plan<'a> {
    fn new(channel: &'a str) -> Self {
        Self { channel, items: Vec::new(), taken: Taken::default() }
    }

    fn add(&mut self, bucket: &str, key: String, name: &str) -> Result<(), Failure> {
        let unusable = |why: Unusable| {
            Failure::Client(format!(
                "Data download failed: the object \"s3://{bucket}/{key}\" of channel \"{}\" \
                 cannot become a file: {why}",
                self.channel
            ))
        };
        let Some(path) = keys::relative(name).map_err(unusable)? else { return Ok(()) };
        self.taken.take(&path).map_err(unusable)?;
        if self.items.len() >= CHANNEL_FILES_MAX {
            return Err(Failure::Client(format!(
                "Data download failed: channel \"{}\" has more than {CHANNEL_FILES_MAX} objects",
                self.channel
            )));
        }
        self.items.push(Item { bucket: bucket.to_owned(), key, path });
        Ok(())
    }
}

async fn fetch(
    s3: &S3,
    channel: &str,
    item: &Item,
    path: PathBuf,
    unpacking: Option<Unpacking>,
) -> Result<u64, Failure> {
    let url = format!("s3://{}/{}", item.bucket, item.key);
    let doing = format!("Data download failed: channel \"{channel}\", \"{url}\"");
    let target = path.clone();
    let file = blocking(&doing, move || {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::File::create(target)
    })
    .await?;
    let head = match s3.get_file(&item.bucket, &item.key, file, None).await {
        Ok(head) => head,
        Err(error) => return Err(Failure::call(&doing, &error)),
    };
    let Some(unpacking) = unpacking else { return Ok(head.size) };
    let unpacked = blocking(&doing, move || unpacking.replace(&path)).await;
    unpacked.map_err(|failure| match failure {
        // A file that is no gzip is the user's; what the disk does is not told apart here.
        Failure::Internal(text) => Failure::Client(text),
        other => other,
    })
}

/// What the packed objects of one channel may become, all together.
#[derive(Debug, Clone)]
struct Unpacking {
    written: Arc<AtomicU64>,
    bytes_max: u64,
}

impl Default for Unpacking {
    fn default() -> Self {
        Self { written: Arc::default(), bytes_max: CHANNEL_UNPACKED_BYTES_MAX }
    }
}

impl Unpacking {
    /// Replaces the file by what it holds, under the same name, as SageMaker does.
    fn replace(&self, path: &Path) -> io::Result<u64> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".kennel-unpacking");
        // A name at the file system's limit leaves no room for a longer one beside it.
        let beside = path.with_file_name(name);
        let unpacked = self.unpack(File::open(path)?, File::create(&beside)?);
        if unpacked.is_err() {
            // The disk is given back at once, not when the run is removed.
            let _ = std::fs::remove_file(&beside);
        }
        let size = unpacked?;
        std::fs::rename(&beside, path)?;
        Ok(size)
    }

    fn unpack(&self, packed: File, unpacked: File) -> io::Result<u64> {
        let mut reader = flate2::bufread::MultiGzDecoder::new(io::BufReader::new(packed));
        io::copy(&mut reader, &mut Counted { file: unpacked, unpacking: self })
    }
}

/// A file that takes no more than its channel may still have.
struct Counted<'a> {
    file: File,
    unpacking: &'a Unpacking,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Unpacking { written, bytes_max } = self.unpacking;
        let more = bytes.len() as u64;
        if written.fetch_add(more, Ordering::Relaxed).saturating_add(more) > *bytes_max {
            return Err(io::Error::other(format!(
                "the channel's objects unpack to more than {bytes_max} bytes"
            )));
        }
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn refused(channel: &Channel, bucket: &str, key: &str, error: &Error) -> Failure {
    let doing =
        format!("Data download failed: channel \"{}\", \"s3://{bucket}/{key}\"", channel.name);
    Failure::call(&doing, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_files_below_their_prefix() {
        let text = br#"[{"prefix": "s3://bkt/photos/"}, "a/1.jpg", "2.jpg"]"#;
        let items = parse_manifest(text, "train", "s3://m/m.json").unwrap();
        let seen: Vec<_> = items
            .iter()
            .map(|i| (i.bucket.as_str(), i.key.as_str(), i.path.to_str().unwrap()))
            .collect();
        assert_eq!(seen, [("bkt", "photos/a/1.jpg", "a/1.jpg"), ("bkt", "photos/2.jpg", "2.jpg")]);
    }

    #[test]
    fn bad_manifests_say_what_is_wrong() {
        let cases = [
            ("{}", "is not a JSON array"),
            ("[]", "does not begin with"),
            (r#"["a"]"#, "does not begin with"),
            (r#"[{"prefix":"bkt/p"}, "a"]"#, "without s3://"),
            (r#"[{"prefix":"s3://b/p/"}]"#, "names no objects"),
            (r#"[{"prefix":"s3://b/p/"}, {"prefix":"s3://c/"}]"#, "a second prefix"),
            (r#"[{"prefix":"s3://b/p/"}, "../../etc/passwd"]"#, "cannot become a file"),
            (r#"[{"prefix":"s3://b/p/"}, "a", "a"]"#, "the same file name"),
        ];
        for (text, expected) in cases {
            let failure = parse_manifest(text.as_bytes(), "train", "s3://m/m.json").unwrap_err();
            assert!(matches!(failure, Failure::Client(_)));
            assert!(failure.reason().contains(expected), "{text}: {failure}");
        }
    }

    fn packed(path: &Path, bytes: &[u8]) {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        std::fs::write(path, packer.finish().unwrap()).unwrap();
    }

    #[test]
    fn a_gzip_file_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data.csv.gz");
        packed(&path, b"1,2");
        assert_eq!(Unpacking::default().replace(&path).unwrap(), 3);
        assert_eq!(std::fs::read(&path).unwrap(), b"1,2");
        std::fs::write(&path, "no gzip").unwrap();
        assert!(Unpacking::default().replace(&path).is_err());
    }

    #[test]
    fn what_a_channel_unpacks_to_is_bounded_over_all_its_objects() {
        let dir = tempfile::tempdir().unwrap();
        let unpacking = Unpacking { bytes_max: 150_000, ..Unpacking::default() };
        let paths = ["a", "b"].map(|name| dir.path().join(name));
        for path in &paths {
            packed(path, &[0; 100_000]);
        }
        assert_eq!(unpacking.replace(&paths[0]).unwrap(), 100_000);
        let error = unpacking.replace(&paths[1]).unwrap_err();
        assert!(error.to_string().contains("more than 150000 bytes"), "{error}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

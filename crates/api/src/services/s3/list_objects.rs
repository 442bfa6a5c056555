//! ListObjects: the first version, paged by marker.

use async_trait::async_trait;
use kennel_platform::objects::{After, ListRequest};
use s3s::dto::{CommonPrefix, ListObjectsInput, ListObjectsOutput};
use s3s::{S3Response, S3Result};

use super::listing::{Encoding, limit, page_size};
use super::owner::owner;
use super::{Call, Operation, Target, errors, list_objects_v2};
use crate::operation::Access;

pub(super) struct ListObjects;

#[async_trait]
impl Operation for ListObjects {
    const NAME: &'static str = "ListObjects";
    type Input = ListObjectsInput;
    type Output = ListObjectsOutput;

    fn authorize(target: &Target<'_>) -> S3Result<Vec<Access>> {
        Ok(vec![target.on_bucket("s3:ListBucket")])
    }

    async fn handle(call: Call<Self::Input>) -> S3Result<S3Response<Self::Output>> {
        let input = &call.input;
        let encoding = Encoding::read(input.encoding_type.as_ref())?;
        let size = page_size(input.max_keys, "max-keys")?;
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let marker = input.marker.as_deref().unwrap_or_default();
        let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
        let after = after(marker, prefix, delimiter);
        let request = ListRequest { prefix, delimiter, after, limit: limit(size) };
        let page = call.objects().page(&input.bucket, &request).await.map_err(errors::of)?;

        // AWS names the next marker only where a delimiter may make it a common prefix.
        let next = match &page.next {
            Some(After::Key(next) | After::CommonPrefix(next)) if delimiter.is_some() => {
                Some(encoding.of(next))
            }
            _ => None,
        };
        let owner = owner(&call.context);
        let contents = page.objects.into_iter();
        let contents =
            contents.map(|each| list_objects_v2::shown(each, encoding, Some(owner.clone())));
        let prefixes = page.common_prefixes.iter();
        let prefixes = prefixes.map(|each| CommonPrefix { prefix: Some(encoding.of(each)) });
        let output = ListObjectsOutput {
            name: Some(input.bucket.clone()),
            prefix: Some(encoding.of(prefix)),
            marker: Some(encoding.of(marker)),
            max_keys: Some(size),
            is_truncated: Some(page.next.is_some()),
            contents: Some(contents.collect()),
            common_prefixes: Some(prefixes.collect()),
            delimiter: delimiter.map(|text| encoding.of(text)),
            next_marker: next,
            encoding_type: input.encoding_type.clone(),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }
}

/// A marker that is a common prefix of this listing stands for everything in it: it is what the
/// page before ended with.
fn after(marker: &str, prefix: &str, delimiter: Option<&str>) -> After {
    if marker.is_empty() {
        return After::Nothing;
    }
    let is_common = delimiter.is_some_and(|delimiter| {
        marker.strip_prefix(prefix).is_some_and(|rest| {
            rest.find(delimiter).is_some_and(|at| at + delimiter.len() == rest.len())
        })
    });
    if is_common { After::CommonPrefix(marker.to_owned()) } else { After::Key(marker.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_common_prefix_where_the_page_before_could_have_ended_with_it() {
        let common = After::CommonPrefix("a/".into());
        assert_eq!(after("a/", "", Some("/")), common);
        assert_eq!(after("a/", "", None), After::Key("a/".into()));
        assert_eq!(after("a/", "a/", Some("/")), After::Key("a/".into()));
        assert_eq!(after("a/b/", "", Some("/")), After::Key("a/b/".into()));
        assert_eq!(after("a/b", "", Some("/")), After::Key("a/b".into()));
        assert_eq!(after("", "", Some("/")), After::Nothing);
    }
}

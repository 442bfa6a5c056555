//! Listing keys in byte order, folded at a delimiter, without reading what a fold hides.

use super::Objects;
use super::document::{self, OBJECTS, Object, ObjectMeta, object_key};
use super::error::Error;
use crate::limits::{LIST_READ_MAX, LIST_READ_MIN, OBJECT_KEY_BYTES_MAX};

#[derive(Debug, Clone, Default)]
pub struct ListRequest<'a> {
    pub prefix: &'a str,
    /// Keys that agree up to the first delimiter after the prefix become one common prefix.
    pub delimiter: Option<&'a str>,
    pub after: After,
    /// Keys and common prefixes together.
    pub limit: usize,
}

/// Where a page starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum After {
    #[default]
    Nothing,
    Key(String),
    /// After everything that starts with it.
    CommonPrefix(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub meta: ObjectMeta,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    pub objects: Vec<Listed>,
    pub common_prefixes: Vec<String>,
    /// Where the next page starts, if there is one.
    pub next: Option<After>,
}

impl Objects {
    /// Keys that start with `prefix`, after `start_after`, at most `limit`.
    pub async fn list(
        &self,
        bucket: &str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let after = start_after.map_or(After::Nothing, |key| After::Key(key.to_owned()));
        let request = ListRequest { prefix, delimiter: None, after, limit };
        Ok(self.page(bucket, &request).await?.objects)
    }

    pub async fn page(&self, bucket: &str, request: &ListRequest<'_>) -> Result<Page, Error> {
        self.stored_bucket(bucket).await?;
        let mut page = Page::default();
        if request.limit == 0 {
            return Ok(page);
        }
        let delimiter = request.delimiter.filter(|delimiter| !delimiter.is_empty());
        let within = object_key(bucket, request.prefix);
        let mut last = request.after.clone();
        let mut count = 0_usize;
        let mut read_max = if delimiter.is_some() { LIST_READ_MIN } else { LIST_READ_MAX };
        loop {
            let wanted = read_max.min(request.limit.saturating_add(1));
            let cursor = cursor(bucket, &last);
            let found = self.records.list(OBJECTS, &within, cursor.as_deref(), wanted).await?;
            let is_last = found.len() < wanted;
            let mut folded = 0;
            for record in &found {
                let key = record.key.get(bucket.len() + 1..).unwrap_or_default();
                if matches!(&last, After::CommonPrefix(prefix) if key.starts_with(prefix.as_str()))
                {
                    folded += 1;
                    continue;
                }
                if count == request.limit {
                    page.next = Some(last);
                    return Ok(page);
                }
                count += 1;
                match fold(key, request.prefix, delimiter) {
                    Some(common) => {
                        page.common_prefixes.push(common.to_owned());
                        last = After::CommonPrefix(common.to_owned());
                    }
                    None => {
                        let meta = document::read::<Object>(OBJECTS, record)?.value.meta;
                        page.objects.push(Listed { key: key.to_owned(), meta });
                        last = After::Key(key.to_owned());
                    }
                }
            }
            if is_last {
                return Ok(page);
            }
            // Where most of what was read lay in a fold, the next read is short: it starts past
            // the fold, and likely meets another.
            read_max = if folded > found.len() / 2 {
                LIST_READ_MIN
            } else {
                LIST_READ_MAX.min(read_max * 2)
            };
        }
    }
}

/// The key of the record after which to read on.
fn cursor(bucket: &str, after: &After) -> Option<String> {
    match after {
        After::Nothing => None,
        After::Key(key) => Some(object_key(bucket, key)),
        After::CommonPrefix(prefix) => Some(past(object_key(bucket, prefix))),
    }
}

/// A text no key that starts with `prefix` is greater than: no key is long enough.
fn past(mut prefix: String) -> String {
    const LAST: char = char::MAX;
    for _ in 0..=OBJECT_KEY_BYTES_MAX / LAST.len_utf8() {
        prefix.push(LAST);
    }
    prefix
}

/// The common prefix the key belongs to, delimiter included.
pub(super) fn fold<'a>(key: &'a str, prefix: &str, delimiter: Option<&str>) -> Option<&'a str> {
    let delimiter = delimiter?;
    let rest = key.get(prefix.len()..)?;
    let end = prefix.len() + rest.find(delimiter)? + delimiter.len();
    key.get(..end)
}

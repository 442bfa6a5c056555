//! Listing training jobs: filters, order and pages.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::job::{SecondaryStatus, State, Status, Transition};
use super::{Error, TABLE, Training};
use crate::limits::SCAN_RECORDS;
use crate::names::EntityName;

#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub name_contains: Option<String>,
    pub status: Option<Status>,
    /// Bounds are exclusive, as AWS's words `after` and `before` say.
    pub created_after_ms: Option<i64>,
    pub created_before_ms: Option<i64>,
    pub modified_after_ms: Option<i64>,
    pub modified_before_ms: Option<i64>,
    pub sort_by: SortBy,
    pub descending: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SortBy {
    Name,
    #[default]
    CreationTime,
    Status,
}

/// What a listing shows of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub name: EntityName,
    pub arn: String,
    pub created_at_ms: i64,
    pub modified_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub status: Status,
    pub secondary_status: SecondaryStatus,
}

/// The place of a job in an order: its page's last one is where the next page begins. It stays
/// right when jobs are added or change between two pages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub number: i64,
    pub text: String,
    pub key: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub summaries: Vec<Summary>,
    /// Where the next page begins; `None` after the last.
    pub next: Option<Position>,
}

impl Training {
    /// At most `limit` jobs that pass the filter, those after `after` in its order.
    pub async fn list(
        &self,
        filter: &Filter,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Page, Error> {
        let mut found = Vec::new();
        let mut last: Option<String> = None;
        loop {
            let records = self.records.list(TABLE, "", last.as_deref(), SCAN_RECORDS).await?;
            let full = records.len() == SCAN_RECORDS;
            for record in records {
                let slim: Slim = serde_json::from_slice(&record.value).map_err(Error::Record)?;
                let summary = slim.summary();
                if filter.takes(&summary) {
                    found.push((filter.position(&summary), summary));
                }
                last = Some(record.key);
            }
            if !full {
                break;
            }
        }
        found.sort_by(|one, other| filter.order(&one.0, &other.0));
        let from = after.map_or(0, |after| {
            found.partition_point(|(position, _)| filter.order(position, after).is_le())
        });
        let mut rest = found.into_iter().skip(from);
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let next = match rest.next() {
            Some(_) => page.last().map(|(position, _)| position.clone()),
            None => None,
        };
        Ok(Page { summaries: page.into_iter().map(|(_, summary)| summary).collect(), next })
    }
}

impl Filter {
    fn takes(&self, summary: &Summary) -> bool {
        let after = |bound: Option<i64>, at: i64| bound.is_none_or(|bound| at > bound);
        let before = |bound: Option<i64>, at: i64| bound.is_none_or(|bound| at < bound);
        self.name_contains.as_ref().is_none_or(|part| summary.name.as_str().contains(part))
            && self.status.is_none_or(|status| summary.status == status)
            && after(self.created_after_ms, summary.created_at_ms)
            && before(self.created_before_ms, summary.created_at_ms)
            && after(self.modified_after_ms, summary.modified_at_ms)
            && before(self.modified_before_ms, summary.modified_at_ms)
    }

    fn position(&self, summary: &Summary) -> Position {
        let (number, text) = match self.sort_by {
            SortBy::Name => (0, String::new()),
            SortBy::CreationTime => (summary.created_at_ms, String::new()),
            SortBy::Status => (0, summary.status.as_str().to_owned()),
        };
        Position { number, text, key: summary.name.key() }
    }

    fn order(&self, one: &Position, other: &Position) -> Ordering {
        if self.descending { other.cmp(one) } else { one.cmp(other) }
    }
}

/// The members of a job's record that a listing needs.
#[derive(Deserialize)]
struct Slim {
    spec: SlimSpec,
    arn: String,
    state: State,
    transitions: Vec<Transition>,
    created_at_ms: i64,
    modified_at_ms: i64,
    ended_at_ms: Option<i64>,
}

#[derive(Deserialize)]
struct SlimSpec {
    name: EntityName,
}

impl Slim {
    fn summary(self) -> Summary {
        Summary {
            name: self.spec.name,
            arn: self.arn,
            created_at_ms: self.created_at_ms,
            modified_at_ms: self.modified_at_ms,
            ended_at_ms: self.ended_at_ms,
            status: self.state.status(),
            secondary_status: self
                .transitions
                .last()
                .map_or(SecondaryStatus::Starting, |last| last.status),
        }
    }
}

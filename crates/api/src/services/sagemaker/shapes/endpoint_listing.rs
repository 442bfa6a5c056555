//! What the listings of models, endpoint configurations and endpoints have in common.

use kennel_platform::endpoint::listing::{Filter, Order, Page, Position, SortBy};
use kennel_wire::Timestamp;

use super::paging::{self, RESULTS_DEFAULT};
use super::text;
use crate::failure::Failure;
use crate::validate::Violations;

/// The members of one listing's input.
pub struct Listing<'a> {
    pub operation: &'static str,
    pub sort_by: Option<&'a str>,
    pub sort_order: Option<&'a str>,
    pub next_token: Option<&'a str>,
    pub max_results: Option<i64>,
    pub name_contains: Option<&'a str>,
    pub creation_time_before: Option<Timestamp>,
    pub creation_time_after: Option<Timestamp>,
    pub last_modified_time_before: Option<Timestamp>,
    pub last_modified_time_after: Option<Timestamp>,
    pub status_equals: Option<&'a str>,
}

impl Listing<'_> {
    pub fn validate(&self, sort_keys: &[&str], violations: &mut Violations) {
        text::plain(violations, "nextToken", self.next_token, 0..=8_192);
        violations.range("maxResults", self.max_results, 1..=100);
        violations.text("nameContains", self.name_contains, 0..=63, "[a-zA-Z0-9-]+", |part| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
        violations.one_of("sortBy", self.sort_by, sort_keys);
        violations.one_of("sortOrder", self.sort_order, &["Ascending", "Descending"]);
    }

    pub fn filter(&self) -> Filter {
        let ms = |at: Option<Timestamp>| at.map(|at| at.0);
        Filter {
            name_contains: self.name_contains.map(str::to_owned),
            created_before_ms: ms(self.creation_time_before),
            created_after_ms: ms(self.creation_time_after),
            modified_before_ms: ms(self.last_modified_time_before),
            modified_after_ms: ms(self.last_modified_time_after),
        }
    }

    /// Newest first unless the request says otherwise.
    pub fn order(&self) -> Result<Order, Failure> {
        let limit = self.max_results.and_then(|most| usize::try_from(most).ok());
        Ok(Order {
            by: match self.sort_by {
                Some("Name") => SortBy::Name,
                Some("Status") => SortBy::Status,
                _ => SortBy::CreationTime,
            },
            descending: self.sort_order != Some("Ascending"),
            after: paging::decode::<Position>(&self.identity(), self.next_token)?,
            limit: limit.unwrap_or(RESULTS_DEFAULT),
        })
    }

    pub fn next_token<T>(&self, page: &Page<T>) -> Result<Option<String>, Failure> {
        let identity = self.identity();
        page.next.as_ref().map(|position| paging::encode(&identity, position)).transpose()
    }

    fn identity(&self) -> String {
        let Self { operation, sort_by, sort_order, status_equals, .. } = self;
        format!("{operation} {sort_by:?} {sort_order:?} {status_equals:?} {:?}", self.filter())
    }
}

//! Filters, order and pages of listings.

use serde::{Deserialize, Serialize};

/// What of a resource is asked for; an absent member filters nothing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    pub name_contains: Option<String>,
    pub created_before_ms: Option<i64>,
    pub created_after_ms: Option<i64>,
    pub modified_before_ms: Option<i64>,
    pub modified_after_ms: Option<i64>,
}

impl Filter {
    pub fn takes(&self, name: &str, created_at_ms: i64, modified_at_ms: i64) -> bool {
        let before = |bound: Option<i64>, at: i64| bound.is_none_or(|bound| at < bound);
        let after = |bound: Option<i64>, at: i64| bound.is_none_or(|bound| at > bound);
        self.name_contains.as_deref().is_none_or(|part| name.contains(part))
            && before(self.created_before_ms, created_at_ms)
            && after(self.created_after_ms, created_at_ms)
            && before(self.modified_before_ms, modified_at_ms)
            && after(self.modified_after_ms, modified_at_ms)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortBy {
    Name,
    CreationTime,
    Status,
}

/// Where a listing stands: items are ordered by both members, the name last so that no two are
/// equal and nothing is skipped or shown twice where items come and go between pages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub rank: i64,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    pub by: SortBy,
    pub descending: bool,
    /// The last position of the page before.
    pub after: Option<Position>,
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Present where there is more.
    pub next: Option<Position>,
}

/// Orders items and takes the page that follows `order.after`.
pub fn page<T>(items: Vec<T>, order: &Order, position: impl Fn(&T) -> Position) -> Page<T> {
    let mut placed: Vec<(Position, T)> =
        items.into_iter().map(|item| (position(&item), item)).collect();
    placed.sort_by(|one, other| one.0.cmp(&other.0));
    if order.descending {
        placed.reverse();
    }
    let follows = |at: &Position| match &order.after {
        None => true,
        Some(after) if order.descending => at < after,
        Some(after) => at > after,
    };
    let mut rest = placed.into_iter().filter(|(at, _)| follows(at));
    let taken: Vec<(Position, T)> = rest.by_ref().take(order.limit).collect();
    let more = rest.next().is_some();
    let next = taken.last().filter(|_| more).map(|(at, _)| at.clone());
    Page { items: taken.into_iter().map(|(_, item)| item).collect(), next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(descending: bool, after: Option<Position>, limit: usize) -> Order {
        Order { by: SortBy::CreationTime, descending, after, limit }
    }

    fn position(item: &(i64, &str)) -> Position {
        Position { rank: item.0, name: item.1.to_owned() }
    }

    #[test]
    fn pages_cover_every_item_once_in_order() {
        let items = vec![(2, "b"), (1, "z"), (2, "a"), (3, "c"), (1, "y")];
        for descending in [false, true] {
            let mut seen = Vec::new();
            let mut after = None;
            loop {
                let page = page(items.clone(), &order(descending, after, 2), position);
                seen.extend(page.items);
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            let mut sorted = items.clone();
            sorted.sort_unstable();
            if descending {
                sorted.reverse();
            }
            assert_eq!(seen, sorted);
        }
    }

    #[test]
    fn a_full_last_page_has_no_next() {
        let page = page(vec![(1, "a"), (2, "b")], &order(false, None, 2), position);
        assert_eq!(page.items.len(), 2);
        assert_eq!(page.next, None);
    }

    #[test]
    fn filter_bounds_are_exclusive() {
        let filter = Filter {
            name_contains: Some("dog".to_owned()),
            created_before_ms: Some(10),
            created_after_ms: Some(5),
            ..Filter::default()
        };
        assert!(filter.takes("my-dogs", 6, 0));
        assert!(!filter.takes("my-cats", 6, 0));
        assert!(!filter.takes("my-dogs", 10, 0));
        assert!(!filter.takes("my-dogs", 5, 0));
    }
}

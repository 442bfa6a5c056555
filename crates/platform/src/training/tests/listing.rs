//! Listing jobs.

use super::world::{World, name, spec};
use crate::training::{Filter, Page, Position, SortBy, Status, Training};

fn names(page: &Page) -> Vec<&str> {
    page.summaries.iter().map(|summary| summary.name.as_str()).collect()
}

async fn pages(server: &Training, filter: &Filter, limit: usize) -> Vec<String> {
    let mut all = Vec::new();
    let mut after: Option<Position> = None;
    loop {
        let page = server.list(filter, after.as_ref(), limit).await.unwrap();
        assert!(page.summaries.len() <= limit);
        all.extend(names(&page).into_iter().map(str::to_owned));
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

/// Jobs created a second apart: cats, Dogs, ants.
async fn three(world: &World) -> Training {
    let server = world.server();
    for job in ["cats", "Dogs", "ants"] {
        server.submit(spec(job), &[]).await.unwrap();
        world.clock.advance_ms(1_000);
    }
    server
}

#[tokio::test]
async fn jobs_are_ordered_as_asked() {
    let world = World::new();
    let server = three(&world).await;
    server.request_stop(&name("cats")).await.unwrap();
    let by = |sort_by, descending| Filter { sort_by, descending, ..Filter::default() };
    for (filter, expected) in [
        (by(SortBy::CreationTime, false), ["cats", "Dogs", "ants"]),
        (by(SortBy::CreationTime, true), ["ants", "Dogs", "cats"]),
        (by(SortBy::Name, false), ["ants", "cats", "Dogs"]),
        (by(SortBy::Status, false), ["ants", "Dogs", "cats"]),
    ] {
        for limit in [1, 2, 3, 100] {
            assert_eq!(pages(&server, &filter, limit).await, expected, "{filter:?} {limit}");
        }
    }
}

#[tokio::test]
async fn filters_are_exclusive_bounds_parts_and_statuses() {
    let world = World::new();
    let server = three(&world).await;
    server.request_stop(&name("cats")).await.unwrap();
    let created = server.get(&name("dogs")).await.unwrap().unwrap().created_at_ms;
    let any = Filter::default();
    for (filter, expected) in [
        (Filter { name_contains: Some("ts".to_owned()), ..any.clone() }, vec!["cats", "ants"]),
        (Filter { status: Some(Status::Stopping), ..any.clone() }, vec!["cats"]),
        (Filter { status: Some(Status::Completed), ..any.clone() }, vec![]),
        (Filter { created_after_ms: Some(created), ..any.clone() }, vec!["ants"]),
        (Filter { created_before_ms: Some(created), ..any.clone() }, vec!["cats"]),
        (Filter { modified_after_ms: Some(created + 1_000), ..any.clone() }, vec!["cats"]),
        (Filter { modified_before_ms: Some(created + 1), ..any.clone() }, vec!["Dogs"]),
    ] {
        assert_eq!(pages(&server, &filter, 10).await, expected, "{filter:?}");
    }
}

#[tokio::test]
async fn pages_stay_right_while_jobs_are_added() {
    let world = World::new();
    let server = three(&world).await;
    let filter = Filter { sort_by: SortBy::Name, ..Filter::default() };
    let first = server.list(&filter, None, 1).await.unwrap();
    server.submit(spec("aardvarks"), &[]).await.unwrap();
    server.submit(spec("bees"), &[]).await.unwrap();
    let rest = server.list(&filter, first.next.as_ref(), 10).await.unwrap();

    assert_eq!(names(&first), ["ants"]);
    assert_eq!(names(&rest), ["bees", "cats", "Dogs"]);
    assert_eq!(rest.next, None);
}

#[tokio::test]
async fn page_that_ends_with_the_last_job_has_no_next() {
    let world = World::new();
    let server = three(&world).await;
    let page = server.list(&Filter::default(), None, 3).await.unwrap();
    assert_eq!(page.next, None);
}

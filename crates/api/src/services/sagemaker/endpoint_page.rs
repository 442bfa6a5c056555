//! Holds `docs/endpoints.md` against the code.

use kennel_wire::shape::{self, Shape};

use super::{
    create_endpoint, create_endpoint_config, create_model, update_endpoint,
    update_endpoint_weights_and_capacities,
};

const PAGE: &str = include_str!("../../../../../docs/endpoints.md");

/// Paths of the members of a shape that have no members, and whether each is only refused.
fn leaves(shape: &Shape, path: &str, found: &mut Vec<(String, bool)>) {
    match shape {
        Shape::Structure { members } => {
            for (name, member) in members {
                leaves(member, &format!("{path}.{name}"), found);
            }
        }
        Shape::List { member } => leaves(member, &format!("{path}[]"), found),
        Shape::Any => found.push((path.to_owned(), true)),
        Shape::Map { .. }
        | Shape::Text
        | Shape::Integer
        | Shape::Number
        | Shape::Boolean
        | Shape::Timestamp => found.push((path.to_owned(), false)),
    }
}

/// Member and kind of each row of the page's first table.
fn rows() -> Vec<(&'static str, &'static str)> {
    let cells = |line: &'static str| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        Some((cells.next()?.strip_prefix('`')?.strip_suffix('`')?, cells.next()?))
    };
    PAGE.lines().filter_map(cells).collect()
}

fn covers(row: &str, leaf: &str) -> bool {
    leaf.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[test]
fn the_page_tells_of_every_member_what_becomes_of_it() {
    let mut found = Vec::new();
    leaves(&shape::of::<create_model::Input>(), "CreateModel", &mut found);
    leaves(&shape::of::<create_endpoint_config::Input>(), "CreateEndpointConfig", &mut found);
    leaves(&shape::of::<create_endpoint::Input>(), "CreateEndpoint", &mut found);
    leaves(&shape::of::<update_endpoint::Input>(), "UpdateEndpoint", &mut found);
    leaves(
        &shape::of::<update_endpoint_weights_and_capacities::Input>(),
        "UpdateEndpointWeightsAndCapacities",
        &mut found,
    );
    assert!(found.len() > 80, "{found:?}");
    for (leaf, refused) in &found {
        let kinds: Vec<_> =
            rows().into_iter().filter(|(row, _)| covers(row, leaf)).map(|it| it.1).collect();
        let [kind] = kinds.as_slice() else { panic!("{leaf} has the rows {kinds:?}") };
        assert!(["works", "echoed", "refused"].contains(kind), "{leaf}: {kind}");
        // The one element of Containers has the members of PrimaryContainer.
        if !leaf.starts_with("CreateModel.Containers") {
            assert_eq!(*kind == "refused", *refused, "{leaf}: {kind}");
        }
    }
    for (row, _) in rows() {
        assert!(found.iter().any(|(leaf, _)| covers(row, leaf)), "{row} is no member");
    }
}

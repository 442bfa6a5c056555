//! The listing against a model that folds a sorted list.

use std::collections::BTreeSet;

use super::*;

#[derive(Debug, PartialEq, Eq, Clone)]
enum Entry {
    Key(String),
    Prefix(String),
}

fn model(keys: &BTreeSet<String>, prefix: &str, delimiter: Option<&str>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let rest = &key[prefix.len()..];
        let entry = match delimiter.and_then(|each| rest.find(each).map(|at| at + each.len())) {
            Some(end) => Entry::Prefix(format!("{prefix}{}", &rest[..end])),
            None => Entry::Key(key.clone()),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    entries
}

fn merged(page: &Page) -> Vec<Entry> {
    let keys =
        page.objects.iter().map(|listed| (listed.key.clone(), Entry::Key(listed.key.clone())));
    let prefixes =
        page.common_prefixes.iter().map(|each| (each.clone(), Entry::Prefix(each.clone())));
    let mut entries: Vec<_> = keys.chain(prefixes).collect();
    entries.sort_by(|left, right| left.0.cmp(&right.0));
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn text(random: &mut Random, length: usize) -> String {
    const PIECES: [&str; 7] = ["a", "b", "/", "!", "//", "é", "\u{10FFFF}"];
    (0..length).map(|_| PIECES[random.below(PIECES.len())]).collect()
}

#[tokio::test]
async fn pages_agree_with_a_folded_sorted_list() {
    for seed in 1..=60 {
        let mut random = Random(seed);
        let world = world().await;
        let mut keys = BTreeSet::new();
        for _ in 0..random.below(120) {
            let length = 1 + random.below(5);
            let key = text(&mut random, length);
            world.put(&key, b"").await;
            keys.insert(key);
        }
        for _ in 0..20 {
            let length = random.below(3);
            let prefix = text(&mut random, length);
            let delimiter = [None, Some("/"), Some("a"), Some("!b")][random.below(4)];
            let limit = 1 + random.below(9);
            let mut after = After::Nothing;
            let mut listed = Vec::new();
            loop {
                let request =
                    ListRequest { prefix: &prefix, delimiter, after: after.clone(), limit };
                let page = world.objects.page("b", &request).await.unwrap();
                let entries = merged(&page);
                assert!(entries.len() <= limit);
                listed.extend(entries.clone());
                match page.next {
                    Some(next) => {
                        assert_eq!(entries.len(), limit, "a page that is not the last is full");
                        after = next;
                    }
                    None => break,
                }
            }
            let expected = model(&keys, &prefix, delimiter);
            assert_eq!(listed, expected, "seed {seed}, prefix {prefix:?}, by {delimiter:?}");
        }
    }
}

#[tokio::test]
async fn a_fold_hides_thousands_of_keys_in_few_reads() {
    let world = world().await;
    for number in 0..3000 {
        world.put(&format!("deep/{number:04}"), b"").await;
    }
    world.put("last", b"").await;
    let request = ListRequest { delimiter: Some("/"), limit: 2, ..ListRequest::default() };
    let page = world.objects.page("b", &request).await.unwrap();
    assert_eq!(page.common_prefixes, ["deep/"]);
    assert_eq!(page.objects[0].key, "last");
    assert_eq!(page.next, None);
}

#[tokio::test]
async fn start_after_need_not_exist_nor_share_the_prefix() {
    let world = world().await;
    for key in ["p/1", "p/2", "q/1"] {
        world.put(key, b"").await;
    }
    let listed = world.objects.list("b", "p/", Some("p/1a"), 10).await.unwrap();
    assert_eq!(listed.iter().map(|each| each.key.as_str()).collect::<Vec<_>>(), ["p/2"]);
    assert_eq!(world.objects.list("b", "p/", Some("a"), 10).await.unwrap().len(), 2);
    assert_eq!(world.objects.list("b", "p/", Some("z"), 10).await.unwrap(), []);
    assert!(matches!(world.objects.list("no", "", None, 1).await, Err(Error::NoSuchBucket(_))));
}

#[tokio::test]
async fn keys_of_a_bucket_whose_name_starts_alike_are_not_listed() {
    let world = world().await;
    world.objects.create_bucket("b.c", Tags::new()).await.unwrap();
    world.put("x", b"").await;
    assert_eq!(world.objects.list("b.c", "", None, 10).await.unwrap(), []);
}

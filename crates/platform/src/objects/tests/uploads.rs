//! Multipart uploads.

use super::*;
use crate::limits::PART_BYTES_MIN;

const MIN: usize = PART_BYTES_MIN as usize;

async fn started(world: &World, checksum: Option<(Algorithm, Kind)>) -> String {
    let new = NewUpload { checksum, ..NewUpload::default() };
    world.objects.create_upload("b", "k", new).await.unwrap().id
}

async fn part(world: &World, id: &str, number: u32, body: &[u8]) -> CompletedPart {
    let received = world.receive(body).await;
    let part = world.objects.put_part("b", "k", id, number, received, None).await.unwrap();
    CompletedPart { number, etag: part.etag, checksum: None }
}

async fn complete(
    world: &World,
    id: &str,
    parts: impl IntoIterator<Item = &CompletedPart>,
) -> Result<Completed, Error> {
    let parts = parts.into_iter().cloned().collect();
    let completion = Completion { parts, ..Completion::default() };
    world.objects.complete("b", "k", id, &completion).await
}

#[tokio::test]
async fn parts_become_one_object_without_a_copy() {
    let world = world().await;
    let id = started(&world, None).await;
    let (one, two) = (vec![1; MIN], vec![2; MIN + 3]);
    // Out of order, with a gap in the numbers.
    let last = part(&world, &id, 9, b"last").await;
    let second = part(&world, &id, 4, &two).await;
    let first = part(&world, &id, 1, &one).await;
    let blobs = world.blob_count().await;
    let completed = complete(&world, &id, [&first, &second, &last]).await.unwrap();
    assert_eq!(world.blob_count().await, blobs);
    assert!(completed.meta.etag.ends_with("-3"));
    assert_eq!(completed.meta.parts, Some(3));
    let whole = [one.as_slice(), &two, b"last"].concat();
    assert_eq!(world.get("k").await, whole);
    let mut crc = checksum::Hasher::new(Algorithm::Crc64Nvme);
    crc.update(&whole);
    let expected = Checksum::full(Algorithm::Crc64Nvme, &crc.finish());
    assert_eq!(completed.meta.checksum, Some(expected));
    let download = world.objects.open("b", "k").await.unwrap();
    let ranges: Vec<_> = download.parts().into_iter().map(|part| part.range).collect();
    let (end, size) = (2 * MIN as u64 + 3, whole.len() as u64);
    assert_eq!(ranges, [0..MIN as u64, MIN as u64..end, end..size]);
    assert_eq!(read(download, MIN as u64 - 2..MIN as u64 + 2).await, [1, 1, 2, 2]);
    let again = complete(&world, &id, [&first, &second, &last]).await.unwrap();
    assert_eq!(again.meta, completed.meta);
    world.put("k", b"replaced").await;
    assert_eq!(world.blob_count().await, 1);
    assert!(matches!(
        complete(&world, &id, [&first, &second, &last]).await,
        Err(Error::NoSuchUpload(_))
    ));
}

#[tokio::test]
async fn wrong_parts_are_refused_and_the_upload_goes_on() {
    let world = world().await;
    let id = started(&world, None).await;
    let small = part(&world, &id, 1, b"small").await;
    let large = part(&world, &id, 2, &vec![0; MIN]).await;
    let end = part(&world, &id, 3, b"end").await;
    let absent = CompletedPart { number: 7, ..large.clone() };
    let other = CompletedPart { etag: small.etag.clone(), ..large.clone() };
    assert!(matches!(complete(&world, &id, [&end, &large]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(complete(&world, &id, [&large, &large]).await, Err(Error::InvalidPartOrder)));
    assert!(matches!(complete(&world, &id, [&large, &absent]).await, Err(Error::InvalidPart(7))));
    assert!(matches!(complete(&world, &id, [&other]).await, Err(Error::InvalidPart(2))));
    assert!(matches!(
        complete(&world, &id, [&small, &end]).await,
        Err(Error::PartTooSmall { number: 1, size: 5 })
    ));
    let parts = vec![large.clone(), end.clone()];
    let short = Completion { parts: parts.clone(), size: Some(3), ..Completion::default() };
    assert!(matches!(
        world.objects.complete("b", "k", &id, &short).await,
        Err(Error::SizeMismatch { expected: 3, .. })
    ));
    let checksum = Some((Algorithm::Crc64Nvme, "AAAAAAAAAAA=".to_owned()));
    let wrong = Completion { parts, checksum, ..Completion::default() };
    assert!(matches!(
        world.objects.complete("b", "k", &id, &wrong).await,
        Err(Error::BadChecksum(Algorithm::Crc64Nvme))
    ));
    complete(&world, &id, [&large, &end]).await.unwrap();
    assert_eq!(world.blob_count().await, 2, "the unused first part is gone");
}

#[tokio::test]
async fn composite_checksums_need_those_of_the_parts() {
    let world = world().await;
    let id = started(&world, Some((Algorithm::Crc32, Kind::Composite))).await;
    let mut only = part(&world, &id, 1, b"123456789").await;
    assert!(matches!(
        complete(&world, &id, [&only]).await,
        Err(Error::PartChecksumMissing { number: 1, .. })
    ));
    only.checksum = Some((Algorithm::Crc32c, "AAAAAA==".into()));
    assert!(matches!(
        complete(&world, &id, [&only]).await,
        Err(Error::WrongAlgorithm { expected: Algorithm::Crc32, .. })
    ));
    only.checksum = Some((Algorithm::Crc32, "y/Q5Jg==".into()));
    let completed = complete(&world, &id, [&only]).await.unwrap();
    let checksum = completed.meta.checksum.unwrap();
    assert_eq!(checksum.kind, Kind::Composite);
    assert!(checksum.value.ends_with("-1"));
}

#[tokio::test]
async fn parts_are_known_by_what_their_senders_announced() {
    let world = world().await;
    let id = started(&world, None).await;
    let received = world.receive(b"123456789").await;
    let announced = Some(Algorithm::Crc32);
    let part = world.objects.put_part("b", "k", &id, 1, received, announced).await.unwrap();
    let named = |algorithm, value: &str| {
        let checksum = Some((algorithm, value.to_owned()));
        CompletedPart { number: 1, etag: part.etag.clone(), checksum }
    };
    assert!(matches!(
        complete(&world, &id, [&named(Algorithm::Crc32, "AAAAAA==")]).await,
        Err(Error::InvalidPart(1))
    ));
    assert!(matches!(
        complete(&world, &id, [&named(Algorithm::Sha1, "AAAA")]).await,
        Err(Error::WrongAlgorithm { .. })
    ));
    complete(&world, &id, [&named(Algorithm::Crc32, "y/Q5Jg==")]).await.unwrap();
}

#[tokio::test]
async fn a_part_sent_again_replaces_the_earlier_one() {
    let world = world().await;
    let id = started(&world, None).await;
    part(&world, &id, 1, b"first try").await;
    let again = part(&world, &id, 1, b"second try").await;
    assert_eq!(world.blob_count().await, 1);
    let (_, parts, is_truncated) = world.objects.list_parts("b", "k", &id, 0, 10).await.unwrap();
    assert_eq!((parts.len(), is_truncated), (1, false));
    complete(&world, &id, [&again]).await.unwrap();
    assert_eq!(world.get("k").await, b"second try");
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing_and_takes_nothing() {
    let world = world().await;
    let id = started(&world, None).await;
    part(&world, &id, 1, b"part").await;
    world.objects.abort_upload("b", "k", &id).await.unwrap();
    assert_eq!(world.blob_count().await, 0);
    let late = world.receive(b"late").await;
    assert!(matches!(
        world.objects.put_part("b", "k", &id, 2, late, None).await,
        Err(Error::NoSuchUpload(_))
    ));
    assert!(matches!(world.objects.abort_upload("b", "k", &id).await, Err(Error::NoSuchUpload(_))));
    assert!(matches!(
        world.objects.create_upload("none", "k", NewUpload::default()).await,
        Err(Error::NoSuchBucket(_))
    ));
}

#[tokio::test]
async fn of_two_completions_at_once_both_answer_alike() {
    let world = world().await;
    let id = started(&world, None).await;
    let only = part(&world, &id, 1, b"part").await;
    let (one, two) = futures::join!(complete(&world, &id, [&only]), complete(&world, &id, [&only]));
    assert_eq!(one.unwrap().meta, two.unwrap().meta);
    assert_eq!(world.blob_count().await, 1);
}

#[tokio::test]
async fn uploads_are_listed_by_key_then_by_time() {
    let world = world().await;
    let mut ids = Vec::new();
    for key in ["a!", "a", "a", "d/1", "d/2", "e"] {
        world.clock.advance_ms(1);
        ids.push(world.objects.create_upload("b", key, NewUpload::default()).await.unwrap().id);
    }
    let mut request = UploadsRequest { delimiter: Some("/"), limit: 2, ..Default::default() };
    let page = world.objects.list_uploads("b", &request).await.unwrap();
    assert_eq!(page.uploads.iter().map(|each| &each.id).collect::<Vec<_>>(), [&ids[1], &ids[2]]);
    let (key, id) = page.next.unwrap();
    (request.key_marker, request.id_marker) = (Some(key.as_str()), Some(id.as_str()));
    let page = world.objects.list_uploads("b", &request).await.unwrap();
    assert_eq!(page.uploads[0].key, "a!");
    assert_eq!(page.common_prefixes, ["d/"]);
    let (key, _) = page.next.unwrap();
    (request.key_marker, request.id_marker) = (Some(key.as_str()), None);
    let page = world.objects.list_uploads("b", &request).await.unwrap();
    assert_eq!(page.uploads.iter().map(|each| each.key.as_str()).collect::<Vec<_>>(), ["e"]);
    assert_eq!(page.next, None);
    let prefixed = UploadsRequest { prefix: "d/", limit: 9, ..Default::default() };
    assert_eq!(world.objects.list_uploads("b", &prefixed).await.unwrap().uploads.len(), 2);
}

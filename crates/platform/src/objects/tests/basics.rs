//! Buckets and objects.

use super::*;

#[tokio::test]
async fn a_body_comes_back_whole_and_in_ranges() {
    let world = world().await;
    let body: Vec<u8> = (0..5000_u32).map(|value| (value % 253) as u8).collect();
    let meta = world.put("/a//b", &body).await;
    assert_eq!(meta.size, 5000);
    assert_eq!(world.get("/a//b").await, body);
    let download = world.objects.open("b", "/a//b").await.unwrap();
    assert_eq!(read(download, 999..2001).await, body[999..2001]);
    assert_eq!(world.put("empty", b"").await.etag, "d41d8cd98f00b204e9800998ecf8427e");
    assert_eq!(world.get("empty").await, b"");
    assert_eq!(world.blob_count().await, 1);
}

#[tokio::test]
async fn a_broken_body_leaves_nothing() {
    let world = world().await;
    let mut broken: Body<'_> =
        stream::iter([Ok(Bytes::from_static(b"half")), Err("torn".into())]).boxed();
    let received = world.objects.receive(&mut broken, &[], u64::MAX).await;
    assert!(matches!(received, Err(Error::Body(_))));
    let long = world.objects.receive(&mut chunks(&[7; 11]), &[], 10).await;
    assert!(matches!(long, Err(Error::TooLarge { max: 10 })));
    assert_eq!(world.blob_count().await, 0);
    assert!(matches!(world.objects.head("b", "k").await, Err(Error::NoSuchKey(_))));
}

#[tokio::test]
async fn announced_digests_are_compared() {
    let world = world().await;
    let received = world.receive(b"123456789").await;
    received.check(Algorithm::Crc32, &[0xcb, 0xf4, 0x39, 0x26]).unwrap();
    assert!(matches!(received.check(Algorithm::Crc32, &[0; 4]), Err(Error::BadChecksum(_))));
    assert!(matches!(received.check(Algorithm::Sha1, &[0; 20]), Err(Error::BadChecksum(_))));
    assert!(matches!(received.check_md5(&[0; 16]), Err(Error::BadMd5)));
}

#[tokio::test]
async fn an_overwritten_body_is_deleted_after_its_last_reader() {
    let world = world().await;
    world.put("k", b"old").await;
    let download = world.objects.open("b", "k").await.unwrap();
    world.put("k", b"new").await;
    assert_eq!(world.blob_count().await, 2);
    assert_eq!(read(download, 0..3).await, b"old");
    world.objects.delete("b", "k", &Condition::None).await.unwrap();
    assert_eq!(world.blob_count().await, 0);
    world.objects.delete("b", "k", &Condition::None).await.unwrap();
}

#[tokio::test]
async fn conditions_are_checked_when_the_object_is_put() {
    let world = world().await;
    let first = world.put_if("k", b"1", &Condition::Absent).await.unwrap();
    assert!(matches!(
        world.put_if("k", b"2", &Condition::Absent).await,
        Err(Error::PreconditionFailed("If-None-Match"))
    ));
    let same = Condition::Etag(first.etag);
    world.put_if("k", b"3", &same).await.unwrap();
    assert!(matches!(
        world.put_if("k", b"4", &same).await,
        Err(Error::PreconditionFailed("If-Match"))
    ));
    assert!(matches!(world.put_if("new", b"5", &same).await, Err(Error::NoSuchKey(_))));
    assert!(matches!(
        world.objects.delete("b", "k", &same).await,
        Err(Error::PreconditionFailed("If-Match"))
    ));
    assert_eq!(world.get("k").await, b"3");
    assert_eq!(world.blob_count().await, 1);
}

#[tokio::test]
async fn of_many_writers_of_one_key_one_body_is_left() {
    let world = world().await;
    let writers = (0..30_u8).map(|number| {
        let world = &world;
        async move {
            world.put("k", &[number; 2000]).await;
            world.get("k").await
        }
    });
    for body in futures::future::join_all(writers).await {
        assert_eq!(body.len(), 2000);
        assert!(body.iter().all(|byte| *byte == body[0]));
    }
    world.objects.sweep().await.unwrap();
    assert_eq!(world.blob_count().await, 1);
}

#[tokio::test]
async fn of_many_writers_that_want_the_key_absent_one_wins() {
    let world = world().await;
    let absent = Condition::Absent;
    let writers = (0..20_u8).map(|number| {
        let body = vec![number; 10];
        let (world, absent) = (&world, &absent);
        async move { world.put_if("k", &body, absent).await }
    });
    let results = futures::future::join_all(writers).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(world.blob_count().await, 1);
}

#[tokio::test]
async fn a_copy_is_an_object_of_its_own() {
    let world = world().await;
    world.put("from", b"bytes").await;
    let source = world.objects.open("b", "from").await.unwrap();
    let new = NewObject { checksum: Some(Algorithm::Sha256), ..NewObject::default() };
    let copied = world.objects.copy(source, "b", "to", new, &Condition::None).await.unwrap();
    assert_eq!(copied.checksum.unwrap().algorithm, Algorithm::Sha256);
    world.objects.delete("b", "from", &Condition::None).await.unwrap();
    assert_eq!(world.get("to").await, b"bytes");
}

#[tokio::test]
async fn a_copy_onto_itself_changes_what_is_said_of_it_and_moves_nothing() {
    let world = world().await;
    world.put("k", b"bytes").await;
    let before = world.blobs.list().await.unwrap();
    world.clock.advance_ms(5000);
    let source = world.objects.open("b", "k").await.unwrap();
    let attributes = Attributes { cache_control: Some("no-store".into()), ..Default::default() };
    let new = NewObject { attributes: attributes.clone(), ..NewObject::default() };
    let copied = world.objects.copy(source, "b", "k", new, &Condition::None).await.unwrap();
    assert_eq!(copied.attributes, attributes);
    assert_eq!(copied.modified_ms, 1_700_000_005_000);
    assert_eq!(world.blobs.list().await.unwrap(), before);
    assert_eq!(world.get("k").await, b"bytes");
}

#[tokio::test]
async fn tags_change_without_the_object() {
    let world = world().await;
    let meta = world.put("k", b"bytes").await;
    let tags = Tags::from([("breed".to_owned(), "beagle".to_owned())]);
    world.objects.tag("b", "k", tags.clone()).await.unwrap();
    let tagged = world.objects.head("b", "k").await.unwrap();
    assert_eq!(tagged, ObjectMeta { tags: tags.clone(), ..meta });
    world.objects.tag_bucket("b", tags.clone()).await.unwrap();
    assert_eq!(world.objects.bucket("b").await.unwrap().tags, tags);
}

#[tokio::test]
async fn a_bucket_is_deleted_empty_and_with_its_unfinished_uploads() {
    let world = world().await;
    world.put("k", b"bytes").await;
    let upload = world.objects.create_upload("b", "u", NewUpload::default()).await.unwrap();
    let received = world.receive(b"part").await;
    world.objects.put_part("b", "u", &upload.id, 1, received, None).await.unwrap();
    assert!(matches!(world.objects.delete_bucket("b").await, Err(Error::BucketNotEmpty(_))));
    world.put("k2", b"the bucket still takes objects").await;
    for key in ["k", "k2"] {
        world.objects.delete("b", key, &Condition::None).await.unwrap();
    }
    world.objects.delete_bucket("b").await.unwrap();
    assert_eq!(world.blob_count().await, 0);
    assert!(!world.objects.bucket_exists("b").await.unwrap());
    assert!(matches!(world.objects.delete_bucket("b").await, Err(Error::NoSuchBucket(_))));
    world.objects.create_bucket("b", Tags::new()).await.unwrap();
    assert!(matches!(
        world.objects.create_bucket("b", Tags::new()).await,
        Err(Error::BucketExists(_))
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_object_outlives_the_deletion_of_its_bucket() {
    for _ in 0..200 {
        let world = Arc::new(world().await);
        let put = tokio::spawn({
            let world = world.clone();
            async move { world.put_if("k", b"bytes", &Condition::None).await }
        });
        let deleted = tokio::spawn({
            let world = world.clone();
            async move { world.objects.delete_bucket("b").await }
        });
        let (put, deleted) = (put.await.unwrap(), deleted.await.unwrap());
        let exists = world.objects.bucket_exists("b").await.unwrap();
        match (put.is_ok(), deleted.is_ok()) {
            (true, true) => panic!("an acknowledged object is gone"),
            (true, false) => assert_eq!(world.get("k").await, b"bytes"),
            (false, true) => assert!(!exists && world.blob_count().await == 0),
            (false, false) => assert!(exists),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_see_whole_bodies_whatever_writers_and_deleters_do() {
    let world = Arc::new(world().await);
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..4_u8 {
        let writing = world.clone();
        tasks.spawn(async move {
            let world = writing;
            for round in 0..100_usize {
                world.put("k", &vec![writer; 1500 + round]).await;
                if round % 7 == 0 {
                    world.objects.delete("b", "k", &Condition::None).await.unwrap();
                }
            }
        });
        let reading = world.clone();
        tasks.spawn(async move {
            let world = reading;
            for _ in 0..200 {
                let download = match world.objects.open("b", "k").await {
                    Ok(download) => download,
                    Err(Error::NoSuchKey(_)) => continue,
                    Err(error) => panic!("{error}"),
                };
                let size = download.meta.size;
                let body = read(download, 0..size).await;
                assert_eq!(body.len() as u64, size);
                assert!(body.iter().all(|byte| *byte == body[0]));
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let left = world.objects.list("b", "", None, 10).await.unwrap().len();
    world.objects.delete_blobs(world.objects.leases.freed()).await;
    assert_eq!(world.blob_count().await, left);
}

#[tokio::test]
async fn the_sweep_removes_what_nobody_names_and_nothing_else() {
    let world = world().await;
    world.put("k", b"named").await;
    let upload = world.objects.create_upload("b", "u", NewUpload::default()).await.unwrap();
    let received = world.receive(b"part").await;
    world.objects.put_part("b", "u", &upload.id, 1, received, None).await.unwrap();
    let mut orphan = world.blobs.stage().await.unwrap();
    orphan.write(Bytes::from_static(b"orphan")).await.unwrap();
    orphan.commit(6).await.unwrap();
    assert_eq!(world.objects.sweep().await.unwrap(), 1);
    assert_eq!(world.objects.sweep().await.unwrap(), 0);
    assert_eq!(world.get("k").await, b"named");
    assert_eq!(world.blob_count().await, 2);
}

#[tokio::test]
async fn the_sweep_waits_for_writers_under_way() {
    let world = world().await;
    world.put("other", b"bytes").await;
    let received = world.receive(b"under way").await;
    let sweep = tokio::spawn({
        let objects = world.objects.clone();
        async move { objects.sweep().await }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!sweep.is_finished());
    let new = NewObject::default();
    world.objects.put("b", "k", received, new, &Condition::None).await.unwrap();
    assert_eq!(sweep.await.unwrap().unwrap(), 0);
    assert_eq!(world.get("k").await, b"under way");
}

//! The server killed before and after every effect on the stores: what was acknowledged is there,
//! what was under way is there whole or not at all, and the sweep leaves no byte over.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use kennel_store::{
    BlobId, Blobs, Reader, Record, Records, Revision, Staged, Write, blobs, records,
};
use tokio::sync::{Notify, watch};

use super::*;

/// Burns down with every effect, and stops everything before or after the one it is set to.
struct Fuse {
    effects_left: AtomicUsize,
    stops_before: bool,
    burnt: AtomicBool,
    stopped: Notify,
}

impl Fuse {
    async fn around<T>(&self, effect: impl Future<Output = T>) -> T {
        let left = self.effects_left.fetch_sub(1, Ordering::SeqCst);
        if left == 0 && self.stops_before {
            return self.stop().await;
        }
        let result = effect.await;
        if left == 0 { self.stop().await } else { result }
    }

    async fn stop<T>(&self) -> T {
        self.burnt.store(true, Ordering::SeqCst);
        self.stopped.notify_one();
        futures::future::pending().await
    }
}

struct Fused<S> {
    store: S,
    fuse: Arc<Fuse>,
}

#[async_trait]
impl Records for Fused<Arc<MemoryRecords>> {
    async fn get(&self, table: &'static str, key: &str) -> Result<Option<Record>, records::Error> {
        self.store.get(table, key).await
    }

    async fn list(
        &self,
        table: &'static str,
        prefix: &str,
        start_after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Record>, records::Error> {
        self.store.list(table, prefix, start_after, limit).await
    }

    async fn commit(&self, writes: Vec<Write>) -> Result<Revision, records::Error> {
        self.fuse.around(self.store.commit(writes)).await
    }

    fn watch(&self, table: &'static str) -> watch::Receiver<Revision> {
        self.store.watch(table)
    }
}

#[async_trait]
impl Blobs for Fused<Arc<MemoryBlobs>> {
    async fn stage(&self) -> Result<Box<dyn Staged>, blobs::Error> {
        let staged = self.store.stage().await?;
        Ok(Box::new(Fused { store: staged, fuse: self.fuse.clone() }))
    }

    async fn length(&self, id: &BlobId) -> Result<u64, blobs::Error> {
        self.store.length(id).await
    }

    async fn read(&self, id: &BlobId, range: Range<u64>) -> Result<Reader, blobs::Error> {
        self.store.read(id, range).await
    }

    async fn delete(&self, id: &BlobId) -> Result<(), blobs::Error> {
        self.fuse.around(self.store.delete(id)).await
    }

    async fn list(&self) -> Result<Vec<BlobId>, blobs::Error> {
        self.store.list().await
    }
}

#[async_trait]
impl Staged for Fused<Box<dyn Staged>> {
    async fn write(&mut self, chunk: Bytes) -> Result<(), blobs::Error> {
        self.store.write(chunk).await
    }

    async fn commit(self: Box<Self>, length: u64) -> Result<BlobId, blobs::Error> {
        let Self { store, fuse } = *self;
        fuse.around(store.commit(length)).await
    }
}

/// Keys and bodies of the bucket `b`, or no bucket.
type State = Option<BTreeMap<String, Vec<u8>>>;

/// Steps with what is to be there after each.
async fn step(objects: &Objects, number: usize, upload: &mut String) -> Option<State> {
    let put = |key: &'static str, body: &'static [u8]| async move {
        let received = objects.receive(&mut chunks(body), &[], u64::MAX).await.unwrap();
        let new = NewObject::default();
        objects.put("b", key, received, new, &Condition::None).await.unwrap();
    };
    let part = |id: String, body: &'static [u8]| async move {
        let algorithms = [Algorithm::Crc64Nvme];
        let received = objects.receive(&mut chunks(body), &algorithms, u64::MAX).await.unwrap();
        objects.put_part("b", "a", &id, 1, received, None).await.unwrap().etag
    };
    let delete = |key: &'static str| async move {
        objects.delete("b", key, &Condition::None).await.unwrap();
    };
    let state = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, body)| ((*key).to_owned(), body.as_bytes().to_vec()));
        Some(Some(pairs.collect()))
    };
    match number {
        0 => {
            objects.create_bucket("b", Tags::new()).await.unwrap();
            state(&[])
        }
        1 => {
            put("a", b"first").await;
            state(&[("a", "first")])
        }
        2 => {
            put("a", b"second").await;
            state(&[("a", "second")])
        }
        3 => {
            *upload = objects.create_upload("b", "a", NewUpload::default()).await.unwrap().id;
            part(upload.clone(), b"lost part").await;
            state(&[("a", "second")])
        }
        4 => {
            let etag = part(upload.clone(), b"parts").await;
            let parts = vec![CompletedPart { number: 1, etag, checksum: None }];
            let completion = Completion { parts, ..Completion::default() };
            objects.complete("b", "a", upload, &completion).await.unwrap();
            state(&[("a", "parts")])
        }
        5 => {
            put("c", b"other").await;
            state(&[("a", "parts"), ("c", "other")])
        }
        6 => {
            delete("a").await;
            state(&[("c", "other")])
        }
        7 => {
            let forgotten = objects.create_upload("b", "a", NewUpload::default()).await.unwrap();
            part(forgotten.id, b"forgotten").await;
            delete("c").await;
            state(&[])
        }
        8 => {
            objects.delete_bucket("b").await.unwrap();
            Some(None)
        }
        _ => None,
    }
}

async fn found(objects: &Objects) -> State {
    if !objects.bucket_exists("b").await.unwrap() {
        return None;
    }
    let mut state = BTreeMap::new();
    for listed in objects.list("b", "", None, 100).await.unwrap() {
        let download = objects.open("b", &listed.key).await.unwrap();
        state.insert(listed.key, read(download, 0..u64::MAX).await);
    }
    Some(state)
}

/// Runs the steps until the fuse is burnt; whether it was.
async fn killed_at(effect: usize, stops_before: bool) -> bool {
    let fuse = Arc::new(Fuse {
        effects_left: AtomicUsize::new(effect),
        stops_before,
        burnt: AtomicBool::new(false),
        stopped: Notify::new(),
    });
    let records = Arc::new(MemoryRecords::new());
    let blobs = Arc::new(MemoryBlobs::new());
    let streams = Arc::new(MemoryStreams::new());
    let clock = Arc::new(ManualClock::at_ms(0));
    let objects = Objects::new(Backends {
        records: Arc::new(Fused { store: records.clone(), fuse: fuse.clone() }),
        blobs: Arc::new(Fused { store: blobs.clone(), fuse: fuse.clone() }),
        streams: streams.clone(),
        clock: clock.clone(),
    });
    let (mut number, mut upload) = (0, String::new());
    let mut acknowledged: State = None;
    loop {
        let next = tokio::select! {
            biased;
            () = fuse.stopped.notified() => break,
            next = step(&objects, number, &mut upload) => next,
        };
        let Some(state) = next else { break };
        acknowledged = state;
        number += 1;
    }
    drop(objects);

    let objects = Objects::new(Backends { records, blobs: blobs.clone(), streams, clock });
    objects.sweep().await.unwrap();
    let left = found(&objects).await;
    let burnt = fuse.burnt.load(Ordering::SeqCst);
    if left != acknowledged {
        // Then the step under way was done, though nobody was told.
        assert!(burnt, "{left:?} instead of {acknowledged:?}");
        let whole = match step_states().await.get(number) {
            Some(state) => state.clone(),
            None => panic!("no step {number}"),
        };
        assert_eq!(left, whole, "effect {effect}, before it: {stops_before}");
    }
    // Every blob is one of an object or of an upload that can still be completed.
    let uploads = UploadsRequest { limit: 100, ..UploadsRequest::default() };
    let mut named = left.iter().flatten().count();
    if left.is_some() {
        for upload in objects.list_uploads("b", &uploads).await.unwrap().uploads {
            named += objects.list_parts("b", "a", &upload.id, 0, 100).await.unwrap().1.len();
        }
    }
    assert_eq!(blobs.list().await.unwrap().len(), named, "effect {effect}");
    burnt
}

/// What each step leaves behind where nothing is killed.
async fn step_states() -> Vec<State> {
    let objects = Objects::new(Backends {
        records: Arc::new(MemoryRecords::new()),
        blobs: Arc::new(MemoryBlobs::new()),
        streams: Arc::new(MemoryStreams::new()),
        clock: Arc::new(ManualClock::at_ms(0)),
    });
    let (mut states, mut upload) = (Vec::new(), String::new());
    while let Some(state) = step(&objects, states.len(), &mut upload).await {
        assert_eq!(found(&objects).await, state);
        states.push(state);
    }
    states
}

#[tokio::test]
async fn a_kill_at_any_effect_loses_nothing_acknowledged_and_leaves_nothing_over() {
    for stops_before in [true, false] {
        let mut effect = 0;
        while killed_at(effect, stops_before).await {
            effect += 1;
        }
        assert!(effect > 20, "only {effect} effects were seen");
    }
}

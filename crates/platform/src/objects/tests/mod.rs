//! On in-memory stores.

mod basics;
mod crash;
mod listing;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kennel_store::Blobs as _;
use kennel_store::memory::{MemoryBlobs, MemoryRecords, MemoryStreams};

use super::*;
use crate::clock::ManualClock;

struct World {
    objects: Arc<Objects>,
    blobs: Arc<MemoryBlobs>,
    clock: Arc<ManualClock>,
}

async fn world() -> World {
    let blobs = Arc::new(MemoryBlobs::new());
    let clock = Arc::new(ManualClock::at_ms(1_700_000_000_000));
    let backends = Backends {
        records: Arc::new(MemoryRecords::new()),
        blobs: blobs.clone(),
        streams: Arc::new(MemoryStreams::new()),
        clock: clock.clone(),
    };
    let objects = Arc::new(Objects::new(backends));
    objects.create_bucket("b", Tags::new()).await.unwrap();
    World { objects, blobs, clock }
}

impl World {
    async fn put(&self, key: &str, body: &[u8]) -> ObjectMeta {
        self.put_if(key, body, &Condition::None).await.unwrap()
    }

    async fn put_if(
        &self,
        key: &str,
        body: &[u8],
        condition: &Condition,
    ) -> Result<ObjectMeta, Error> {
        let received = self.receive(body).await;
        self.objects.put("b", key, received, NewObject::default(), condition).await
    }

    async fn receive(&self, body: &[u8]) -> Received {
        let algorithms = [Algorithm::Crc32, Algorithm::Crc64Nvme];
        self.objects.receive(&mut chunks(body), &algorithms, u64::MAX).await.unwrap()
    }

    async fn get(&self, key: &str) -> Vec<u8> {
        let download = self.objects.open("b", key).await.unwrap();
        read(download, 0..u64::MAX).await
    }

    async fn blob_count(&self) -> usize {
        self.blobs.list().await.unwrap().len()
    }
}

async fn read(download: Download, range: std::ops::Range<u64>) -> Vec<u8> {
    let body = download.read(range).await.unwrap();
    let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
    chunks.concat()
}

fn chunks(body: &[u8]) -> Body<'static> {
    let chunks: Vec<_> = body.chunks(1000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks).boxed()
}

/// Repeatable pseudo-random numbers (xorshift), so that a failure can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

//! A queue that remembers what was published through it, and runs of no-op items to publish.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use swath_backends::{
    Result,
    open::Doors,
    queue::{Lane, Queue, Receiver},
};
use swath_coordinator::freeze;
use swath_proto::{
    envelope,
    ids::RunId,
    item::Place,
    keys,
    run::{RunRecord, ScalePlan},
};

use crate::site::{Site, pipeline};

pub struct Counted {
    inner: Arc<dyn Queue>,
    published: Arc<Mutex<Vec<(RunId, Place)>>>,
}

/// What went through the queues of all clones.
#[derive(Clone, Default)]
pub struct Published(Arc<Mutex<Vec<(RunId, Place)>>>);

impl Published {
    /// The same doors, with a queue that counts.
    pub fn through(&self, doors: &Doors) -> Doors {
        let queue = Counted { inner: doors.queue.clone(), published: self.0.clone() };
        Doors { queue: Arc::new(queue), ..doors.clone() }
    }

    /// How often each place of a run was published.
    pub fn of(&self, run: &RunId) -> BTreeMap<Place, usize> {
        let mut times = BTreeMap::new();
        for (of, place) in self.0.lock().expect("no panic").iter() {
            if of == run {
                *times.entry(*place).or_default() += 1;
            }
        }
        times
    }
}

#[async_trait]
impl Queue for Counted {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        let items = messages.iter().map(|message| envelope::decode(message).expect("an item"));
        let names: Vec<_> = items.map(|item| (item.run, item.place)).collect();
        self.published.lock().expect("no panic").extend(names);
        self.inner.publish(lane, messages).await
    }

    async fn receive(&self, lane: Lane, slots: usize) -> Result<Box<dyn Receiver>> {
        self.inner.receive(lane, slots).await
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        self.inner.waiting(lane).await
    }

    async fn purge(&self, lane: Lane) -> Result<()> {
        self.inner.purge(lane).await
    }
}

/// The record of a pipeline over the common scene, as `submit` would write it; nothing is written.
pub async fn frozen(site: &Site, doors: &Doors) -> RunRecord {
    // What the program does at its start: without it GDAL would look for the bucket elsewhere.
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let file = pipeline(site, "item_px = 64", "");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    let source = freeze::Source { text, folder: site.path(""), rerun: None };
    freeze::freeze(&source, &doors.blobs).await.expect("freezing").record
}

/// A run of items that do nothing, under the root.
pub async fn noops(site: &Site, doors: &Doors, name: &str, noops: u32) -> RunId {
    let run: RunId = format!("{name}-{:08x}", rand::random::<u32>()).parse().expect("a run's name");
    let record = RunRecord {
        run: run.clone(),
        stages: Vec::new(),
        scenes: Vec::new(),
        scale: ScalePlan::Given,
        noops,
        ..frozen(site, doors).await
    };
    put(doors, &record).await;
    run
}

pub async fn put(doors: &Doors, record: &RunRecord) {
    doors.blobs.put(&keys::run_record(&record.run), record.to_json().into()).await.expect("writing run.json");
}

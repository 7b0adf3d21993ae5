//! What a run has made, read back from its root by those who only look.

use anyhow::Context as _;
use swath_backends::{Kind, blobs::SharedBlobs, outside::Outside};
use swath_coordinator::{
    plan::{self, Lot, PlannedScene},
    rebuild,
};
use swath_proto::{
    access::Pass,
    ids::{ItemId, RunId},
    item::Stage,
    keys,
    learn::{ChipSet, Chipped},
    run::RunRecord,
};
use swath_raster::Labels;

use crate::exit::Usage;

/// A run, and its scenes as the surveys found them.
pub(crate) struct Made {
    pub(crate) record: RunRecord,
    lots: Vec<Lot>,
}

/// The keys of a shard's tar and index.
pub(crate) struct ShardKeys {
    pub(crate) tar: String,
    pub(crate) index: String,
}

impl Made {
    pub(crate) async fn of(run: &RunId, root: &SharedBlobs) -> anyhow::Result<Self> {
        let key = keys::run_record(run);
        let json = match root.get(&key).await {
            Err(error) if error.kind == Kind::NotFound => {
                let why = format!("there is no run '{run}' under {}; see: swath status", root.uri(""));
                return Err(Usage(why).into());
            }
            json => json?,
        };
        let record = RunRecord::from_json(&json).with_context(|| format!("reading {key}"))?;
        let mut lots = Vec::new();
        for lot in 0..record.lots() {
            let surveyed = rebuild::surveyed(&record, lot, root).await?;
            lots.push(Lot::new(&record, lot, surveyed));
        }
        Ok(Self { record, lots })
    }

    /// Those that are predicted.
    pub(crate) fn scenes(&self) -> impl Iterator<Item = &PlannedScene> {
        self.lots.iter().flat_map(|lot| &lot.scenes)
    }

    /// What GDAL has to know to read the scenes, and what was made of them.
    pub(crate) async fn passes(&self, root: &SharedBlobs) -> anyhow::Result<Vec<Pass>> {
        let files: Vec<_> = self.scenes().flat_map(|scene| scene.files.files()).collect();
        let uris = files.iter().map(|file| file.uri.as_str());
        Ok(Outside::new(&self.record.access).passes(uris, &root.uri("")).await?)
    }

    pub(crate) fn class_names(&self) -> Vec<String> {
        self.record.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// `None` where the scene has none.
    pub(crate) fn labels(&self, scene: &PlannedScene) -> anyhow::Result<Option<Labels>> {
        let Some(spec) = &scene.files.labels else { return Ok(None) };
        Ok(Some(Labels::open(spec, &scene.header, &self.record.class_list())?))
    }

    /// The shards that the network is fitted to.
    pub(crate) async fn training_shards(&self, root: &SharedBlobs) -> anyhow::Result<Vec<ShardKeys>> {
        let mut shards = Vec::new();
        for id in self.training_chips() {
            let key = keys::output(Stage::Chip, &id);
            let json = root.get(&key).await.with_context(|| format!("{} cuts chips", self.record.run))?;
            let Chipped::V1 { shard, index, .. } =
                serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
            if let (Some(tar), Some(index)) = (shard, index) {
                shards.push(ShardKeys { tar, index });
            }
        }
        Ok(shards)
    }

    fn training_chips(&self) -> Vec<ItemId> {
        let of_lot = |lot: &Lot| -> Vec<ItemId> {
            let scenes = lot.learnt.iter().filter(|scene| scene.set == ChipSet::Train);
            let indexes = scenes.flat_map(|scene| scene.first..scene.first + scene.n_items);
            indexes.filter_map(|index| Some(plan::chip(&self.record, lot, index)?.id)).collect()
        };
        self.lots.iter().flat_map(of_lot).collect()
    }
}

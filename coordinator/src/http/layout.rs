//! Where the parts of a run's scenes lie: for each scene how many there are and where each stands in the ledger. Parts
//! of all scenes are counted through, so that the states of a million are a string of bytes.

use std::{
    collections::HashMap,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use lru::LruCache;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{
    geometry::SizePx,
    ids::{Digest, RunId, SceneId},
    item::{Place, Stage},
    keys,
    learn::ChipSet,
    run::RunRecord,
    scene::{SceneFiles, SceneHeader},
};
use tokio::sync::Mutex as AsyncMutex;

use crate::{
    plan::{LearntScene, Lot, PlannedScene},
    rebuild,
};

/// Runs that are kept: a large one takes some megabytes.
const KEPT: usize = 8;
/// Surveys that are missing are looked for again after this.
const AGAIN: Duration = Duration::from_secs(2);
/// The record itself is looked at again after this; so is what could not be read, which another worker may read.
const AGAIN_FOUND: Duration = Duration::from_secs(10);
/// Surveys that are read at a time.
const READS: usize = 16;

/// What a scene is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Set {
    Train,
    Validation,
    Predict,
}

/// A scene as the page shows it.
pub(super) struct Shown {
    pub(super) id: SceneId,
    pub(super) set: Set,
    pub(super) lot: u32,
    pub(super) found: Found,
    /// The number of its first part among all of the run's.
    pub(super) first: usize,
    pub(super) n: usize,
}

pub(super) enum Found {
    /// Its survey is not there yet.
    Not,
    Unreadable(String),
    /// Where it stands in its lot.
    AtScene(usize),
    AtLearnt(usize),
}

pub(super) struct Layout {
    pub(super) record: RunRecord,
    lots: HashMap<u32, Lot>,
    pub(super) scenes: Vec<Shown>,
    by_id: HashMap<SceneId, usize>,
    pub(super) n_parts: usize,
    /// Changes when parts are counted in another way.
    pub(super) tag: String,
}

impl Layout {
    fn new(record: RunRecord, lots: HashMap<u32, Lot>, record_digest: &Digest) -> Self {
        let mut this =
            Self { record, lots, scenes: Vec::new(), by_id: HashMap::new(), n_parts: 0, tag: String::new() };
        let mut known = Vec::new();
        for number in 0..this.record.lots() {
            for (ordinal, files) in (0..).zip(this.record.lot(number)) {
                let set = match this.record.learn_scene(number, ordinal).map(|scene| scene.set) {
                    Some(ChipSet::Train) => Set::Train,
                    Some(ChipSet::Validation) => Set::Validation,
                    None => Set::Predict,
                };
                let (found, n) = this.find(number, ordinal, &files);
                known.push(matches!(found, Found::AtScene(_) | Found::AtLearnt(_)));
                let at = this.scenes.len();
                // A scene that is both learnt from and predicted is shown as what was made of it.
                this.by_id.insert(files.id.clone(), at);
                this.scenes.push(Shown { id: files.id, set, lot: number, found, first: this.n_parts, n });
                this.n_parts += n;
            }
        }
        let known: Vec<u8> = known.into_iter().map(u8::from).collect();
        let tag = Digest::of(&[record_digest.to_string().as_bytes(), &known[..]].concat()).to_string();
        this.tag = tag[..16].to_owned();
        this
    }

    fn find(&self, number: u32, ordinal: u32, files: &SceneFiles) -> (Found, usize) {
        let Some(lot) = self.lots.get(&number) else { return (Found::Not, 0) };
        if let Some(at) = lot.scenes.iter().position(|scene| scene.ordinal == ordinal) {
            let n = if self.is_cut() { lot.scenes[at].grid.len() as usize } else { 0 };
            return (Found::AtScene(at), n);
        }
        if let Some(at) = lot.learnt.iter().position(|scene| scene.header.id == files.id) {
            return (Found::AtLearnt(at), lot.learnt[at].n_items as usize);
        }
        let why = lot.unreadable.iter().find(|(id, _)| id == files.id.as_str());
        let why = why.map_or("its survey does not name it", |(_, why)| why.as_str());
        (Found::Unreadable(why.to_owned()), 0)
    }

    /// It is known into which parts scenes are cut: how large they are is pinned when workers have been measured.
    fn is_cut(&self) -> bool {
        let plan = &self.record.predict;
        self.record.has(Stage::Predict) && plan.class.is_some() && plan.item_px.is_some()
    }

    pub(super) fn scene(&self, id: &SceneId) -> Option<&Shown> {
        self.scenes.get(*self.by_id.get(id)?)
    }

    pub(super) fn planned(&self, shown: &Shown) -> Option<&PlannedScene> {
        match shown.found {
            Found::AtScene(at) => self.lots.get(&shown.lot)?.scenes.get(at),
            _ => None,
        }
    }

    fn learnt(&self, shown: &Shown) -> Option<&LearntScene> {
        match shown.found {
            Found::AtLearnt(at) => self.lots.get(&shown.lot)?.learnt.get(at),
            _ => None,
        }
    }

    /// The scene's header and files, once it is surveyed.
    pub(super) fn source(&self, shown: &Shown) -> Option<(&SceneHeader, &SceneFiles)> {
        let planned = self.planned(shown).map(|scene| (&scene.header, &scene.files));
        planned.or_else(|| self.learnt(shown).map(|scene| (&scene.header, &scene.files)))
    }

    pub(super) fn size(&self, shown: &Shown) -> Option<SizePx> {
        self.source(shown).map(|(header, _)| header.size)
    }

    /// Columns and rows of its parts: those of a scene to learn from are a row, since they lie on no grid.
    pub(super) fn grid(&self, shown: &Shown) -> (u32, u32) {
        match self.planned(shown).filter(|_| shown.n > 0) {
            Some(scene) => (scene.grid.cols(), scene.grid.rows()),
            None => (shown.n as u32, u32::from(shown.n > 0)),
        }
    }

    /// Where the parts of a scene stand, row by row.
    pub(super) fn places<'a>(&'a self, shown: &'a Shown) -> Box<dyn Iterator<Item = Place> + 'a> {
        if let Some(scene) = self.planned(shown).filter(|_| shown.n > 0) {
            let (cols, rows) = (scene.grid.cols(), scene.grid.rows());
            let cells = (0..rows).flat_map(move |row| (0..cols).map(move |col| (col, row)));
            let index = move |(col, row)| scene.grid.index_of(col, row);
            let place = move |index: u32| Place::new(Stage::Predict, shown.lot, scene.first + index);
            return Box::new(cells.filter_map(index).map(place));
        }
        match self.learnt(shown) {
            Some(scene) => {
                let indexes = scene.first..scene.first + scene.n_items;
                Box::new(indexes.map(move |index| Place::new(Stage::Chip, shown.lot, index)))
            }
            None => Box::new(std::iter::empty()),
        }
    }

    /// The scene's own place in a stage, and that of the item that sees to it.
    pub(super) fn own(&self, shown: &Shown, stage: Stage) -> Option<(Place, Place)> {
        let scene = self.planned(shown)?;
        let maker = self.lots.get(&shown.lot)?.maker(stage, scene);
        Some((Place::new(stage, shown.lot, scene.ordinal), maker))
    }
}

/// Those that were looked at last.
pub(super) struct Layouts(Mutex<LruCache<RunId, Arc<AsyncMutex<Option<Kept>>>>>);

impl Default for Layouts {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN))))
    }
}

struct Kept {
    layout: Arc<Layout>,
    record: Digest,
    looked: Instant,
}

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        let layout = &self.layout;
        let waits = |scene: &Shown| matches!(scene.found, Found::Not);
        let is_settled =
            (layout.is_cut() || !layout.record.has(Stage::Predict)) && !layout.scenes.iter().any(waits);
        let rest = if is_settled { AGAIN_FOUND } else { AGAIN };
        now.duration_since(self.looked) < rest
    }
}

impl Layouts {
    /// None where there is no such run. Who asks for one that is being laid out waits, and has it.
    pub(super) async fn of(&self, run: &RunId, blobs: &SharedBlobs) -> anyhow::Result<Option<Arc<Layout>>> {
        let of_run = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert(run.clone(), Arc::default).clone()
        };
        let mut kept = of_run.lock().await;
        let now = Instant::now();
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_fresh(now)) {
            return Ok(Some(kept.layout.clone()));
        }
        let json = match blobs.get(&keys::run_record(run)).await {
            Err(error) if error.kind == Kind::NotFound => return Ok(None),
            json => json?,
        };
        let digest = Digest::of(&json);
        if let Some(known) = kept.as_mut().filter(|kept| kept.record == digest)
            && known
                .layout
                .scenes
                .iter()
                .all(|scene| !matches!(scene.found, Found::Not | Found::Unreadable(_)))
        {
            known.looked = now;
            return Ok(Some(known.layout.clone()));
        }
        let record = RunRecord::from_json(&json)?;
        let lots = surveyed(&record, blobs).await;
        let layout = Arc::new(Layout::new(record, lots, &digest));
        *kept = Some(Kept { layout: layout.clone(), record: digest, looked: now });
        Ok(Some(layout))
    }
}

/// Lots whose survey is there.
async fn surveyed(record: &RunRecord, blobs: &SharedBlobs) -> HashMap<u32, Lot> {
    use futures::StreamExt as _;
    let reads = futures::stream::iter(0..record.lots()).map(|lot| async move {
        let surveyed = rebuild::surveyed(record, lot, blobs).await.ok()?;
        Some((lot, Lot::new(record, lot, surveyed)))
    });
    reads.buffer_unordered(READS).filter_map(async |lot| lot).collect().await
}

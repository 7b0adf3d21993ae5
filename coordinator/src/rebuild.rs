//! What exists already: found by listing keys, so that a ledger that was lost, or a run that wants
//! what another run has made, costs a listing and no work.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::{Kind, blobs::SharedBlobs, ledger::Ledger};
use swath_geo::stats::{Analyzed, PartialStats};
use swath_proto::{
    ids::{ItemId, SceneId},
    item::{EvalPart, Item, Place, Stage, Weights, Work},
    keys,
    learn::Trained,
    numeric::Probed,
    outcome::Buried,
    run::{RunRecord, ScaleStatistics},
    scene::{Surveyed, SurveyedScene},
    score::SceneScores,
    vectors::VectorFormat,
};

use crate::plan::{self, Lot};

/// Listings under way at a time: a store gives a thousand keys an answer, and takes its time for each.
const LISTINGS: usize = 32;

/// Items that are named between two pauses, in which others have their turn: some ten milliseconds.
const NAMED_AT_ONCE: usize = 500;

/// Ids of the items whose output lies under the root, whoever made it: 16 bytes each.
#[derive(Default)]
pub struct Existing(BTreeMap<Stage, Vec<ItemId>>);

impl Existing {
    pub async fn list(blobs: &SharedBlobs) -> anyhow::Result<Self> {
        let lists = keys::output_prefixes().map(|prefix| {
            blobs.list(&prefix).try_fold(Self::default(), async |mut found, object| {
                if let Some((stage, id)) = keys::parse_output(&object.key) {
                    found.0.entry(stage).or_default().push(id);
                }
                Ok(found)
            })
        });
        // One after another, so that what is in order stays in order.
        let mut lists = std::pin::pin!(futures::stream::iter(lists).buffered(LISTINGS));
        let mut all = BTreeMap::<Stage, Vec<ItemId>>::new();
        while let Some(found) = lists.try_next().await.context("listing the outputs under the root")? {
            for (stage, ids) in found.0 {
                all.entry(stage).or_default().extend(ids);
            }
        }
        Ok(Self::of(all))
    }

    fn of(mut all: BTreeMap<Stage, Vec<ItemId>>) -> Self {
        for ids in all.values_mut() {
            ids.sort_unstable();
            ids.shrink_to_fit();
        }
        Self(all)
    }

    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn has(&self, stage: Stage, id: ItemId) -> bool {
        self.0.get(&stage).is_some_and(|ids| ids.binary_search(&id).is_ok())
    }

    /// The many: parts of scenes. What else there is stays.
    pub(crate) fn forget_parts(&mut self) {
        self.0.retain(|stage, _| !matches!(stage, Stage::Analyze | Stage::Chip | Stage::Predict));
    }

    /// Whether an item need not be done. `has_failed` says of a scene's own place whether its item does without it.
    pub(crate) async fn is_made(
        &self,
        item: &Item,
        blobs: &SharedBlobs,
        has_failed: impl Fn(Place) -> bool,
    ) -> anyhow::Result<bool> {
        if !self.has(item.place.stage, item.id) {
            return Ok(false);
        }
        let Some(files) = written(item, &has_failed) else { return Ok(false) };
        if !all_there(files, blobs).await? {
            return Ok(false);
        }
        let Work::EvalScenes(work) = &item.work else { return Ok(true) };
        let own = |part: &EvalPart| Place::new(Stage::Eval, item.place.lot, part.ordinal);
        let left = work.scenes.iter().filter(|part| !has_failed(own(part)));
        are_scored(item, left.map(|part| &part.scene.id).collect(), blobs).await
    }

    /// Which of a lot's items need not be done.
    pub async fn of_lot(
        &self,
        record: &RunRecord,
        lot: &Lot,
        blobs: &SharedBlobs,
    ) -> anyhow::Result<Vec<Place>> {
        let mut found = Vec::new();
        if self.is_empty() {
            return Ok(found);
        }
        let analyze = (0..lot.n_analyze()).map(|index| plan::analyze(record, lot, index));
        let chip = (0..lot.n_chip()).map(|index| plan::chip(record, lot, index));
        let predict = (0..lot.n_predict(record)).map(|index| plan::predict(record, lot, index));
        let of_scenes = |stage| lot.dependents(record, stage).into_iter().map(|place: Place| place.index);
        let assemble =
            of_scenes(Stage::Assemble).map(|ordinal| Some(plan::assemble(record, lot, ordinal)?.0));
        // What has failed is not known here: an item that did without it is taken for one to be done.
        let is_left = |_| true;
        let vectorize = of_scenes(Stage::Vectorize).map(|index| plan::vectorize(record, lot, index, is_left));
        let eval = of_scenes(Stage::Eval).map(|index| plan::eval(record, lot, index, is_left));
        let items = analyze.chain(chip).chain(predict).chain(assemble).chain(vectorize).chain(eval);
        for (nth, item) in items.flatten().enumerate() {
            if nth % NAMED_AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            if self.is_made(&item, blobs, |_| false).await? {
                found.push(item.place);
            }
        }
        Ok(found)
    }
}

/// What has to lie there of an item whose output was listed; none where the item is always looked at again.
/// Records name files that a person may have taken away since. An item of several scenes is made anew once one
/// that failed is replayed, and its record goes then, though the listing still has it.
fn written(item: &Item, has_failed: impl Fn(Place) -> bool) -> Option<Vec<String>> {
    let is_left = |stage, ordinal| !has_failed(Place::new(stage, item.place.lot, ordinal));
    let vectors = |stem: String, formats: &[VectorFormat]| -> Vec<String> {
        formats.iter().map(|format| format!("{stem}.{}", format.extension())).collect()
    };
    let mut files = match &item.work {
        Work::Analyze(_) | Work::Chip(_) | Work::Predict(_) | Work::Eval(_) => return Some(Vec::new()),
        Work::Assemble(work) => {
            let beside = [&work.scores_output, &work.confidence_output].into_iter().flatten();
            return Some([&work.output].into_iter().chain(beside).cloned().collect());
        }
        Work::Vectorize(work) => return Some(vectors(work.output.clone(), &work.plan.formats)),
        Work::PredictScenes(work) => {
            let left = work.scenes.iter().filter(|part| is_left(Stage::Assemble, part.ordinal));
            let ids: Vec<&SceneId> = left.map(|part| &part.scene.id).collect();
            let scores = ids.iter().filter(|_| work.scores).map(|id| keys::scores(&item.run, id));
            let sure = ids.iter().filter(|_| work.confidence).map(|id| keys::confidence(&item.run, id));
            ids.iter().map(|id| keys::prediction(&item.run, id)).chain(scores).chain(sure).collect()
        }
        Work::EvalScenes(_) => Vec::new(),
        Work::Merge(work) => vectors(work.output.clone(), &work.plan.formats),
        Work::VectorizeScenes(work) => {
            let left = work.scenes.iter().filter(|part| is_left(Stage::Vectorize, part.ordinal));
            let stems = left.map(|part| keys::vectors(&item.run, &part.scene.id));
            stems.flat_map(|stem| vectors(stem, &work.plan.formats)).collect()
        }
        _ => return None,
    };
    files.push(keys::item_output(item));
    Some(files)
}

async fn all_there(files: Vec<String>, blobs: &SharedBlobs) -> anyhow::Result<bool> {
    let heads = files.into_iter().map(|key| {
        let blobs = blobs.clone();
        async move { blobs.head(&key).await }
    });
    let mut heads = futures::stream::iter(heads).buffer_unordered(LISTINGS);
    while let Some(head) = heads.try_next().await? {
        if head.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether an evaluation has the scores of these scenes: a run that wants the same may have done without some.
async fn are_scored(item: &Item, scenes: Vec<&SceneId>, blobs: &SharedBlobs) -> anyhow::Result<bool> {
    let json = match blobs.get(&keys::item_output(item)).await {
        Err(error) if error.kind == Kind::NotFound => return Ok(false),
        json => json.context("reading scores")?,
    };
    let scores = serde_json::from_slice::<SceneScores>(&json);
    Ok(scores.is_ok_and(|scores| scenes.into_iter().all(|id| scores.has(id))))
}

/// Fills a ledger that has never heard of the run, or has lost it, with what the run's plan follows from. What
/// else exists is found item by item, when its turn comes to be published: so work begins before all is looked
/// at.
pub async fn restore(
    record: &mut RunRecord,
    blobs: &SharedBlobs,
    ledger: &dyn Ledger,
    existing: &Existing,
) -> anyhow::Result<u64> {
    let folder = keys::buried_of(&record.run);
    let graves: Vec<_> = blobs.list(&folder).try_collect().await.context("listing buried items")?;
    let place = |key: &str| key.strip_prefix(&folder)?.strip_suffix(".json")?.parse::<Place>().ok();
    let buried: HashSet<Place> = graves.iter().filter_map(|grave| place(&grave.key)).collect();
    let mut done = Vec::new();
    let mut learnt = Vec::new();
    for lot in 0..record.lots() {
        if lot == record.learn_lots() {
            // What comes now is planned with the weights that all before it have led to.
            restore_model(record, blobs, existing, (&learnt[..], &buried), &mut done).await?;
        }
        let survey = plan::survey(record, lot);
        if !record.has(Stage::Survey) || !existing.has(Stage::Survey, survey.id) {
            continue;
        }
        let surveyed = surveyed(record, lot, blobs).await?;
        if surveyed.iter().any(SurveyedScene::is_unreadable) {
            // What one fleet could not read, another may: this verdict is not for ever.
            blobs.delete(&keys::item_output(&survey)).await?;
            continue;
        }
        done.push(survey.place);
        if lot < record.learn_lots() {
            // The training is named by its chips.
            let lot = Lot::new(record, lot, surveyed);
            done.extend(existing.of_lot(record, &lot, blobs).await?);
            learnt.push(lot);
        }
    }
    if record.lots() == record.learn_lots() {
        restore_model(record, blobs, existing, (&learnt[..], &buried), &mut done).await?;
    }
    // The graves first: what comes after them makes the run known.
    for grave in graves {
        let json = blobs.get(&grave.key).await?;
        match serde_json::from_slice(&json) {
            Ok(Buried { place, attempts, failure, .. }) => {
                ledger.bury(&record.run, place, attempts, &failure).await?;
            }
            Err(error) => {
                tracing::warn!(key = grave.key, %error, "a buried item can't be read and is left out")
            }
        }
    }
    ledger.restore(&record.run, &done).await?;
    Ok(done.len() as u64)
}

/// Weights that were trained, and the numeric class that was found, so far as they exist.
async fn restore_model(
    record: &mut RunRecord,
    blobs: &SharedBlobs,
    existing: &Existing,
    (learnt, buried): (&[Lot], &HashSet<Place>),
    done: &mut Vec<Place>,
) -> anyhow::Result<()> {
    let are_done: HashSet<Place> = done.iter().copied().collect();
    let is_done = |place: Place| are_done.contains(&place);
    if record.has(Stage::Train) {
        // As the board has it.
        let may_come = record.trains_with_chips();
        let is_learnt_from = |place: Place| is_done(place) || (may_come && !buried.contains(&place));
        let trained = plan::train(record, learnt.iter(), is_learnt_from)
            .filter(|(item, _)| existing.has(Stage::Train, item.id));
        if let Some((item, _)) = trained {
            pin_weights(record, &item, blobs).await?;
        }
        if record.has_weights() {
            done.push(Place::new(Stage::Train, 0, 0));
        }
    }
    let (probe, _) = plan::probe(record, learnt.iter(), is_done);
    let is_pinned = record.predict.class.is_some();
    if record.has(Stage::Predict)
        && record.has_weights()
        && (is_pinned || existing.has(Stage::Probe, probe.id))
    {
        if !is_pinned {
            pin(record, &probe, blobs).await?;
        }
        done.push(probe.place);
    }
    Ok(())
}

/// Pins the run to the weights that it has trained.
pub async fn pin_weights(record: &mut RunRecord, train: &Item, blobs: &SharedBlobs) -> anyhow::Result<()> {
    if record.has_weights() {
        return Ok(());
    }
    record.predict.model.weights = trained(train, blobs).await?;
    blobs.put(&keys::run_record(&record.run), record.to_json().into()).await.context("writing run.json")?;
    Ok(())
}

/// The weights that a training has made.
pub async fn trained(train: &Item, blobs: &SharedBlobs) -> anyhow::Result<Weights> {
    let key = keys::item_output(train);
    let json = blobs.get(&key).await.context("reading what the training has made")?;
    let Trained::V1 { weights, .. } =
        serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
    Ok(weights)
}

/// Pins the run to the statistics of all that was measured. Says which measurements are gone.
pub async fn pin_statistics(
    record: &mut RunRecord,
    measured: &[Item],
    blobs: &SharedBlobs,
) -> anyhow::Result<Vec<Place>> {
    let mut gone = Vec::new();
    let mut whole: Option<PartialStats> = None;
    for item in measured {
        let key = keys::item_output(item);
        let json = match blobs.get(&key).await {
            Err(error) if error.kind == Kind::NotFound => {
                gone.push(item.place);
                continue;
            }
            json => json.context("reading statistics")?,
        };
        let Analyzed::V1 { statistics } =
            serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
        match &mut whole {
            None => whole = Some(statistics),
            Some(whole) => whole.merge(&statistics).with_context(|| format!("merging {key}"))?,
        }
    }
    if !gone.is_empty() {
        return Ok(gone);
    }
    let mut pinned = ScaleStatistics::default();
    if let Some(whole) = whole {
        for band in whole.statistics()?.bands {
            pinned.means.push(band.mean);
            pinned.stds.push(band.std);
        }
    }
    record.statistics = Some(pinned);
    blobs.put(&keys::run_record(&record.run), record.to_json().into()).await.context("writing run.json")?;
    Ok(gone)
}

/// What the survey of a lot has found.
pub async fn surveyed(
    record: &RunRecord,
    lot: u32,
    blobs: &SharedBlobs,
) -> anyhow::Result<Vec<SurveyedScene>> {
    let key = keys::item_output(&plan::survey(record, lot));
    let json = blobs.get(&key).await.with_context(|| format!("reading the survey of lot {lot}"))?;
    let Surveyed::V1 { scenes } = serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
    anyhow::ensure!(scenes.len() == record.lot(lot).len(), "{key} does not list the scenes of lot {lot}");
    Ok(scenes)
}

/// Pins the run to the numeric class that the probe has found, and sizes its items.
pub async fn pin(record: &mut RunRecord, probe: &Item, blobs: &SharedBlobs) -> anyhow::Result<()> {
    if record.predict.class.is_some() && record.predict.item_px.is_some() {
        return Ok(());
    }
    let key = keys::item_output(probe);
    let json = blobs.get(&key).await.context("reading the probe")?;
    let Probed::V1 { class, seconds_per_window, int8 } =
        serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
    let (core_px, mixing) = (record.predict.window.core_px, record.predict.mixing);
    if record.predict.class.is_none() {
        let shared = match record.predict.item_px {
            Some(item_px) => plan::windows_of(item_px, core_px),
            None => plan::windows_by_speed(seconds_per_window * f64::from(mixing.augment.n())),
        };
        record.predict.shared_windows.get_or_insert(shared);
    }
    let item_px = plan::item_px(core_px, mixing, seconds_per_window).max(record.predict.block_px);
    record.predict.item_px.get_or_insert(item_px);
    if record.predict.class.is_none() {
        // With the ranges, where it computes in 8 bits.
        record.predict.model = class.model.clone();
        record.predict.int8 = int8;
        record.predict.class = Some(class);
    }
    blobs.put(&keys::run_record(&record.run), record.to_json().into()).await.context("writing run.json")?;
    Ok(())
}

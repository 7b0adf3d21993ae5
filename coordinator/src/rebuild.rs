//! What exists already: found by listing keys, so that a ledger that was lost, or a run that wants
//! what another run has made, costs a listing and no work.

use std::collections::HashSet;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::{Kind, blobs::SharedBlobs, ledger::Ledger};
use swath_geo::stats::{Analyzed, PartialStats};
use swath_proto::{
    ids::ItemId,
    item::{Item, Place, Stage, Weights, Work},
    keys,
    learn::Trained,
    numeric::Probed,
    outcome::Buried,
    run::{RunRecord, ScaleStatistics},
    scene::{Surveyed, SurveyedScene},
    vectors::VectorFormat,
};

use crate::plan::{self, Lot};

/// Listings under way at a time.
const LISTINGS: usize = 16;

/// Ids of the items whose output lies under the root, whoever made it.
#[derive(Default)]
pub struct Existing(HashSet<(Stage, ItemId)>);

impl Existing {
    pub async fn list(blobs: &SharedBlobs) -> anyhow::Result<Self> {
        let lists = keys::output_prefixes().map(|prefix| {
            let found = blobs.list(&prefix);
            found.try_filter_map(async |object| Ok(keys::parse_output(&object.key))).try_collect::<Vec<_>>()
        });
        let found: Vec<Vec<_>> = futures::stream::iter(lists)
            .buffer_unordered(LISTINGS)
            .try_collect()
            .await
            .context("listing the outputs under the root")?;
        Ok(Self(found.into_iter().flatten().collect()))
    }

    pub fn has(&self, stage: Stage, id: ItemId) -> bool {
        self.0.contains(&(stage, id))
    }

    /// Which of a lot's items need not be done.
    pub async fn of_lot(
        &self,
        record: &RunRecord,
        lot: &Lot,
        blobs: &SharedBlobs,
    ) -> anyhow::Result<Vec<Place>> {
        let mut found = Vec::new();
        if self.0.is_empty() {
            return Ok(found);
        }
        for index in 0..lot.n_analyze() {
            let item = plan::analyze(record, lot, index);
            found.extend(item.filter(|item| self.has(Stage::Analyze, item.id)).map(|item| item.place));
        }
        for index in 0..lot.n_chip() {
            let Some(item) = plan::chip(record, lot, index) else { continue };
            if self.has(Stage::Chip, item.id) {
                found.push(item.place);
            }
        }
        for index in 0..lot.n_predict(record) {
            let item = plan::predict(record, lot, index);
            let Some(item) = item.filter(|item| self.has(Stage::Predict, item.id)) else { continue };
            if all_there(finished_files(record, &item.work), blobs).await? {
                found.push(item.place);
            }
        }
        for place in lot.dependents(record, Stage::Assemble) {
            let Some((item, _)) = plan::assemble(record, lot, place.index) else { continue };
            // The record of an assembly names a file that a person may have taken away since.
            if let Work::Assemble(work) = &item.work
                && self.has(Stage::Assemble, item.id)
                && blobs.head(&work.output).await?.is_some()
            {
                found.push(place);
            }
        }
        // What has failed is not known here: an item that did without is looked at again, and costs a claim.
        let is_left = |_| true;
        for place in lot.dependents(record, Stage::Vectorize) {
            let Some(item) = plan::vectorize(record, lot, place.index, is_left) else { continue };
            if self.has(Stage::Vectorize, item.id)
                && all_there(vector_files(record, &item.work), blobs).await?
            {
                found.push(place);
            }
        }
        for place in lot.dependents(record, Stage::Eval) {
            let item = plan::eval(record, lot, place.index, is_left);
            found.extend(item.filter(|item| self.has(Stage::Eval, item.id)).map(|item| item.place));
        }
        Ok(found)
    }
}

/// What an item of small scenes writes for people, beside its output.
fn finished_files(record: &RunRecord, work: &Work) -> Vec<String> {
    let Work::PredictScenes(work) = work else { return Vec::new() };
    let ids = || work.scenes.iter().map(|part| &part.scene.id);
    let scores = ids().filter(|_| work.scores).map(|id| keys::scores(&record.run, id));
    ids().map(|id| keys::prediction(&record.run, id)).chain(scores).collect()
}

fn vector_files(record: &RunRecord, work: &Work) -> Vec<String> {
    let files = |stem: String, formats: &[VectorFormat]| -> Vec<String> {
        formats.iter().map(|format| format!("{stem}.{}", format.extension())).collect()
    };
    match work {
        Work::Vectorize(work) => files(work.output.clone(), &work.plan.formats),
        Work::VectorizeScenes(work) => {
            let stems = work.scenes.iter().map(|part| keys::vectors(&record.run, &part.scene.id));
            stems.flat_map(|stem| files(stem, &work.plan.formats)).collect()
        }
        _ => Vec::new(),
    }
}

/// People may have taken files away since.
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

/// Fills a ledger that has never heard of the run, or has lost it.
pub async fn restore(
    record: &mut RunRecord,
    blobs: &SharedBlobs,
    ledger: &dyn Ledger,
    existing: &Existing,
) -> anyhow::Result<u64> {
    let mut done = Vec::new();
    let mut learnt = Vec::new();
    for lot in 0..record.lots() {
        if lot == record.learn_lots() {
            // What comes now is planned with the weights that all before it have led to.
            restore_model(record, blobs, existing, &learnt, &mut done).await?;
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
            let lot = Lot::new(record, lot, surveyed);
            done.extend(existing.of_lot(record, &lot, blobs).await?);
            learnt.push(lot);
            continue;
        }
        if record.predict.class.is_some() || !record.has(Stage::Predict) {
            let lot = Lot::new(record, lot, surveyed);
            done.extend(existing.of_lot(record, &lot, blobs).await?);
        }
    }
    if record.lots() == record.learn_lots() {
        restore_model(record, blobs, existing, &learnt, &mut done).await?;
    }
    // The graves first: what comes after them makes the run known.
    let graves = blobs.list(&keys::buried_of(&record.run));
    let graves: Vec<_> = graves.try_collect().await.context("listing buried items")?;
    for grave in graves {
        let json = blobs.get(&grave.key).await?;
        match serde_json::from_slice(&json) {
            Ok(Buried::V1 { place, attempts, failure }) => {
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
    learnt: &[Lot],
    done: &mut Vec<Place>,
) -> anyhow::Result<()> {
    if record.has(Stage::Train) {
        let is_done = |place| done.contains(&place);
        let trained = plan::train(record, learnt.iter(), is_done)
            .filter(|(item, _)| existing.has(Stage::Train, item.id));
        if let Some((item, _)) = trained {
            pin_weights(record, &item, blobs).await?;
        }
        if record.has_weights() {
            done.push(Place::new(Stage::Train, 0, 0));
        }
    }
    let probe = plan::probe(record);
    if record.has(Stage::Predict) && record.has_weights() && existing.has(Stage::Probe, probe.id) {
        pin(record, blobs).await?;
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
pub async fn pin(record: &mut RunRecord, blobs: &SharedBlobs) -> anyhow::Result<()> {
    if record.predict.class.is_some() && record.predict.item_px.is_some() {
        return Ok(());
    }
    let key = keys::item_output(&plan::probe(record));
    let json = blobs.get(&key).await.context("reading the probe")?;
    let Probed::V1 { class, seconds_per_window } =
        serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
    let core_px = record.predict.window.core_px;
    if record.predict.class.is_none() {
        let shared = match record.predict.item_px {
            Some(item_px) => plan::windows_of(item_px, core_px),
            None => plan::windows_by_speed(seconds_per_window),
        };
        record.predict.shared_windows.get_or_insert(shared);
    }
    record.predict.item_px.get_or_insert(plan::item_px(core_px, seconds_per_window));
    record.predict.class.get_or_insert(class);
    blobs.put(&keys::run_record(&record.run), record.to_json().into()).await.context("writing run.json")?;
    Ok(())
}

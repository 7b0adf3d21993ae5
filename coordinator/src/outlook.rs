//! What a run would do: the items of each stage, how many exist already, what waits for what, and how long
//! it takes where that is known. Writes nothing.

use std::collections::HashSet;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::blobs::SharedBlobs;
use swath_proto::{
    item::{Place, Stage},
    keys,
    learn::{ChipSet, Chipped},
    run::RunRecord,
    scene::{SceneFiles, SurveyedScene},
};

use crate::{
    board::MERGE,
    plan::{self, Lot},
    rebuild::{self, Existing},
    records::{is_unreadable, list, read_record, read_status},
    speed::{Left, Past, Time, time},
    steps,
};

/// Reads under way at a time.
const READS: usize = 16;
/// Runs that speeds are looked for in, the latest by name; and chip items that are counted one by one.
const RUNS: usize = 200;
const COUNTED: usize = 2000;

pub struct Outlook {
    /// With what has been pinned so far.
    pub record: RunRecord,
    pub lots: Vec<Lot>,
    pub stages: Vec<StageOutlook>,
    pub chips: Chips,
}

#[derive(Clone, Debug)]
pub struct StageOutlook {
    pub stage: Stage,
    pub items: u64,
    /// None before the numeric class is known: it names the outputs.
    pub exist: Option<u64>,
    /// Stages that have work to do before.
    pub waits_for: Vec<Stage>,
    pub time: Option<Time>,
}

/// What a training has to learn from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chips {
    pub train: u64,
    pub validation: u64,
    /// False: these are windows, of which not all become chips.
    pub are_cut: bool,
}

/// `survey` reads the header of a scene that no survey has read yet.
pub async fn look(
    mut record: RunRecord,
    blobs: &SharedBlobs,
    existing: &Existing,
    survey: impl Fn(&SceneFiles) -> SurveyedScene,
) -> anyhow::Result<Outlook> {
    if let Some(begun) = read_record(blobs, &record.run).await? {
        record.predict = begun.predict;
        record.statistics = begun.statistics;
    }
    let mut lots = Vec::new();
    let mut done: HashSet<Place> = HashSet::new();
    for number in 0..record.lots() {
        if number == record.learn_lots() {
            adopt_weights(&mut record, &lots, &mut done, blobs, existing).await?;
        }
        let item = plan::survey(&record, number);
        let surveyed = match existing.has(Stage::Survey, item.id) {
            true => {
                done.insert(item.place);
                rebuild::surveyed(&record, number, blobs).await?
            }
            false => record.lot(number).iter().map(&survey).collect(),
        };
        let lot = Lot::new(&record, number, surveyed);
        done.extend(existing.of_lot(&record, &lot, blobs).await?);
        lots.push(lot);
    }
    if record.lots() == record.learn_lots() {
        adopt_weights(&mut record, &lots, &mut done, blobs, existing).await?;
    }
    let merged =
        record.vectors.as_ref().filter(|_| record.has(Stage::Merge)).and_then(|plan| plan.formats.first());
    if let Some(format) = merged {
        let key = format!("{}.{}", keys::merged(&record.run), format.extension());
        if blobs.head(&key).await?.is_some() {
            done.insert(MERGE);
        }
    }
    if record.has(Stage::Bundle) && blobs.head(&keys::bundle(&record.run)).await?.is_some() {
        done.insert(Place::new(Stage::Bundle, 0, 0));
    }
    let chips = chips(&record, &lots, &done, blobs).await?;
    let past = past(blobs).await?;
    let mut stages: Vec<StageOutlook> = Vec::new();
    let is_step = |stage: &Stage| *stage == Stage::Step && !record.steps.is_empty();
    for stage in Stage::ALL.into_iter().filter(|stage| record.has(*stage) || is_step(stage)) {
        let items = items(&record, &lots, stage);
        let exist = done.iter().filter(|place| place.stage == stage).count() as u64;
        let is_named = !matches!(stage, Stage::Predict | Stage::Assemble) || record.predict.class.is_some();
        let has_left = |before: &Stage| {
            stages.iter().any(|other| other.stage == *before && other.exist.unwrap_or(0) < other.items)
        };
        let left = items.saturating_sub(exist);
        let pixels: u64 =
            lots.iter().flat_map(|lot| &lot.scenes).map(|scene| scene.header.size.pixels()).sum();
        let pixels = pixels as f64 * left as f64 / items.max(1) as f64;
        let epochs = record.learn.as_ref().map_or(0, |learn| learn.train.epochs);
        let images = f64::from(epochs) * chips.train as f64 * left.min(1) as f64;
        let time = match left {
            0 => None,
            _ => time(stage, &record, Left { items: left, pixels, images }, &past),
        };
        let waits_for = match left {
            0 => Vec::new(),
            _ => needs(stage).iter().copied().filter(has_left).collect(),
        };
        stages.push(StageOutlook { stage, items, exist: is_named.then_some(exist), waits_for, time });
    }
    Ok(Outlook { record, lots, stages, chips })
}

/// What must be done before an item of a stage can be.
const fn needs(stage: Stage) -> &'static [Stage] {
    match stage {
        Stage::Analyze => &[Stage::Survey],
        Stage::Chip => &[Stage::Survey, Stage::Analyze],
        Stage::Train => &[Stage::Chip],
        Stage::Predict => &[Stage::Survey, Stage::Analyze, Stage::Train],
        Stage::Assemble => &[Stage::Predict],
        Stage::Eval | Stage::Vectorize => &[Stage::Predict, Stage::Assemble],
        Stage::Merge => &[Stage::Predict, Stage::Assemble],
        Stage::Bundle => &[Stage::Train, Stage::Eval],
        Stage::Step => {
            &[Stage::Chip, Stage::Predict, Stage::Assemble, Stage::Vectorize, Stage::Eval, Stage::Bundle]
        }
        Stage::Probe | Stage::Survey | Stage::Noop => &[],
    }
}

fn items(record: &RunRecord, lots: &[Lot], stage: Stage) -> u64 {
    let sum = |of: &dyn Fn(&Lot) -> usize| lots.iter().map(of).sum::<usize>() as u64;
    match stage {
        Stage::Survey => u64::from(record.lots()),
        Stage::Chip => sum(&|lot| lot.n_chip() as usize),
        Stage::Analyze => sum(&|lot| lot.n_analyze() as usize),
        Stage::Predict => sum(&|lot| lot.n_predict(record) as usize),
        Stage::Step => {
            sum(&|lot| steps::places_of_lot(record, lot).len()) + steps::places_of_run(record).len() as u64
        }
        Stage::Assemble | Stage::Eval | Stage::Vectorize => sum(&|lot| lot.dependents(record, stage).len()),
        Stage::Train | Stage::Merge | Stage::Bundle => 1,
        Stage::Probe | Stage::Noop => 0,
    }
}

/// What follows a training is named by its weights; they are known if it was done before.
async fn adopt_weights(
    record: &mut RunRecord,
    lots: &[Lot],
    done: &mut HashSet<Place>,
    blobs: &SharedBlobs,
    existing: &Existing,
) -> anyhow::Result<()> {
    if !record.has(Stage::Train) {
        return Ok(());
    }
    // What of the chips was given up is not known here.
    let may_come = record.trains_with_chips();
    let train = plan::train(record, lots.iter(), |place| may_come || done.contains(&place));
    if let Some((item, _)) = train.filter(|(item, _)| existing.has(Stage::Train, item.id)) {
        record.predict.model.weights = rebuild::trained(&item, blobs).await?;
    }
    if record.has_weights() {
        done.insert(Place::new(Stage::Train, 0, 0));
    }
    Ok(())
}

/// Chips where all are cut already, and windows where they are not.
async fn chips(
    record: &RunRecord,
    lots: &[Lot],
    done: &HashSet<Place>,
    blobs: &SharedBlobs,
) -> anyhow::Result<Chips> {
    let mut chips = Chips { are_cut: true, ..Chips::default() };
    let mut windows = Chips::default();
    for lot in lots {
        for scene in &lot.learnt {
            let set = |chips: &mut Chips, n: u64| match scene.set {
                ChipSet::Train => chips.train += n,
                ChipSet::Validation => chips.validation += n,
            };
            set(&mut windows, scene.n_windows);
            for index in scene.first..scene.first + scene.n_items {
                chips.are_cut &= done.contains(&Place::new(Stage::Chip, lot.lot, index));
                let Some(item) = plan::chip(record, lot, index).filter(|_| chips.are_cut) else { continue };
                let key = keys::item_output(&item);
                let json = blobs.get(&key).await.with_context(|| format!("reading {key}"))?;
                let Chipped::V1 { chips: n, .. } =
                    serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
                set(&mut chips, n);
            }
            chips.are_cut &= done.len() < COUNTED;
        }
    }
    Ok(if chips.are_cut { chips } else { windows })
}

/// Earlier runs under the root, the latest first.
async fn past(blobs: &SharedBlobs) -> anyhow::Result<Vec<Past>> {
    let runs = list(blobs).await?.into_iter().take(RUNS);
    let read = futures::stream::iter(runs).map(|run| async move {
        let read = async {
            anyhow::Ok(match (read_record(blobs, &run).await?, read_status(blobs, &run).await?) {
                (Some(record), Some(status)) => Some(Past { record, status }),
                _ => None,
            })
        };
        match read.await {
            // What a newer program has written tells this one nothing.
            Err(error) if is_unreadable(&error) => Ok(None),
            past => past,
        }
    });
    let mut past: Vec<Past> =
        read.buffer_unordered(READS).try_filter_map(async |past| Ok(past)).try_collect().await?;
    past.sort_by(|one, other| other.status.written.cmp(&one.status.written));
    Ok(past)
}

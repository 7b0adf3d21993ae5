//! From a pipeline file to a frozen run: paths are resolved, inputs are pinned by their tags, the
//! model is put under the root by its content, and the run's name is a hash of all that. So the
//! same command on the same inputs is the same run, and goes on where it was.

mod bundle;
mod learn;
mod networks;
mod pin;
mod reading;
mod scenes;
mod stac;
mod steps;
mod trial;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use swath_backends::{
    blobs::{Put, SharedBlobs},
    outside::{Outside, s3_parts},
};
use swath_proto::{
    envelope,
    ids::{Digest, RunId},
    item::{ClassStyle, Stage, WindowShape},
    keys,
    pipeline::{Pipeline, PrecisionWord},
    run::{PredictPlan, RunRecord, ScalePlan},
    scene::SceneFiles,
};

use self::networks::Suited;
pub use self::{
    bundle::{SCENE, Wanted, freeze_bundles},
    pin::PinnedScene,
};
use crate::plan;

/// A pipeline file as it was read, with what the command line changed in it.
pub struct Source {
    pub text: String,
    /// Relative paths begin here.
    pub folder: PathBuf,
    /// Makes a run of its own of what would else be the same run again.
    pub rerun: Option<String>,
}

/// A run that is ready to begin; nothing of it is written yet.
pub struct Frozen {
    pub record: RunRecord,
    /// All scenes, those for training too.
    pub scenes: Vec<PinnedScene>,
    /// Scenes that `run.skip_missing` left out.
    pub left_out: usize,
    /// Weights and scripts.
    blobs: Vec<Blob>,
}

/// What goes under the root: a key that says the content, and the content.
type Blob = (String, bytes::Bytes);

/// Checks everything that can be checked before a run begins, and freezes it for a root. The root is
/// a part of the run's name, since several roots may share a ledger.
pub async fn freeze(source: &Source, root: &SharedBlobs) -> anyhow::Result<Frozen> {
    let mut pipeline = Pipeline::parse(&source.text)?;
    trial::cut(&mut pipeline);
    let mut blobs = Vec::new();
    let outside = Outside::new(&pipeline.access);
    let init = match pipeline.train.init.as_ref().filter(|_| pipeline.stages.contains(&Stage::Train)) {
        Some(file) => Some(
            networks::init(file, &pipeline, &source.folder, &outside, &mut blobs)
                .await
                .context("train.init")?,
        ),
        None => None,
    };
    let classes =
        pipeline.classes.iter().map(|class| Some(ClassStyle { name: class.name.clone(), rgb: class.rgb()? }));
    let classes = classes.collect::<Option<Vec<_>>>().context("a class has no color")?;
    let null_class =
        pipeline.classes.iter().position(|class| class.null).context("no class is the null class")? as u32;
    let predict = &pipeline.predict;
    let window = WindowShape { core_px: predict.core_px, margin_px: predict.margin_px };
    let seen_px = predict.seen_px.filter(|seen_px| *seen_px != window.edge_px());
    let suited = Suited { bands: pipeline.model.bands, classes: &classes, null_class, window, seen_px };
    let (model, pixels) =
        networks::of_pipeline(&pipeline, &suited, &source.folder, &outside, &mut blobs).await?;
    let scale = if pixels.is_some() { ScalePlan::Given } else { reading::scale(&pipeline) };
    let pixels = pixels.unwrap_or_else(|| reading::pixels(&pipeline));
    let mut named = scenes::name_all(&pipeline, &source.folder, &outside).await?;
    if pipeline.run.test {
        named = trial::few(named, pipeline.test.scenes);
    }
    let (scenes, left_out) = match pipeline.run.check_files {
        true => pin::pin_all(named, pipeline.run.skip_missing, &outside).await?,
        false => (pin::unseen(named), 0),
    };
    let has = |stage| pipeline.stages.contains(&stage);
    let predicted: Vec<SceneFiles> =
        scenes.iter().filter_map(|scene| scene.predicted(&pipeline, &pixels)).collect();
    if predicted.is_empty() && (has(Stage::Predict) || !has(Stage::Chip)) {
        bail!("scenes: all are in the group train, of which only the stage chip makes use");
    }
    let batch = predict.batch.unwrap_or_else(|| model.engine.usual_batch());
    let mut record = RunRecord {
        run: pipeline.name.parse()?,
        created: String::new(),
        program: env!("CARGO_PKG_VERSION").into(),
        pipeline: Digest::of(source.text.as_bytes()),
        stages: pipeline.stages.clone(),
        scenes: predicted,
        lot_scenes: pipeline.run.lot_scenes.unwrap_or(LOT_SCENES),
        predict: PredictPlan {
            model,
            window,
            batch,
            block_px: predict.block_px,
            compression: predict.compression,
            nodata: predict.nodata,
            scores: predict.scores,
            confidence: predict.confidence,
            mixing: predict.mixing(),
            item_px: predict.item_px,
            shared_windows: None,
            class: None,
            wants_int8: predict.precision == Some(PrecisionWord::Int8) && has(Stage::Train),
            int8: None,
        },
        scale,
        statistics: None,
        learn: learn::learn(&pipeline, &pixels, &scenes, init)?,
        vectors: learn::vectors(&pipeline),
        steps: steps::steps(&pipeline, &source.folder, &mut blobs)?,
        classes,
        null_class,
        access: pipeline.access.clone(),
        max_failures: pipeline.run.max_failures,
        noops: 0,
        shuffle: pipeline.run.shuffle,
    };
    if pipeline.run.lot_scenes.is_none() {
        fit_lots(&mut record);
    }
    record.run = name(&record, source, &root.uri(""))?;
    record.created = jiff::Timestamp::now().to_string();
    for lot in 0..record.lots() {
        envelope::encode(&plan::survey(&record, lot)).with_context(|| {
            format!(
                "run.lot_scenes = {}: lot {lot} does not fit a message; make it smaller",
                record.lot_scenes
            )
        })?;
    }
    Ok(Frozen { record, scenes, left_out, blobs })
}

/// Scenes whose headers one item reads, where nobody says: its worker reads many at a time.
const LOT_SCENES: u32 = 256;

/// Fewer to a lot, where many are named at such length that they fill a message.
fn fit_lots(record: &mut RunRecord) {
    let fits = |record: &RunRecord| {
        // The run's own name is not final yet.
        let is_short = |message: Vec<u8>| message.len() <= envelope::MAX_BYTES * 3 / 4;
        (0..record.lots()).all(|lot| envelope::encode(&plan::survey(record, lot)).is_ok_and(is_short))
    };
    while record.lot_scenes > 1 && !fits(record) {
        record.lot_scenes /= 2;
    }
}

/// The name and eight digits of a hash of all that decides the run.
fn name(record: &RunRecord, source: &Source, root: &str) -> anyhow::Result<RunId> {
    // A stage that came later leaves the names of runs without it as they were.
    let counts = |stage: &Stage| *stage != Stage::Merge || record.has(Stage::Merge);
    let revisions: Vec<u32> = Stage::ALL.into_iter().filter(counts).map(Stage::revision).collect();
    let decides = serde_json::to_vec(&(record.to_json(), &revisions, &source.rerun, root))?;
    let hash = Digest::of(&decides).to_string();
    Ok(format!("{}-{}", record.run, &hash[..8]).parse()?)
}

/// Writes a frozen run under the root, its record last. Doing it again changes nothing.
pub async fn submit(frozen: &Frozen, source: &Source, root: &SharedBlobs) -> anyhow::Result<Put> {
    let record = &frozen.record;
    for (key, content) in &frozen.blobs {
        root.put_new(key, content.clone()).await.with_context(|| format!("putting {key} under the root"))?;
    }
    root.put(&keys::pipeline(&record.run), source.text.clone().into()).await?;
    Ok(root.put_new(&keys::run_record(&record.run), record.to_json().into()).await?)
}

/// Where a path of the pipeline file leads: `s3://bucket/key`, or an absolute path.
fn resolve(uri: &str, folder: &Path) -> anyhow::Result<String> {
    if s3_parts(uri).is_some() {
        return Ok(uri.to_owned());
    }
    let path = folder.join(uri);
    let path = std::path::absolute(&path).with_context(|| format!("resolving {}", path.display()))?;
    Ok(path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))?.to_owned())
}

async fn read(uri: &str, folder: &Path, outside: &Outside) -> anyhow::Result<bytes::Bytes> {
    if s3_parts(uri).is_some() {
        return outside.get(uri).await.with_context(|| format!("reading {uri}"));
    }
    let path = resolve(uri, folder)?;
    let bytes = tokio::fs::read(&path).await.with_context(|| format!("reading {path}"))?;
    Ok(bytes.into())
}

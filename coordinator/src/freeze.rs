//! From a pipeline file to a frozen run: paths are resolved, inputs are pinned by their tags, the
//! model is put under the root by its content, and the run's name is a hash of all that. So the
//! same command on the same inputs is the same run, and goes on where it was.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use swath_backends::{
    blobs::{Put, SharedBlobs},
    open::open_blobs,
    outside::{Outside, s3_parts},
};
use swath_proto::{
    envelope,
    ids::{Digest, RunId, SceneId},
    item::{Architecture, ClassStyle, ModelRef, Stage, Weights, WindowShape},
    keys,
    pipeline::Pipeline,
    run::{PredictPlan, RunRecord},
    scene::{FileRef, SceneFiles},
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
    /// The model's file, where it is not there yet.
    model: Option<bytes::Bytes>,
}

/// Checks everything that can be checked before a run begins, and freezes it for a root. The root is
/// a part of the run's name, since several roots may share a ledger.
pub async fn freeze(source: &Source, root: &SharedBlobs) -> anyhow::Result<Frozen> {
    let pipeline = Pipeline::parse(&source.text)?;
    let (weights, model) = weights(&pipeline, &source.folder).await?;
    let outside = Outside::default();
    let mut scenes = Vec::with_capacity(pipeline.scenes.len());
    for (at, entry) in pipeline.scenes.iter().enumerate() {
        let place = || format!("scenes[{at}]");
        let pinned = async |uri, key| {
            file(uri, &source.folder, &outside).await.with_context(|| format!("{}.{key}", place()))
        };
        let image = pinned(&entry.image, "image").await?;
        let labels = match &entry.labels {
            Some(labels) => Some(pinned(labels, "labels").await?),
            None => None,
        };
        let id = match &entry.id {
            Some(id) => id.parse(),
            None => stem(&entry.image).parse::<SceneId>(),
        };
        let id = id.with_context(|| format!("{}: give it an id", place()))?;
        scenes.push(SceneFiles { id, image, labels });
    }
    let mut ids: Vec<_> = scenes.iter().map(|scene| &scene.id).collect();
    ids.sort();
    if let Some(twice) = ids.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("scenes: two are called '{}'; give each an id of its own", twice[0]);
    }
    let classes =
        pipeline.classes.iter().map(|class| Ok(ClassStyle { name: class.name.clone(), rgb: class.rgb()? }));
    let classes = classes.collect::<anyhow::Result<Vec<_>>>()?;
    let null_class =
        pipeline.classes.iter().position(|class| class.null).context("no class is the null class")?;
    let predict = &pipeline.predict;
    let mut record = RunRecord {
        run: pipeline.name.parse()?,
        created: String::new(),
        program: env!("CARGO_PKG_VERSION").into(),
        pipeline: Digest::of(source.text.as_bytes()),
        stages: pipeline.stages.clone(),
        scenes,
        lot_scenes: pipeline.run.lot_scenes,
        predict: PredictPlan {
            model: ModelRef {
                architecture: pipeline.model.architecture,
                weights,
                bands: pipeline.model.bands,
                classes: classes.len() as u32,
            },
            window: WindowShape { core_px: predict.core_px, margin_px: predict.margin_px },
            batch: predict.batch,
            block_px: predict.block_px,
            scores: predict.scores,
            item_px: predict.item_px,
            class: None,
        },
        classes,
        null_class: null_class as u32,
        max_failures: pipeline.run.max_failures,
        noops: 0,
        shuffle: pipeline.run.shuffle,
    };
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
    Ok(Frozen { record, model })
}

/// The name and eight digits of a hash of all that decides the run.
fn name(record: &RunRecord, source: &Source, root: &str) -> anyhow::Result<RunId> {
    let revisions = Stage::ALL.map(Stage::revision);
    let decides = serde_json::to_vec(&(record.to_json(), &revisions, &source.rerun, root))?;
    let hash = Digest::of(&decides).to_string();
    Ok(format!("{}-{}", record.run, &hash[..8]).parse()?)
}

/// Writes a frozen run under the root, its record last. Doing it again changes nothing.
pub async fn submit(frozen: &Frozen, source: &Source, root: &SharedBlobs) -> anyhow::Result<Put> {
    let record = &frozen.record;
    if let (Some(key), Some(model)) = (keys::model(&record.predict.model.weights), &frozen.model) {
        root.put_new(&key, model.clone()).await.context("putting the model under the root")?;
    }
    root.put(&keys::pipeline(&record.run), source.text.clone().into()).await?;
    Ok(root.put_new(&keys::run_record(&record.run), record.to_json().into()).await?)
}

async fn weights(pipeline: &Pipeline, folder: &Path) -> anyhow::Result<(Weights, Option<bytes::Bytes>)> {
    let Some(file) = &pipeline.model.weights else {
        let seed = pipeline.model.seed.context("model: give weights or a seed")?;
        return Ok((Weights::Seed(seed), None));
    };
    let wanted = match pipeline.model.architecture {
        Architecture::Torchscript => "pt",
        Architecture::Tiny | Architecture::UnetResnet18 => "safetensors",
    };
    if Path::new(file).extension().and_then(|ending| ending.to_str()) != Some(wanted) {
        bail!("model.weights = \"{file}\": this architecture takes a .{wanted} file");
    }
    let bytes = read(file, folder).await.context("model.weights")?;
    let weights = Weights::File { sha256: Digest::of(&bytes), extension: wanted.into() };
    Ok((weights, Some(bytes)))
}

fn stem(uri: &str) -> &str {
    let name = uri.rsplit('/').next().unwrap_or(uri);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn absolute(path: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join(path);
    std::path::absolute(&path).with_context(|| format!("resolving {}", path.display()))
}

/// Pins a file to its present state.
async fn file(uri: &str, folder: &Path, outside: &Outside) -> anyhow::Result<FileRef> {
    let uri = match s3_parts(uri) {
        Some(_) => uri.to_owned(),
        None => {
            let path = absolute(uri, folder)?;
            path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))?.to_owned()
        }
    };
    let tag = outside.tag(&uri).await?.with_context(|| format!("there is no file {uri}"))?;
    Ok(FileRef { uri, tag })
}

async fn read(uri: &str, folder: &Path) -> anyhow::Result<bytes::Bytes> {
    if let Some((bucket, key)) = s3_parts(uri) {
        return open_blobs(&bucket).await?.get(key).await.with_context(|| format!("reading {uri}"));
    }
    let path = absolute(uri, folder)?;
    let bytes = tokio::fs::read(&path).await.with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes.into())
}

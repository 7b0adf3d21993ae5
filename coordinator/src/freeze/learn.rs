//! From the words of a pipeline file to what a run learns from, and which polygons it draws.

use anyhow::bail;
use swath_proto::{
    item::{Stage, Weights},
    learn::{ChipSet, ChipWindows, LearnPlan},
    pipeline::{self, Pipeline},
    source::SourceSpec,
    train::{
        Backbone, BatchNorm, Checkpoint, Keep, LossTerms, Optimizer, Precision, Schedule, Start, TrainSpec,
    },
    vectors::{VectorFormat, VectorPlan},
};

use super::PinnedScene;

/// Windows that one chip item looks at: a few seconds of work, a shard of some ten megabytes.
const WINDOWS_PER_SHARD: u32 = 512;

/// `init`: what the network begins with.
pub(super) fn learn(
    pipeline: &Pipeline,
    pixels: &SourceSpec,
    scenes: &[PinnedScene],
    init: Option<Weights>,
) -> anyhow::Result<Option<LearnPlan>> {
    if !pipeline.stages.contains(&Stage::Chip) {
        return Ok(None);
    }
    let scenes: Vec<_> = scenes.iter().filter_map(|scene| scene.learnt(pipeline, pixels)).collect();
    if !scenes.iter().any(|scene| scene.set == ChipSet::Train) {
        bail!("scenes: none to train on; give some group = \"train\", and labels");
    }
    Ok(Some(LearnPlan {
        scenes,
        windows: match pipeline.chips.windows() {
            pipeline::ChipWindows::Sliding(spec) => ChipWindows::Sliding(spec),
            pipeline::ChipWindows::Random(spec) => ChipWindows::Random(spec),
        },
        keep: pipeline.chips.keep(&pipeline.classes),
        encoding: pipeline.chips.encoding,
        windows_per_shard: WINDOWS_PER_SHARD,
        train: train(pipeline, init)?,
    }))
}

fn train(pipeline: &Pipeline, init: Option<Weights>) -> anyhow::Result<TrainSpec> {
    let entry = &pipeline.train;
    let class_weights = match &entry.class_weights {
        pipeline::ClassWeights::Word(_) => None,
        pipeline::ClassWeights::List(weights) => Some(weights.iter().map(|weight| *weight as f32).collect()),
        pipeline::ClassWeights::ByName(weights) => {
            let weight =
                |class: &pipeline::ClassEntry| weights.get(&class.name).map_or(1.0, |weight| *weight as f32);
            Some(pipeline.classes.iter().map(weight).collect())
        }
    };
    let spec = TrainSpec {
        architecture: pipeline.model.architecture,
        backbone: match entry.backbone {
            Some(pipeline::Backbone::Imagenet) => Backbone::Imagenet,
            Some(pipeline::Backbone::Random) | None => Backbone::None,
        },
        weights: init,
        fresh_head: entry.fresh_head,
        bands: pipeline.model.bands,
        classes: pipeline.classes.len() as u32,
        epochs: entry.epochs,
        batch: entry.batch,
        lr: entry.lr,
        optimizer: match entry.optimizer {
            pipeline::Optimizer::Adam => Optimizer::Adam,
            pipeline::Optimizer::Adamw => Optimizer::Adamw,
            pipeline::Optimizer::Sgd => Optimizer::Sgd,
        },
        weight_decay: entry.weight_decay,
        batch_norm: match entry.batch_norm {
            pipeline::BatchNorm::Batch => BatchNorm::Batch,
            pipeline::BatchNorm::Local => BatchNorm::Local,
            pipeline::BatchNorm::Frozen => BatchNorm::Frozen,
        },
        loss: loss(entry.loss),
        precision: match entry.precision {
            pipeline::TrainPrecision::Fp32 => Precision::Fp32,
            pipeline::TrainPrecision::Bf16 => Precision::Bf16,
            pipeline::TrainPrecision::Fp16 => Precision::Fp16,
        },
        clip: entry.clip,
        accumulate: entry.accumulate,
        ema: entry.ema,
        freeze_encoder: entry.freeze_encoder,
        schedule: match entry.schedule {
            pipeline::Schedule::OneCycle => Schedule::OneCycle,
            pipeline::Schedule::Constant => Schedule::Constant,
            pipeline::Schedule::Cosine => Schedule::Cosine,
            pipeline::Schedule::MultiStep => Schedule::MultiStep,
        },
        milestones: entry.milestones.clone(),
        patience: entry.patience,
        class_weights,
        balanced: matches!(
            entry.class_weights,
            pipeline::ClassWeights::Word(pipeline::ClassWeightWord::Balanced)
        ),
        ignore_class: None,
        augment: entry.augment(),
        subset: entry.subset.and_then(|subset| subset.subset()),
        oversample: entry.oversample.as_ref().map(|oversample| oversample.rule(&pipeline.classes)),
        bad_chips: entry.bad_chips,
        start: match entry.start {
            pipeline::Start::AfterChips => Start::AfterChips,
            pipeline::Start::WithChips => Start::WithChips,
        },
        normalize: None,
        seed: entry.seed,
        keep: match pipeline.bundle.checkpoint {
            pipeline::Checkpoint::Best => Keep::Best,
            pipeline::Checkpoint::Last => Keep::Last,
        },
        checkpoint: {
            let pipeline::CheckpointEntry { epochs, steps, minutes, keep } = entry.checkpoint;
            Checkpoint { epochs, steps, minutes, keep }
        },
    };
    spec.check()?;
    Ok(spec)
}

const fn loss(given: pipeline::Loss) -> LossTerms {
    match given {
        pipeline::Loss::Word(pipeline::LossWord::CrossEntropy) => LossTerms::CROSS_ENTROPY,
        pipeline::Loss::Word(pipeline::LossWord::Dice) => LossTerms::DICE,
        pipeline::Loss::Word(pipeline::LossWord::Focal) => LossTerms::FOCAL,
        pipeline::Loss::Sum(pipeline::LossSum { cross_entropy, dice, focal }) => {
            LossTerms { cross_entropy, dice, focal }
        }
    }
}

pub(super) fn vectors(pipeline: &Pipeline) -> Option<VectorPlan> {
    let traces = [Stage::Vectorize, Stage::Merge].iter().any(|stage| pipeline.stages.contains(stage));
    let entry = traces.then_some(&pipeline.vectorize)?;
    let wanted = |class: &pipeline::ClassEntry| match &entry.classes {
        Some(names) => names.contains(&class.name),
        None => !class.null,
    };
    let numbered = (0_u8..).zip(&pipeline.classes);
    Some(VectorPlan {
        classes: numbered.filter(|(_, class)| wanted(class)).map(|(number, _)| number).collect(),
        denoise_px: entry.denoise_px,
        min_area_m2: entry.min_area_m2,
        tolerance_px: entry.simplify_px,
        square_px: entry.square_px,
        formats: entry
            .formats
            .iter()
            .map(|format| match format {
                pipeline::VectorFormat::Geojson => VectorFormat::GeoJson,
                pipeline::VectorFormat::Geoparquet => VectorFormat::GeoParquet,
            })
            .collect(),
    })
}

//! Words of the pipeline file that this version reads and does not act on. They are refused, since
//! what is ignored in silence is found out on the map. Whoever wires one takes it away here.

use super::PinnedScene;
use anyhow::bail;
use swath_proto::{
    item::Stage,
    pipeline::{DataEntry, LabelsEntry, OneOrMany, Pipeline},
};

const STAGES: [Stage; 1] = [Stage::Analyze];

pub(super) fn refuse(pipeline: &Pipeline) -> anyhow::Result<()> {
    let mut words: Vec<String> = Vec::new();
    let stages = pipeline.stages.iter().filter(|stage| STAGES.contains(stage));
    words.extend(stages.map(|stage| format!("the stage {stage}")));
    if pipeline.data != DataEntry::default() {
        words.push("[data]".into());
    }
    if pipeline.labels != LabelsEntry::default() {
        words.push("[labels]".into());
    }
    if !pipeline.steps.is_empty() {
        words.push("[[steps]]".into());
    }
    if pipeline.scenes.iter().any(|scene| scene.aoi.is_some()) {
        words.push("aoi of [[scenes]]".into());
    }
    if pipeline
        .scenes
        .iter()
        .any(|scene| matches!(&scene.image, Some(OneOrMany::Many(list)) if list.len() > 1))
    {
        words.push("several files in one image".into());
    }
    told(&words)
}

/// What a CSV file asks for.
pub(super) fn refuse_scenes(scenes: &[PinnedScene]) -> anyhow::Result<()> {
    let mut words: Vec<String> = Vec::new();
    if scenes.iter().any(|scene| scene.aoi.is_some()) {
        words.push("aoi of [[scenes]]".into());
    }
    if scenes.iter().any(|scene| scene.images.len() > 1) {
        words.push("several files in one image".into());
    }
    told(&words)
}

fn told(words: &[String]) -> anyhow::Result<()> {
    if !words.is_empty() {
        bail!("this version can't do yet what the pipeline asks for: {}", words.join(", "));
    }
    Ok(())
}

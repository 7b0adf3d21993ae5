//! Pins files to their present state, many at a time.

use std::collections::{BTreeSet, HashMap};

use anyhow::bail;
use futures::{StreamExt as _, TryStreamExt as _};
use swath_backends::outside::Outside;
use swath_proto::{
    ids::SceneId,
    learn::{ChipSet, LearnScene},
    pipeline::{Group, Pipeline},
    scene::{FileRef, SceneFiles},
    source::SourceSpec,
};

use super::{
    reading,
    scenes::{NamedScene, first_ten},
};

/// Files that are asked for at a time: enough to hide a store's latency (11,000 scenes in seconds),
/// few enough for its limits and for the connections of one process.
const AT_A_TIME: usize = 64;

/// A scene whose files were all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedScene {
    pub id: SceneId,
    pub images: Vec<FileRef>,
    pub labels: Option<FileRef>,
    pub aoi: Option<FileRef>,
    pub group: Group,
}

impl PinnedScene {
    /// As the run's record has it, if it is learnt from.
    pub(super) fn learnt(&self, pipeline: &Pipeline, pixels: &SourceSpec) -> Option<LearnScene> {
        let set = match self.group {
            Group::Train => ChipSet::Train,
            Group::Validation => ChipSet::Validation,
            Group::Predict => return None,
        };
        self.labels.as_ref()?;
        Some(LearnScene { files: self.files(pipeline, pixels), set })
    }

    /// As the run's record has it, if it is predicted.
    pub(super) fn predicted(&self, pipeline: &Pipeline, pixels: &SourceSpec) -> Option<SceneFiles> {
        self.group.is_predicted().then(|| self.files(pipeline, pixels))
    }

    fn files(&self, pipeline: &Pipeline, pixels: &SourceSpec) -> SceneFiles {
        SceneFiles {
            id: self.id.clone(),
            source: SourceSpec { files: self.images.clone(), ..pixels.clone() },
            labels: self.labels.clone().map(|file| reading::labels(pipeline, file)),
            aoi: self.aoi.clone().map(reading::aoi),
            crop_px: pipeline.run.test.then_some(pipeline.test.crop_px),
            crop_labels: pipeline.test.min_labels.filter(|_| pipeline.run.test),
        }
    }
}

/// Takes all files for there, in whatever state they are: eleven thousand questions fewer.
pub(super) fn unseen(named: Vec<NamedScene>) -> Vec<PinnedScene> {
    let file = |uri: String| FileRef { uri, tag: String::new() };
    let scene = |scene: NamedScene| PinnedScene {
        id: scene.id,
        images: scene.images.into_iter().map(file).collect(),
        labels: scene.labels.map(file),
        aoi: scene.aoi.map(file),
        group: scene.group,
    };
    named.into_iter().map(scene).collect()
}

/// Returns the scenes in their order, and how many were left out.
pub(super) async fn pin_all(
    named: Vec<NamedScene>,
    skip_missing: bool,
    outside: &Outside,
) -> anyhow::Result<(Vec<PinnedScene>, usize)> {
    let files = named.iter().flat_map(|scene| scene.images.iter().chain(&scene.labels).chain(&scene.aoi));
    let files: BTreeSet<String> = files.cloned().collect();
    let tags: HashMap<String, Option<String>> = futures::stream::iter(files)
        .map(|uri| async move { outside.tag(&uri).await.map(|tag| (uri, tag)) })
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await?;
    let pin = |uri: &String| {
        let tag = tags.get(uri).cloned().flatten();
        tag.map(|tag| FileRef { uri: uri.clone(), tag }).ok_or_else(|| uri.clone())
    };
    let mut scenes = Vec::new();
    let mut missing = Vec::new();
    let n = named.len();
    for scene in named {
        let images = scene.images.iter().map(pin).collect::<Result<Vec<_>, _>>();
        let labels = scene.labels.as_ref().map(pin).transpose();
        let aoi = scene.aoi.as_ref().map(pin).transpose();
        for (what, gone) in
            [("image", images.as_ref().err()), ("labels", labels.as_ref().err()), ("aoi", aoi.as_ref().err())]
        {
            if let Some(gone) = gone {
                missing.push(format!("{}.{what} of '{}': there is no file {gone}", scene.place, scene.id));
            }
        }
        if let (Ok(images), Ok(labels), Ok(aoi)) = (images, labels, aoi) {
            scenes.push(PinnedScene { id: scene.id, images, labels, aoi, group: scene.group });
        }
    }
    let left_out = n - scenes.len();
    if !missing.is_empty() && (!skip_missing || scenes.is_empty()) {
        let hint = match scenes.is_empty() {
            true => "",
            false => "\n(run.skip_missing = true leaves such scenes out)",
        };
        bail!("{left_out} of {n} scenes lack a file\n{}{hint}", first_ten(&missing));
    }
    Ok((scenes, left_out))
}

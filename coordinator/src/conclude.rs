//! The end of a run: the scores of its scenes, summed.

use anyhow::Context as _;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_geo::{confusion::Confusion, evaluation::Evaluation};
use swath_proto::{
    ids::Digest,
    item::{Item, Place, Stage, Work},
    keys,
    score::{SceneScore, SceneScores},
};

use crate::{board::Board, plan};

pub enum Evaluated {
    /// Of all scenes that have a score; with the digest of what `eval.json` holds.
    All(Digest),
    /// There is no score.
    Nothing,
    /// The scores of these items can't be found any more.
    Gone(Vec<Place>),
}

/// Writes `eval.json` where the run evaluates anything.
pub async fn evaluation(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Evaluated> {
    let record = &board.record;
    let n_classes = record.classes.len() as u32;
    let mut gone = Vec::new();
    let mut scenes = Vec::new();
    for lot in board.lots() {
        for place in lot.dependents(record, Stage::Eval) {
            let is_left = |own| !board.has_failed(own);
            let item = plan::eval(record, lot, place.index, is_left).filter(|_| board.is_done(place));
            let Some(item) = item else { continue };
            let key = keys::item_output(&item);
            let json = match blobs.get(&key).await {
                Err(error) if error.kind == Kind::NotFound => {
                    gone.push(place);
                    continue;
                }
                json => json.context("reading a scene's score")?,
            };
            for SceneScore::V1 { scene, counts, ignored, .. } in
                scores(&item, &json).with_context(|| format!("reading {key}"))?
            {
                let confusion = Confusion::from_counts(n_classes, counts, ignored)
                    .with_context(|| format!("{key} does not fit the run's classes"))?;
                scenes.push((scene.to_string(), confusion));
            }
        }
    }
    if scenes.is_empty() && gone.is_empty() {
        return Ok(Evaluated::Nothing);
    }
    let classes: Vec<_> = record.classes.iter().map(|class| class.name.clone()).collect();
    let evaluation = Evaluation::new(&classes, scenes)?;
    let mut json = serde_json::to_vec_pretty(&evaluation)?;
    json.push(b'\n');
    let content = Digest::of(&json);
    blobs.put(&keys::eval(&record.run), json.into()).await.context("writing eval.json")?;
    Ok(if gone.is_empty() { Evaluated::All(content) } else { Evaluated::Gone(gone) })
}

/// Of one scene, or of several that share an item.
fn scores(item: &Item, json: &[u8]) -> serde_json::Result<Vec<SceneScore>> {
    match &item.work {
        Work::EvalScenes(_) => {
            let SceneScores::V1 { scenes } = serde_json::from_slice(json)?;
            Ok(scenes)
        }
        _ => Ok(vec![serde_json::from_slice(json)?]),
    }
}

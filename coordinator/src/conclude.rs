//! The end of a run: the scores of its scenes, summed.

use anyhow::Context as _;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_geo::{confusion::Confusion, evaluation::Evaluation};
use swath_proto::{
    ids::Digest,
    item::{Place, Stage},
    keys,
    score::SceneScore,
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
            let Some(item) = plan::eval(record, lot, place.index).filter(|_| board.is_done(place)) else {
                continue;
            };
            let key = keys::item_output(&item);
            let json = match blobs.get(&key).await {
                Err(error) if error.kind == Kind::NotFound => {
                    gone.push(place);
                    continue;
                }
                json => json.context("reading a scene's score")?,
            };
            let SceneScore::V1 { scene, counts, ignored, .. } =
                serde_json::from_slice(&json).with_context(|| format!("reading {key}"))?;
            let confusion = Confusion::from_counts(n_classes, counts, ignored)
                .with_context(|| format!("{key} does not fit the run's classes"))?;
            scenes.push((scene.to_string(), confusion));
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

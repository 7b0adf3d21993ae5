//! The end of a run: the scores of its scenes, summed.

use anyhow::Context as _;
use serde::Serialize;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_geo::confusion::Confusion;
use swath_proto::{
    item::{Place, Stage},
    keys,
    run::RunRecord,
    score::SceneScore,
};

use crate::{board::Board, plan};

#[derive(Serialize)]
struct Evaluation {
    overall: Scores,
    scenes: Vec<Scene>,
}

#[derive(Serialize)]
struct Scene {
    scene: String,
    #[serde(flatten)]
    scores: Scores,
}

#[derive(Serialize)]
struct Scores {
    classes: Vec<Class>,
    /// `confusion[truth][prediction]`, in pixels.
    confusion: Vec<Vec<u64>>,
    ignored: u64,
}

#[derive(Serialize)]
struct Class {
    name: String,
    precision: Option<f64>,
    recall: Option<f64>,
    f1: Option<f64>,
    iou: Option<f64>,
}

/// Writes `eval.json` where the run evaluates anything. Returns the items whose score is gone.
pub async fn evaluation(board: &Board, blobs: &SharedBlobs) -> anyhow::Result<Vec<Place>> {
    let record = &board.record;
    let n_classes = record.classes.len() as u32;
    let mut gone = Vec::new();
    if n_classes == 0 {
        return Ok(gone);
    }
    let mut overall = Confusion::new(n_classes)?;
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
            overall.merge(&confusion)?;
            scenes.push(Scene { scene: scene.to_string(), scores: Scores::new(record, &confusion) });
        }
    }
    if scenes.is_empty() {
        return Ok(gone);
    }
    let evaluation = Evaluation { overall: Scores::new(record, &overall), scenes };
    let mut json = serde_json::to_vec_pretty(&evaluation)?;
    json.push(b'\n');
    blobs.put(&keys::eval(&record.run), json.into()).await.context("writing eval.json")?;
    Ok(gone)
}

impl Scores {
    fn new(record: &RunRecord, confusion: &Confusion) -> Self {
        let n = record.classes.len();
        let classes = record.classes.iter().zip(0..).map(|(style, class)| {
            let metrics = confusion.measures(class);
            Class {
                name: style.name.clone(),
                precision: metrics.precision,
                recall: metrics.recall,
                f1: metrics.f1,
                iou: metrics.iou,
            }
        });
        Self {
            classes: classes.collect(),
            confusion: confusion.counts().chunks(n).map(<[u64]>::to_vec).collect(),
            ignored: confusion.ignored(),
        }
    }
}

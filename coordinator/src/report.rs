//! What is told of a run at its end: scores, pictures, curves, timings, the stage that took longest, failures, what it took; as
//! JSON for programs and as one HTML file for people, which needs nothing beside it.

mod html;
mod scenes;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{
    ids::RunId,
    item::Stage,
    keys,
    phases::{Bottleneck, PhaseSeconds},
    status::{FailedItem, Rented, RunState, RunStatus},
};

use self::scenes::ScenePicture;
use crate::{
    board::Board,
    money::Prices,
    scores::{Mean, average, f1_of_scene, mean},
};

/// Scenes that did worst, which people look at.
const WORST: usize = 20;
/// Pictures of chips that are put in, and how large one may be: sheets are some 100 KB.
const PICTURES: [&str; 2] = ["validation", "first-batch"];
const MOST_BYTES: u64 = 4 << 20;

#[derive(Serialize)]
struct Report {
    run: RunId,
    state: RunState,
    program: String,
    /// RFC 3339.
    started: String,
    ended: String,
    /// From the first to the last, pauses included.
    seconds: Option<f64>,
    message: Option<String>,
    stages: Vec<StageTold>,
    /// The stage that had items out for longest.
    bottleneck: Option<Stage>,
    /// What workers were busy with where they predict, and what of it has held the others back; none of a run of some seconds.
    phases: Option<PhaseSeconds>,
    held_back_by: Option<Bottleneck>,
    /// Seconds in which items were out, summed over stages: some go on beside others.
    work_seconds: f64,
    /// Empty where all workers were on machines of one's own.
    rented: Vec<Rented>,
    /// What they cost; none without a table of prices.
    cost: Option<Cost>,
    scenes: usize,
    pixels: u64,
    /// As `eval.json` has them, of all scenes together.
    scores: Option<Value>,
    /// Over the classes, without the null class.
    mean: Option<Mean>,
    worst: Vec<SceneTold>,
    /// Scenes that people see.
    shown: Vec<ScenePicture>,
    epochs: Vec<Epoch>,
    failures: Vec<FailedItem>,
    n_failures: u64,
    n_dropped: u64,
    unreadable_scenes: Vec<String>,
    #[serde(skip)]
    pictures: Vec<Picture>,
}

#[derive(Serialize)]
struct StageTold {
    stage: Stage,
    items: u64,
    done: u64,
    failed: u64,
    /// How many were made in `seconds`; the others were there already.
    made: u64,
    seconds: f64,
}

#[derive(Serialize)]
struct SceneTold {
    scene: String,
    f1: Option<f64>,
    iou: Option<f64>,
    mean: Mean,
}

/// Of a training's log, what is drawn. Columns that are not named here are left out.
#[derive(Clone, Serialize, Deserialize)]
struct Epoch {
    epoch: u32,
    train_loss: Option<f64>,
    validation_loss: Option<f64>,
    f1: Option<f64>,
    iou: Option<f64>,
}

/// What rented machines cost, by the coordinator's table of prices.
#[derive(Serialize)]
struct Cost {
    money: f64,
    currency: String,
    hours: f64,
    /// Kinds of machines that the table does not know: their hours are in none of the money.
    unknown: Vec<String>,
    /// Whose prices these are.
    prices: String,
    #[serde(skip)]
    told: String,
}

struct Picture {
    name: &'static str,
    png: Vec<u8>,
}

/// Writes both, over those of an earlier end.
pub(crate) async fn write(
    board: &Board,
    status: &RunStatus,
    prices: Option<&Prices>,
    blobs: &SharedBlobs,
) -> anyhow::Result<()> {
    let run = board.run();
    let report = Report { cost: cost(&status.rented, prices), ..gather(board, status, blobs).await? };
    let json = serde_json::to_vec_pretty(&report)?;
    blobs.put(&keys::report_json(run), json.into()).await.context("writing report.json")?;
    let html = html::html(&report);
    blobs.put(&keys::report(run), html.into()).await.context("writing report.html")
}

async fn gather(board: &Board, status: &RunStatus, blobs: &SharedBlobs) -> anyhow::Result<Report> {
    let stages: Vec<StageTold> = status
        .in_order()
        .map(|(stage, count)| StageTold {
            stage,
            items: count.items,
            done: count.done,
            failed: count.buried,
            made: count.made,
            seconds: count.seconds,
        })
        .collect();
    let longest = stages.iter().max_by(|one, other| one.seconds.total_cmp(&other.seconds));
    let bottleneck = longest.filter(|stage| stage.seconds > 0.0).map(|stage| stage.stage);
    let eval = match read(blobs, &keys::eval(&status.run)).await? {
        Some(json) => Some(serde_json::from_slice::<Value>(&json).context("reading eval.json")?),
        None => None,
    };
    let mut told = eval.as_ref().map_or_else(Vec::new, |eval| ranked(eval, board.record.null_class));
    let shown = scenes::pictures(board, &told, blobs).await?;
    told.truncate(WORST);
    let mut pictures = Vec::new();
    let folder = status.training_log.as_deref().and_then(|log| log.strip_suffix("log.csv"));
    for name in PICTURES {
        let Some(folder) = folder else { break };
        let key = format!("{folder}debug/{name}.png");
        if blobs.head(&key).await?.is_some_and(|meta| meta.len <= MOST_BYTES)
            && let Some(png) = read(blobs, &key).await?
        {
            pictures.push(Picture { name, png });
        }
    }
    let epochs = match &status.training_log {
        Some(log) => read(blobs, log).await?.map_or_else(Vec::new, |text| epochs(&text)),
        None => Vec::new(),
    };
    Ok(Report {
        run: status.run.clone(),
        state: status.state,
        program: board.record.program.clone(),
        started: status.started.clone(),
        ended: status.written.clone(),
        seconds: between(&status.started, &status.written),
        message: status.message.clone(),
        bottleneck,
        phases: status.phases,
        held_back_by: status.bottleneck.clone(),
        work_seconds: stages.iter().map(|stage| stage.seconds).sum(),
        stages,
        rented: status.rented.clone(),
        cost: None,
        scenes: board.record.scenes.len(),
        pixels: status.pixels_done,
        worst: told,
        shown,
        mean: eval.as_ref().map(|eval| mean(&eval["overall"], board.record.null_class)),
        scores: eval.map(|eval| eval["overall"].clone()),
        epochs,
        failures: status.failures.clone(),
        n_failures: status.n_failures,
        n_dropped: status.n_dropped,
        unreadable_scenes: status.unreadable_scenes.clone(),
        pictures,
    })
}

fn cost(rented: &[Rented], prices: Option<&Prices>) -> Option<Cost> {
    let prices = prices.filter(|_| !rented.is_empty())?;
    let bill = prices.bill(rented);
    Some(Cost {
        told: prices.told(bill.money),
        currency: prices.currency.clone(),
        prices: prices.origin(),
        money: bill.money,
        hours: bill.hours,
        unknown: bill.unknown.into_iter().collect(),
    })
}

/// All scenes that have a score, the worst first.
fn ranked(eval: &Value, null_class: u32) -> Vec<SceneTold> {
    let scenes = eval["per_scene"].as_object().into_iter().flatten();
    let mut told: Vec<(f64, SceneTold)> = scenes
        .map(|(scene, scores)| {
            let (mean, average) = (mean(scores, null_class), average(scores));
            let metric = |name: &str| average.and_then(|metrics| metrics[name].as_f64());
            let told = SceneTold { scene: scene.clone(), f1: metric("f1"), iou: metric("iou"), mean };
            (f1_of_scene(&mean, average), told)
        })
        .collect();
    told.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    told.into_iter().map(|(_, told)| told).collect()
}

/// A row that can't be read is left out: the log itself stays where it is.
fn epochs(text: &[u8]) -> Vec<Epoch> {
    csv::Reader::from_reader(text).deserialize().filter_map(Result::ok).collect()
}

fn between(started: &str, ended: &str) -> Option<f64> {
    let [started, ended]: [jiff::Timestamp; 2] = [started.parse().ok()?, ended.parse().ok()?];
    Some(ended.duration_since(started).as_secs_f64())
}

async fn read(blobs: &SharedBlobs, key: &str) -> anyhow::Result<Option<Vec<u8>>> {
    match blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        bytes => Ok(Some(bytes.with_context(|| format!("reading {key}"))?.to_vec())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_training_has_logged_is_read_with_its_gaps() {
        let text = b"epoch,time,lr,train_loss,validation_loss,f1,iou,f1_0\n1,2.0,0.1,0.5,,,,\n2,3.0,0.1,0.25,0.3,0.8,0.7,1\n";
        let epochs = epochs(text);
        let told: Vec<_> = epochs.iter().map(|epoch| (epoch.epoch, epoch.train_loss, epoch.f1)).collect();
        assert_eq!(told, [(1, Some(0.5), None), (2, Some(0.25), Some(0.8))]);
    }

    #[test]
    fn the_worst_scene_comes_first() {
        let of = |f1: Value| serde_json::json!([{ "class_id": 0 }, { "metrics": { "f1": f1, "iou": 0.1 } }]);
        let eval = serde_json::json!({ "per_scene": { "good": of(0.9.into()), "none": of(Value::Null), "bad": of(0.2.into()) } });
        let names: Vec<String> = ranked(&eval, 0).into_iter().map(|told| told.scene).collect();
        assert_eq!(names, ["none", "bad", "good"]);
    }

    #[test]
    fn a_report_tells_what_rented_machines_cost_and_which_have_no_price() {
        let rented = |kind: &str| Rented { kind: kind.into(), is_spot: false, stage: None, seconds: 7200.0 };
        let prices = Prices::examples();
        let cost_of = |kinds: &[&str]| {
            let all: Vec<Rented> = kinds.iter().map(|kind| rented(kind)).collect();
            cost(&all, Some(&prices))
        };
        let told = cost_of(&["g5.xlarge", "x9.huge"]).expect("a cost");
        assert!((told.hours - 4.0).abs() < 1e-9 && told.told.ends_with(&prices.currency), "{}", told.told);
        assert_eq!(told.unknown, ["x9.huge (on demand)"]);
        assert!(cost_of(&[]).is_none() && cost(&[rented("g5.xlarge")], None).is_none());
    }

    #[test]
    fn a_run_took_what_lies_between_its_times() {
        assert_eq!(between("2026-01-01T00:00:00Z", "2026-01-01T00:01:30.5Z"), Some(90.5));
        assert_eq!(between("once", "2026-01-01T00:01:30.5Z"), None);
    }
}

//! A run in one line: the stage at work, how much of it is done, how fast it goes and how long it will take.
//! Pure: what is left out where the terminal is narrow is decided here.

use swath_proto::{
    item::Stage,
    learn::Training,
    status::{RunState, RunStatus, StageCount},
};

use crate::{
    commands::state_name,
    table::{self, duration},
};

const BAR: std::ops::RangeInclusive<usize> = 8..=30;
const GAP: &str = "  ";

/// Words of a line; those of the highest rank go first where there is no room.
type Words = (u8, String);

/// For a terminal of that width; never wider.
pub fn line(status: &RunStatus, width: usize) -> String {
    let mut words = words(status);
    let length = |words: &[Words]| {
        let letters: usize = words.iter().map(|(_, words)| words.chars().count()).sum();
        letters + GAP.len() * words.len().saturating_sub(1)
    };
    // The cursor stands behind the last letter, and must not wrap.
    let room = width.saturating_sub(1);
    while length(&words) > room && words.len() > 1 {
        let least = words.iter().map(|(rank, _)| *rank).max();
        let Some(at) = words.iter().rposition(|(rank, _)| Some(*rank) == least) else { break };
        words.remove(at);
    }
    let left = room.saturating_sub(length(&words) + GAP.len());
    if let Some(share) = share(status).filter(|_| left >= *BAR.start()) {
        let at = words.iter().position(|(rank, _)| *rank == 0).map_or(0, |at| at + 1);
        words.insert(at, (9, bar(share, left.min(*BAR.end()))));
    }
    let line = words.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(GAP);
    line.chars().take(room).collect()
}

/// For a log.
pub fn plain(status: &RunStatus) -> String {
    words(status).into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(GAP)
}

/// The stage at work, without the run's name.
pub fn at_work(status: &RunStatus) -> String {
    let words = words(status).into_iter().skip(1);
    words.map(|(_, words)| words).collect::<Vec<_>>().join(GAP)
}

fn words(status: &RunStatus) -> Vec<Words> {
    let mut words = vec![(5, status.run.to_string())];
    match (status.state, status.at_work) {
        (RunState::Paused, _) => words.push((0, format!("paused; go on with: swath resume {}", status.run))),
        (state, _) if state.is_final() => words.push((0, state_name(state).into())),
        (_, None) => words.push((0, "preparing".into())),
        (_, Some(stage)) => {
            words.push((0, numbered(status, stage)));
            let count = status.stages.get(stage.name()).copied().unwrap_or_default();
            match (stage, &status.training) {
                (Stage::Train, Some(training)) => words.extend(of_training(training)),
                _ => words.extend(of_items(status, stage, count)),
            }
            if status.held == 0 {
                let asks = |lane: &str| status.asks.get(lane).is_some_and(|ask| ask.out > 0);
                let which = match stage {
                    Stage::Step => " with --allow-steps",
                    Stage::Probe | Stage::Predict if asks("gpu") => " with --kinds gpu",
                    _ => "",
                };
                words.push((1, format!("waiting for a worker{which}")));
            } else if let Some(eta) = status.eta_seconds {
                words.push((1, format!("{} left", duration(eta))));
            }
        }
    }
    if status.n_failures > 0 {
        words.push((2, format!("{} set aside", status.n_failures)));
    }
    words
}

/// `[5/8] train`; the probe is nobody's wish, and has no number.
fn numbered(status: &RunStatus, stage: Stage) -> String {
    let asked: Vec<Stage> =
        status.in_order().map(|(stage, _)| stage).filter(|stage| *stage != Stage::Probe).collect();
    match asked.iter().position(|asked| *asked == stage) {
        Some(at) => format!("[{}/{}] {stage}", at + 1, asked.len()),
        None => stage.to_string(),
    }
}

fn of_training(training: &Training) -> Vec<Words> {
    let Training { epoch, epochs, step, .. } = training;
    let step = match training.known_steps() {
        _ if training.validates => "validating".into(),
        Some(steps) => format!("step {step}/{steps}"),
        None => format!("step {step}"),
    };
    let mut words = vec![(1, format!("epoch {epoch}/{epochs}")), (3, step)];
    words.extend(training.waits_for.map(|n| (1, waiting(n))));
    words.extend(training.loss.map(|loss| (2, format!("loss {}", digits(loss)))));
    words.extend(training.mean_iou.map(|iou| (2, format!("IoU {iou:.3}"))));
    words.extend(rate(4, training.images_per_second, "images/s"));
    words
}

/// In the words of web/src/words.js.
fn waiting(most: u64) -> String {
    format!("waiting for chips: at most {} to come", table::count(most, "item"))
}

/// A training that is no run's.
#[cfg(feature = "engine")]
pub fn of_training_alone(training: &Training) -> String {
    let mut words = of_training(training);
    words.extend(training.eta_seconds.map(|eta| (1, format!("{} left", duration(eta)))));
    words.into_iter().map(|(_, words)| words).collect::<Vec<_>>().join(GAP)
}

fn of_items(status: &RunStatus, stage: Stage, count: StageCount) -> Vec<Words> {
    let mut words = vec![(1, items(count))];
    if stage == Stage::Predict {
        words.push((3, format!("{} Mpx", mega(status.pixels_done, status.pixels))));
        words.extend(rate(2, status.pixels_per_second / 1e6, "Mpx/s"));
    } else {
        words.extend(rate(3, status.items_per_second, "items/s").filter(|_| count.items > 1));
    }
    words
}

/// Nothing before anything was measured.
fn rate(rank: u8, value: f64, unit: &str) -> Option<Words> {
    (value > 0.0).then(|| (rank, format!("{} {unit}", digits(value))))
}

fn items(count: StageCount) -> String {
    format!("{}/{} {}", count.done, count.items, if count.items == 1 { "item" } else { "items" })
}

/// Small images count too: tenths up to a gigapixel.
pub fn mega(done: u64, all: u64) -> String {
    let (done, all) = (done as f64 / 1e6, all as f64 / 1e6);
    if all < 1000.0 { format!("{done:.1}/{all:.1}") } else { format!("{done:.0}/{all:.0}") }
}

/// Three digits that tell something.
fn digits(value: f64) -> String {
    match value.abs() {
        x if x < 0.0005 => "0".into(),
        x if x < 1.0 => format!("{value:.3}"),
        x if x < 10.0 => format!("{value:.2}"),
        x if x < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// How much of the stage at work is done.
fn share(status: &RunStatus) -> Option<f64> {
    let stage = status.at_work.filter(|_| !status.state.is_final())?;
    let count = status.stages.get(stage.name())?;
    let (done, all) = match (stage, &status.training) {
        (Stage::Train, Some(training)) => (training.epochs_done(), f64::from(training.epochs)),
        (Stage::Predict, _) => (status.pixels_done as f64, status.pixels as f64),
        _ => (count.done as f64, count.items as f64),
    };
    (all > 0.0).then(|| (done / all).clamp(0.0, 1.0))
}

fn bar(share: f64, width: usize) -> String {
    let full = (share * width as f64).floor() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(stage: Stage, count: StageCount) -> RunStatus {
        let json = serde_json::json!({
            "run": "coast-line-of-norway-1a2b3c4d", "state": "running", "written": "", "started": "",
            "stages": { "survey": { "items": 4, "done": 4, "buried": 0 }, "chip": {
                "items": 4, "done": 4, "buried": 0 }, "predict": { "items": 0, "done": 0, "buried": 0 } },
            "at_work": stage, "held": 2, "pixels_done": 400_000, "pixels": 2_250_000,
            "items_per_second": 0.5, "pixels_per_second": 1.25e6, "eta_seconds": 190.0,
            "failures": [], "n_failures": 0, "unreadable_scenes": [], "message": null,
        });
        let mut status: RunStatus = serde_json::from_value(json).unwrap();
        status.stages.insert(stage.name().into(), count);
        status
    }

    fn count(done: u64, items: u64) -> StageCount {
        StageCount { done, items, ..StageCount::default() }
    }

    fn learns() -> RunStatus {
        let training = serde_json::json!({
            "epoch": 2, "epochs": 8, "validates": false, "step": 31, "steps": 98, "images": 784,
            "loss": 0.41249, "mean_iou": 0.6123, "images_per_second": 45.21, "eta_seconds": 190.0,
        });
        let training = Some(serde_json::from_value(training).unwrap());
        RunStatus { training, ..status(Stage::Train, count(0, 1)) }
    }

    #[test]
    fn a_training_tells_epoch_step_loss_score_speed_and_time_left() {
        let plain = plain(&learns());
        let facts =
            "[3/4] train  epoch 2/8  step 31/98  loss 0.412  IoU 0.612  45.2 images/s  3 min 10 s left";
        assert_eq!(plain, format!("coast-line-of-norway-1a2b3c4d  {facts}"));
        let wide = line(&learns(), 200);
        assert!(wide.contains("train  ████░░░") && wide.ends_with("left"), "{wide}");
    }

    #[test]
    fn a_training_that_waits_for_chips_says_so() {
        let mut status = learns();
        status.training = status.training.map(|training| Training {
            waits_for: Some(16),
            loss: None,
            mean_iou: None,
            images_per_second: 0.0,
            ..training
        });
        let facts = "train  epoch 2/8  step 31  waiting for chips: at most 16 items to come";
        assert!(plain(&status).contains(facts), "{}", plain(&status));
        assert_eq!(share(&status), Some(0.125), "of the second epoch nobody knows the steps");
    }

    #[test]
    fn a_prediction_tells_items_pixels_speed_and_time_left() {
        let plain = at_work(&status(Stage::Predict, count(3, 12)));
        assert_eq!(plain, "[3/3] predict  3/12 items  0.4/2.2 Mpx  1.25 Mpx/s  3 min 10 s left");
        assert!(
            at_work(&RunStatus { held: 0, ..status(Stage::Chip, count(0, 1)) })
                .ends_with("[2/3] chip  0/1 item  waiting for a worker")
        );
    }

    #[test]
    fn no_line_is_wider_than_its_terminal_and_what_matters_most_stays() {
        for status in [learns(), status(Stage::Predict, count(3, 12)), status(Stage::Survey, count(1, 4))] {
            for width in 1..240 {
                let line = line(&status, width);
                assert!(line.chars().count() < width, "{width}: {line}");
            }
            assert!(line(&status, 60).contains("left"));
        }
        let narrow = line(&learns(), 60);
        assert!(
            narrow.contains("epoch 2/8") && narrow.contains("left") && !narrow.contains("norway"),
            "{narrow}"
        );
        assert_eq!(line(&learns(), 16), "[3/4] train");
    }

    #[test]
    fn a_run_that_waits_says_for_what() {
        let paused = RunStatus { state: RunState::Paused, ..learns() };
        assert!(plain(&paused).ends_with("paused; go on with: swath resume coast-line-of-norway-1a2b3c4d"));
        let preparing = RunStatus { at_work: None, n_failures: 2, ..learns() };
        assert!(plain(&preparing).ends_with("preparing  2 set aside"));
    }
}

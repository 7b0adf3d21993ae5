//! How long stages will take, by how long they took in an earlier run. Pure.

use swath_proto::{
    ids::RunId,
    item::{ModelRef, Stage},
    run::RunRecord,
    status::{Rented, RunStatus, StageCount},
};

/// A run that was, so far as it came.
pub struct Past {
    pub record: RunRecord,
    pub status: RunStatus,
}

/// What a stage still has to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Left {
    pub items: u64,
    /// Of scenes, for stages that go over them.
    pub pixels: f64,
    /// Chips that a training goes over, over all epochs.
    pub images: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Time {
    pub seconds: f64,
    /// The run that it is taken from.
    pub like: RunId,
    /// Of rented machines, as that run had them for this stage.
    pub rented: Vec<Rented>,
}

/// As long as it took the first of these that did the same kind of work, with the workers it had.
pub fn time(stage: Stage, record: &RunRecord, left: Left, past: &[Past]) -> Option<Time> {
    past.iter().filter(|past| is_alike(stage, record, &past.record)).find_map(|past| {
        let count = past.status.stages.get(stage.name())?;
        if count.made == 0 || count.seconds <= 0.0 {
            return None;
        }
        let done = done(stage, *count, &past.status);
        let left = match stage {
            Stage::Train => left.images,
            Stage::Predict | Stage::Assemble | Stage::Eval | Stage::Vectorize | Stage::Merge => left.pixels,
            _ => left.items as f64,
        };
        let times = left / done?;
        let rented = past.status.rented.iter().filter(|rented| rented.stage == Some(stage));
        let rented =
            rented.map(|rented| Rented { seconds: rented.seconds * times, ..rented.clone() }).collect();
        Some(Time { seconds: count.seconds * times, like: past.record.run.clone(), rented })
    })
}

/// In the measure of what is left.
fn done(stage: Stage, count: StageCount, status: &RunStatus) -> Option<f64> {
    let done = match stage {
        Stage::Train => {
            let training = status.training.as_ref()?;
            // One that was broken off has got as far as its epoch.
            let epochs = if count.done > 0 { training.epochs } else { training.epoch.saturating_sub(1) };
            f64::from(epochs) * training.images as f64
        }
        Stage::Predict | Stage::Assemble | Stage::Eval | Stage::Vectorize | Stage::Merge => {
            status.pixels as f64 * count.made as f64 / count.items.max(1) as f64
        }
        _ => count.made as f64,
    };
    (done > 0.0).then_some(done)
}

fn is_alike(stage: Stage, one: &RunRecord, other: &RunRecord) -> bool {
    let windows = |record: &RunRecord| record.learn.as_ref().map(|learn| learn.windows.clone());
    match stage {
        Stage::Chip => windows(one) == windows(other),
        Stage::Train => {
            one.predict.model.architecture == other.predict.model.architecture
                && windows(one) == windows(other)
        }
        Stage::Predict => {
            let shape = |record: &RunRecord| {
                let plan = &record.predict;
                let of_each = |one: &ModelRef| (one.architecture, one.precision.name());
                let networks: Vec<_> = plan.model.networks().iter().map(of_each).collect();
                (networks, plan.model.engine, plan.model.device, plan.window, plan.batch, plan.mixing)
            };
            shape(one) == shape(other)
        }
        _ => true,
    }
}

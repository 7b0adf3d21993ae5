//! `run --test`: any pipeline, cut down to minutes. All its stages and seams stay; scenes, chips and epochs
//! are few.

use swath_proto::pipeline::{Group, Pipeline, TestScenes};

use super::scenes::NamedScene;

const EPOCHS: u32 = 2;
const WINDOWS: u64 = 64;

pub(super) fn cut(pipeline: &mut Pipeline) {
    if pipeline.run.test {
        pipeline.name.truncate(50);
        pipeline.name.push_str("-test");
        pipeline.train.epochs = pipeline.train.epochs.min(EPOCHS);
        // The last epoch is to show what the encoder does once it learns.
        pipeline.train.freeze_encoder = pipeline.train.freeze_encoder.min(EPOCHS - 1);
        pipeline.chips.max_windows = pipeline.chips.max_windows.min(WINDOWS);
    }
}

/// The first few scenes of each group.
pub(super) fn few(scenes: Vec<NamedScene>, wanted: TestScenes) -> Vec<NamedScene> {
    let mut kept = Vec::new();
    for group in Group::ALL {
        let n = match group {
            Group::Train => wanted.train,
            Group::Validation => wanted.validation,
            Group::Predict => wanted.predict,
        };
        kept.extend(scenes.iter().filter(|scene| scene.group == group).take(n as usize).cloned());
    }
    kept
}

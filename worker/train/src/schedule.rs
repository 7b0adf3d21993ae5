//! The learning rate of each step.

use std::f64::consts::PI;

use swath_proto::train::{Schedule, TrainSpec};

/// `step` counts from the beginning of the training.
pub(crate) fn learning_rate(spec: &TrainSpec, steps_per_epoch: u64, step: u64) -> f64 {
    let all = (u64::from(spec.epochs) * steps_per_epoch) as f64;
    spec.lr
        * match spec.schedule {
            Schedule::OneCycle => one_cycle(spec.epochs, steps_per_epoch, step),
            Schedule::Constant => 1.0,
            Schedule::Cosine => 0.5 * (1.0 + (PI * step as f64 / all).cos()),
            Schedule::MultiStep => {
                let is_past = |after: &&u32| step >= u64::from(**after) * steps_per_epoch;
                0.1_f64.powi(spec.milestones.iter().filter(is_past).count() as i32)
            }
        }
}

/// PyTorch's `CyclicLR` as Raster Vision sets it up: from a tenth of the rate, and back.
fn one_cycle(epochs: u32, steps_per_epoch: u64, step: u64) -> f64 {
    let up_epochs = u64::from(epochs) / 2;
    if up_epochs == 0 {
        return 1.0;
    }
    let up = (up_epochs * steps_per_epoch) as f64;
    let all = (u64::from(epochs) * steps_per_epoch) as f64;
    let at = step as f64;
    let height = if at <= up { at / up } else { (all - at) / (all - up) };
    0.1 + 0.9 * height.max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(epochs: u32, steps_per_epoch: u64, schedule: Schedule) -> Vec<f64> {
        let text = format!(r#"{{"architecture":"tiny","classes":2,"epochs":{epochs},"lr":0.001}}"#);
        let milestones = vec![2, 3];
        let spec = TrainSpec { schedule, milestones, ..serde_json::from_str(&text).unwrap() };
        let steps = u64::from(epochs) * steps_per_epoch;
        (0..steps).map(|step| learning_rate(&spec, steps_per_epoch, step)).collect()
    }

    /// `torch.optim.lr_scheduler.CyclicLR(optimizer, 1e-4, 1e-3, 2 * 3, 3 * 3, cycle_momentum=False)`.
    #[test]
    fn one_cycle_is_that_of_pytorch() {
        let found = rates(5, 3, Schedule::OneCycle);
        assert_eq!(found.len(), PYTORCH.len());
        for (found, wanted) in found.iter().zip(PYTORCH) {
            assert!((found - wanted).abs() < 1e-12, "{found} where {wanted} belongs");
        }
    }

    /// `CosineAnnealingLR(optimizer, 8)` and `MultiStepLR(optimizer, [4, 6])`, a step for each of theirs.
    #[test]
    fn cosines_and_steps_are_those_of_pytorch() {
        let near = |found: Vec<f64>, wanted: [f64; 8]| {
            assert!(found.iter().zip(wanted).all(|(one, other)| (one - other).abs() < 1e-9), "{found:?}");
        };
        let cosine = [
            0.001,
            0.000961939766,
            0.000853553391,
            0.000691341716,
            0.0005,
            0.000308658284,
            0.000146446609,
            0.000038060234,
        ];
        near(rates(4, 2, Schedule::Cosine), cosine);
        let stepped = [0.001, 0.001, 0.001, 0.001, 0.0001, 0.0001, 0.00001, 0.00001];
        near(rates(4, 2, Schedule::MultiStep), stepped);
    }

    #[test]
    fn a_single_epoch_and_a_constant_rate_stay_where_they_are() {
        assert_eq!(rates(1, 3, Schedule::OneCycle), [0.001; 3]);
        assert_eq!(rates(3, 1, Schedule::Constant), [0.001; 3]);
    }

    const PYTORCH: [f64; 15] =
        [1e-4, 2.5e-4, 4e-4, 5.5e-4, 7e-4, 8.5e-4, 1e-3, 9e-4, 8e-4, 7e-4, 6e-4, 5e-4, 4e-4, 3e-4, 2e-4];
}

//! The learning rate of each step.

use swath_proto::train::{Schedule, TrainSpec};

/// `step` counts from the beginning of the training. One cycle is PyTorch's `CyclicLR` as Raster
/// Vision sets it up: from a tenth of the rate, and back.
pub(crate) fn learning_rate(spec: &TrainSpec, steps_per_epoch: u64, step: u64) -> f64 {
    let up_epochs = u64::from(spec.epochs) / 2;
    if spec.schedule == Schedule::Constant || up_epochs == 0 {
        return spec.lr;
    }
    let up = (up_epochs * steps_per_epoch) as f64;
    let all = (u64::from(spec.epochs) * steps_per_epoch) as f64;
    let at = step as f64;
    let height = if at <= up { at / up } else { (all - at) / (all - up) };
    spec.lr * (0.1 + 0.9 * height.max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(epochs: u32, steps_per_epoch: u64, schedule: Schedule) -> Vec<f64> {
        let text = format!(r#"{{"architecture":"tiny","classes":2,"epochs":{epochs},"lr":0.001}}"#);
        let spec = TrainSpec { schedule, ..serde_json::from_str(&text).unwrap() };
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

    #[test]
    fn a_single_epoch_and_a_constant_rate_stay_where_they_are() {
        assert_eq!(rates(1, 3, Schedule::OneCycle), [0.001; 3]);
        assert_eq!(rates(3, 1, Schedule::Constant), [0.001; 3]);
    }

    const PYTORCH: [f64; 15] =
        [1e-4, 2.5e-4, 4e-4, 5.5e-4, 7e-4, 8.5e-4, 1e-3, 9e-4, 8e-4, 7e-4, 6e-4, 5e-4, 4e-4, 3e-4, 2e-4];
}

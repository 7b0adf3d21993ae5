//! Numbers that the next step depends on, beside tensors.

use super::scale::Scale;

/// Part of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Steps that the optimizer has taken.
    pub updates: u64,
    /// Those of them in which the encoder stayed as it was.
    pub frozen: u64,
    /// In fp16 alone.
    pub scale: Option<Scale>,
}

impl Counts {
    /// As they go from one rank to another.
    pub(super) fn numbers(self) -> [f64; 4] {
        let scale = self.scale.map_or([0.0; 2], |scale| [scale.factor, scale.good_steps.into()]);
        [self.updates as f64, self.frozen as f64, scale[0], scale[1]]
    }

    /// Those of a rank that computes in the same precision.
    pub(super) fn follow(&mut self, [updates, frozen, factor, good_steps]: [f64; 4]) {
        (self.updates, self.frozen) = (updates as u64, frozen as u64);
        if let Some(scale) = &mut self.scale {
            *scale = Scale { factor, good_steps: good_steps as u32 };
        }
    }
}

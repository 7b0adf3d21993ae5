//! What losses are multiplied by before they go backward in fp16, whose smallest numbers would lose small gradients.
//! PyTorch's rule: twice as much after many good steps, half of it after a step whose gradient is no number.

use serde::{Deserialize, Serialize};

use crate::error::{ModelError, Result};

/// PyTorch's.
const FIRST: f64 = 65536.0;
const STEPS_TO_RISE: u32 = 2000;

/// Part of the state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    pub(super) factor: f64,
    /// Since it has changed.
    pub(super) good_steps: u32,
}

impl Scale {
    pub(super) const fn first() -> Self {
        Self { factor: FIRST, good_steps: 0 }
    }

    /// After a step whose gradient was a number.
    pub(super) fn risen(self) -> Self {
        match self.good_steps + 1 {
            STEPS_TO_RISE => Self { factor: self.factor * 2.0, good_steps: 0 },
            good_steps => Self { good_steps, ..self },
        }
    }

    /// After one whose gradient was none.
    pub(super) fn fallen(self) -> Result<Self> {
        if self.factor <= 1.0 {
            return Err(ModelError::data(
                "the gradient is no number in fp16, however small: lower the learning rate, or train in bf16 or fp32",
            ));
        }
        Ok(Self { factor: self.factor / 2.0, good_steps: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rises_after_many_good_steps_and_falls_after_a_bad_one() {
        let mut scale = Scale::first();
        for _ in 0..STEPS_TO_RISE - 1 {
            scale = scale.risen();
        }
        assert_eq!(scale, Scale { factor: FIRST, good_steps: STEPS_TO_RISE - 1 });
        assert_eq!(scale.fallen().unwrap(), Scale { factor: FIRST / 2.0, good_steps: 0 });
        scale = scale.risen();
        assert_eq!(scale, Scale { factor: 2.0 * FIRST, good_steps: 0 });
    }

    #[test]
    fn where_nothing_is_left_to_halve_it_says_what_to_do() {
        let mut scale = Scale::first();
        let text = loop {
            match scale.fallen() {
                Ok(fallen) => scale = fallen,
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(scale.factor, 1.0);
        assert!(text.contains("train in bf16 or fp32"), "{text}");
    }
}

//! How long an item may take before it is taken for one that never ends. Items are sized for about a
//! minute, so that the limits are far off; what is larger than that by its nature has room for it.

use std::time::Duration;

use swath_proto::item::Stage;

/// A whole scene against a part of one.
const WHOLE: u32 = 8;

/// Work that goes on for so long will not end.
const NO_END: Duration = Duration::from_secs(6 * 3600);

/// Inside native code at a stretch. Whoever exceeds it is ended with its process.
pub fn inside(stage: Stage, ordinary: Duration) -> Option<Duration> {
    match stage {
        // Days; its checkpoints say whether it goes on.
        Stage::Train => None,
        // All scenes of a run.
        Stage::Merge => Some(NO_END.max(ordinary)),
        // A probe may have chips to try 8 bits on.
        Stage::Assemble | Stage::Eval | Stage::Vectorize | Stage::Bundle | Stage::Probe => {
            Some(ordinary * WHOLE)
        }
        Stage::Survey | Stage::Analyze | Stage::Chip | Stage::Predict | Stage::Step | Stage::Noop => {
            Some(ordinary)
        }
    }
}

/// In a worker's hands, with all that it waits for there.
pub fn in_hand(stage: Stage, ordinary: Duration) -> Option<Duration> {
    match stage {
        Stage::Train => None,
        // A command of the user's own is no item that we have sized.
        Stage::Step => Some(NO_END.max(ordinary)),
        _ => inside(stage, ordinary).map(|inside| inside * 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As workers have it where nothing else is asked for.
    const ORDINARY: Duration = Duration::from_secs(15 * 60);

    #[test]
    fn only_a_training_may_go_on_for_ever_and_nobody_is_cut_off_inside_by_the_wider_limit() {
        for stage in Stage::ALL {
            let limits = inside(stage, ORDINARY).zip(in_hand(stage, ORDINARY));
            assert_eq!(limits.is_none(), stage == Stage::Train, "{stage}");
            assert!(limits.is_none_or(|(inside, in_hand)| inside >= ORDINARY && in_hand > inside), "{stage}");
        }
    }
}

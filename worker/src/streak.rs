//! Whether a worker is fit for its work: one that fails item after item, none of which is to blame, would go
//! through a whole run like this, faster than its healthy neighbours work.

use std::collections::HashSet;

use swath_proto::{ids::RunId, item::Place, outcome::FailureClass};

/// Different items that have failed here in a row. More than a coordinator needs to see that it is the run
/// that fails, and not the worker.
const TOO_MANY: usize = 10;

#[derive(Default)]
pub struct Streak {
    failed: HashSet<(RunId, Place)>,
}

impl Streak {
    pub fn succeeded(&mut self) {
        self.failed.clear();
    }

    /// Returns how many have failed in a row, once they are too many.
    pub fn failed(&mut self, run: &RunId, place: Place, class: FailureClass) -> Option<usize> {
        // Others would fail in the same way: no word on this worker.
        if matches!(class, FailureClass::Fault | FailureClass::Capacity) {
            self.failed.insert((run.clone(), place));
        }
        (self.failed.len() >= TOO_MANY).then_some(self.failed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::Stage;

    fn fail(streak: &mut Streak, index: u32, class: FailureClass) -> Option<usize> {
        streak.failed(&"r".parse().unwrap(), Place::new(Stage::Predict, 0, index), class)
    }

    #[test]
    fn ten_different_items_in_a_row_are_too_many() {
        let mut streak = Streak::default();
        for index in 0..9 {
            assert_eq!(fail(&mut streak, index, FailureClass::Fault), None);
        }
        assert_eq!(
            fail(&mut streak, 8, FailureClass::Fault),
            None,
            "one item again and again is the item's fault"
        );
        assert_eq!(fail(&mut streak, 9, FailureClass::Data), None, "bad data is no worker's fault");
        assert_eq!(fail(&mut streak, 9, FailureClass::Capacity), Some(10));
        streak.succeeded();
        assert_eq!(fail(&mut streak, 10, FailureClass::Fault), None);
    }
}

//! A forward pass in 16 bits. The backward pass is computed in what the forward pass was, layer by layer.

use swath_proto::train::Precision;

use crate::place::Place;

/// What `pass` computes on this thread and there, in these numbers.
pub(super) fn computed_in<T>(precision: Precision, place: Place, pass: impl FnOnce() -> T) -> T {
    let kind = match precision {
        Precision::Fp32 => return pass(),
        Precision::Bf16 => 0,
        Precision::Fp16 => 1,
    };
    let on_card = place != Place::Processor;
    // SAFETY: sets what this thread computes in, and throws nothing.
    unsafe { swath_learner_begin_autocast(kind, on_card) };
    let _ends = Ends { on_card };
    pass()
}

/// However the pass ends.
struct Ends {
    on_card: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { swath_learner_end_autocast(self.on_card) };
    }
}

unsafe extern "C" {
    fn swath_learner_begin_autocast(kind: i32, on_card: bool);
    fn swath_learner_end_autocast(on_card: bool);
}

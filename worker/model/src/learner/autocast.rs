//! A forward pass in 16 bits. The backward pass is computed in what the forward pass was, layer by layer.

use swath_proto::train::Precision;

/// What `pass` computes on this thread, in these numbers.
pub(super) fn computed_in<T>(precision: Precision, pass: impl FnOnce() -> T) -> T {
    let kind = match precision {
        Precision::Fp32 => return pass(),
        Precision::Bf16 => 0,
        Precision::Fp16 => 1,
    };
    // SAFETY: sets what this thread computes in, and throws nothing.
    unsafe { swath_learner_begin_autocast(kind) };
    let _ends = Ends;
    pass()
}

/// However the pass ends.
struct Ends;

impl Drop for Ends {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { swath_learner_end_autocast() };
    }
}

unsafe extern "C" {
    fn swath_learner_begin_autocast(kind: i32);
    fn swath_learner_end_autocast();
}

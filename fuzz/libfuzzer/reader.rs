//! One program for all targets, since linking takes longer than anything else: `SWATH_FUZZ_TARGET` names one.

#![no_main]

use std::sync::LazyLock;

use swath_fuzz::Target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("SWATH_FUZZ_TARGET").unwrap_or_default();
    Target::named(&name).expect("SWATH_FUZZ_TARGET must name a target")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

//! Which windows of a scene become chips. [`SlidingWindows`] lie on a lattice, [`RandomWindows`] where
//! the [`draw`]s fall; [`Keep`] says what is dropped once a chip's pixels are counted. Window `i`
//! of a scene is a function of its specification and of `i` alone: items may cut the sequence
//! anywhere, and no list of windows is ever held.

mod draw;
mod keep;
mod random;
mod sliding;

pub use keep::{Counts, Keep, Verdict};
pub use random::{Drawn, RandomWindows};
pub use sliding::SlidingWindows;

/// Edges and far ends stay below this, so that no sum or product overflows.
const MAX_PX: u64 = 1 << 31;

/// A specification that can't be followed: it comes from files and messages.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadChips {
    #[error("{0} must not be 0")]
    Zero(&'static str),
    #[error("{0} must be less than 2^31 px")]
    TooLarge(&'static str),
    #[error("windows that begin at every stride are padded at the end only")]
    PadDirection,
    #[error("{what} from {from} to below {below} px hold no size")]
    Sizes { what: &'static str, from: u32, below: u32 },
    #[error("{what} must lie between 0 and 1, not {got}")]
    Share { what: &'static str, got: f64 },
    #[error("min_target_pixels needs target_classes")]
    NoTargets,
    #[error("class {0} is named twice among the target_classes")]
    TargetTwice(u8),
}

fn below_limit(what: &'static str, px: impl IntoIterator<Item = u64>) -> Result<(), BadChips> {
    if px.into_iter().any(|px| px >= MAX_PX) { Err(BadChips::TooLarge(what)) } else { Ok(()) }
}

//! Training samples in a file that others read too: a shard is a WebDataset tar of chips beside an
//! index of its bytes, so that one ranged read fetches any chip. `docs/shard-format.md` is the
//! format.
//!
//! Nothing here performs IO but what a caller's sink does. Read in this order: [`image`] and [`chip`]
//! are what is stored, [`key`] is how it is named, [`mod@write`] lays it out, [`index`] says where
//! it lies, [`read`] gets it back. What is read comes from a store that others can write to: nothing
//! in it is believed before it is checked.

pub mod chip;
pub mod image;
pub mod index;
pub mod key;
mod npy;
mod png;
pub mod read;
pub mod write;

pub use chip::{Chip, Draw};
pub use image::{Image, SampleType, Shape};
pub use index::{Entry, Index, fuzz_index};
pub use key::ChipKey;
pub use png::Encoding;
pub use read::read_chip;
pub use write::{EncodedChip, ShardWriter};

/// A tar counts in blocks: headers take one, data are filled up to whole ones.
const BLOCK: u64 = 512;
/// Two empty blocks end a tar.
const TAR_END: u64 = 2 * BLOCK;

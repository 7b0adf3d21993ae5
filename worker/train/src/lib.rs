//! Trains a network from shards of chips, on one rank or on several. Nothing here reads imagery, so it builds
//! without GDAL; nothing here names a tensor, which is `swath-model`'s.
//!
//! Read [`mod@train`] first: it is the loop; [`validate`] is what comes after each epoch. [`data`] are the chips,
//! checked from their indexes; [`order`] is all that is drawn, [`schedule`] the learning rate, [`sample`] what the
//! network is given of a chip ([`turned`]), each a pure function; [`ahead`] fetches and decodes beside the computing:
//! [`fetch`] from the store, or from the [`cache`], and [`unread`] is what becomes of chips that can't be. [`checkpoint`]
//! is what is needed to go on; [`mod@progress`] and [`log`] are what people look at, [`events`] for TensorBoard.
//! [`mod@backbone`] fetches encoders that others trained. [`gang`] is how several processes do it together. [`int8`]
//! sees afterwards whether 8 bits will do.

mod ahead;
mod backbone;
mod cache;
mod checkpoint;
mod data;
mod error;
mod events;
mod fetch;
pub mod gang;
mod int8;
mod loader;
mod log;
mod order;
mod progress;
mod sample;
mod schedule;
mod store;
mod train;
mod turned;
mod unread;
mod validate;

pub use backbone::{MIRROR_VARIABLE, backbone};
pub use checkpoint::Best;
pub use data::Shard;
pub use error::{Kind, Result, TrainError};
pub use int8::Calibrated;
pub use loader::load_epoch;
pub use log::Row;
pub use progress::Progress;
pub use store::Store;
pub use train::{CHIP_CACHE, Finished, Job, LOADERS, Machine, Outcome, PASSING, most_ranks, train};

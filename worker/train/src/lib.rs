//! Trains a network from shards of chips, on one rank or on several. Nothing here reads imagery, so it builds
//! without GDAL; nothing here names a tensor, which is `swath-model`'s.
//!
//! Read [`mod@train`] first: it is the loop; [`validate`] is what comes after each epoch. [`data`] are the chips,
//! checked from their indexes; [`order`] is all that is drawn, [`pieces`] which
//! rank computes what, [`schedule`] the learning rate, [`sample`] what the
//! network is given of a chip, each a pure function; [`ahead`] fetches and decodes beside the computing. [`checkpoint`]
//! is what is needed to go on; [`mod@progress`] and [`log`] are what people look at, [`events`] for TensorBoard.
//! [`mod@backbone`] fetches encoders that others trained. [`gang`] is how several processes do it together. [`int8`]
//! sees afterwards whether 8 bits will do.

mod ahead;
mod backbone;
mod checkpoint;
mod data;
mod error;
mod events;
pub mod gang;
mod int8;
mod log;
mod order;
mod pieces;
mod progress;
mod sample;
mod schedule;
mod store;
mod train;
mod validate;

pub use backbone::{MIRROR_VARIABLE, backbone};
pub use checkpoint::Best;
pub use data::Shard;
pub use error::{Kind, Result, TrainError};
pub use int8::Calibrated;
pub use log::Row;
pub use progress::Progress;
pub use store::Store;
pub use train::{Finished, Job, LOADERS, Machine, Outcome, PASSING, most_ranks, train};

//! Trains a network from shards of chips, on one rank or on several. Nothing here reads imagery, so it builds
//! without GDAL; nothing here names a tensor, which is `swath-model`'s.
//!
//! Read [`mod@train`] first: it is the loop, from where [`begin`] says to what [`finished`] writes; [`validate`] is what
//! comes after each epoch. [`data`] are the chips, checked from their indexes; [`samples`] and [`oversample`] say which an
//! epoch takes, [`coming`] the first where chips are still being cut, [`pieces`] which rank computes what, [`order`] is
//! how all is drawn, [`schedule`] the learning rate, [`sample`] and [`augment`] what the network is given of a chip
//! ([`turned`]), each a pure function.
//!
//! [`ahead`] fetches and decodes beside the computing: [`fetch`] from the [`store`], or from the [`cache`], which
//! [`loader`] has prepared, and [`unread`] is what becomes of chips that can't be. [`checkpoint`] is what is needed to go
//! on, [`saver`] writes it beside the steps, [`shelf`] says which of several; [`suspect`] looks for the chip whose loss is
//! no number. [`mod@progress`], [`log`] and [`pictures`] (drawn by [`sheet`]) are what people look at, [`events`] for
//! TensorBoard.
//!
//! [`mod@backbone`] fetches encoders that others trained. [`gang`] is how several processes do it together. [`int8`]
//! sees afterwards whether 8 bits will do.

mod ahead;
mod augment;
mod backbone;
mod begin;
mod cache;
mod checkpoint;
mod coming;
mod data;
mod error;
mod events;
mod fetch;
mod finished;
pub mod gang;
mod int8;
mod loader;
mod log;
mod order;
mod oversample;
mod pictures;
mod pieces;
mod progress;
mod sample;
mod samples;
mod saver;
mod schedule;
mod sheet;
mod shelf;
mod spare;
mod starter;
mod store;
mod suspect;
mod train;
mod turned;
mod unread;
mod validate;

#[cfg(test)]
extern crate self as swath_train;
#[cfg(test)]
mod tests;

pub use backbone::{MIRROR_VARIABLE, backbone};
pub use checkpoint::Best;
pub use coming::steps_so_far;
pub use data::Shard;
pub use error::{Kind, Result, TrainError};
pub use finished::{Finished, PASSING};
pub use int8::Calibrated;
pub use loader::load_epoch;
pub use log::Row;
pub use pieces::most_ranks;
pub use progress::Progress;
pub use starter::end_with_starter;
pub use store::Store;
pub use train::{CHIP_CACHE, Job, LOADERS, Machine, Outcome, train};

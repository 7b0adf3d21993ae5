//! A worker receives items, claims each in the ledger, reads just the pixels it names, computes,
//! writes one output under a key derived from the item, and says so in the ledger.
//!
//! Read [`run`] first: THE loop. [`attempt`] is the way of one item, [`jobs`] are the things an item
//! can ask for, [`device`] is the thread that owns the model, [`keeper`] keeps leases alive,
//! [`supervise`] and [`native`] find out which item killed a worker.

pub mod attempt;
pub mod context;
pub mod device;
pub mod failure;
pub mod jobs;
pub mod keeper;
pub mod models;
pub mod native;
mod progress;
pub mod run;
pub mod supervise;

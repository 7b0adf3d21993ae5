//! A worker receives items, claims each in the ledger, reads just the pixels it names, computes,
//! writes one output under a key derived from the item, and says so in the ledger.
//!
//! Read [`run`] first: THE loop. [`attempt`] is the way of one item, [`jobs`] are the things an item
//! can ask for, [`device`] is the thread that owns the model, [`keeper`] keeps leases alive, [`presence`] says that this worker is there,
//! [`supervise`] and [`native`] find out which item killed a worker, [`failure`] says what becomes of an
//! item that failed, [`metrics`] what is shown to Prometheus.

pub mod aftermath;
pub mod attempt;
pub mod context;
pub mod crowd;
pub mod device;
pub mod failure;
pub mod holds;
pub mod idle;
pub mod jobs;
pub mod keeper;
pub mod limits;
pub mod metrics;
pub mod models;
pub mod native;
mod oom;
pub mod phases;
pub mod presence;
mod progress;
pub mod run;
mod streak;
pub mod supervise;
pub mod tail;

//! The doors to the outside: a [`queue`] that hands out items, a [`ledger`] that keeps score, and
//! [`blobs`] that hold everything that matters. Each has an embedded twin for one machine, which is
//! a product and passes the same [`contract`] as the servers do.
//!
//! URLs choose: see [`open`]. [`counted`] doors say how long calls take; what a process has to say of itself is
//! [`declared`], and shown at a [`door`] of its own. [`notices`] say that this machine is about to
//! be taken away.

#[cfg(feature = "aws")]
pub mod aws;
mod beside;
pub mod blobs;
pub mod contract;
pub mod counted;
pub mod declared;
pub mod door;
mod embedded;
pub mod error;
#[cfg(test)]
mod killed;
pub mod ledger;
pub mod metrics;
pub mod notices;
pub mod open;
pub mod outside;
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
mod query;
pub mod queue;
#[cfg(any(feature = "rabbitmq", feature = "redis"))]
mod tls;

pub use error::{Error, Kind, Result};

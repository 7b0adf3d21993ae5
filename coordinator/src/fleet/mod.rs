//! Workers come with the backlog and leave with it.
//!
//! Read in this order: [`policy`] is what is asked of a fleet, [`target`] decides how many workers there should be
//! (pure), [`market`] where the next ones are started (pure), [`provider`] is where they come from, [`batch`] one of those.

pub mod batch;
pub mod market;
pub mod policy;
pub mod provider;
#[cfg(test)]
mod simulator;
pub mod target;
mod words;

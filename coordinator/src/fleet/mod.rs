//! Workers come with the backlog and leave with it.
//!
//! Read in this order: [`policy`] is what is asked of a fleet, [`target`] decides how many workers there should be
//! (pure), [`market`] where the next ones are started and `budget` whether any may be (pure), [`provider`] is where they come from, [`local`] this
//! machine as such and [`batch`] rented ones, `book` keeps account of them (pure), [`commands`] is what people ask, [`control`] is the loop that
//! does it all, and `report` what it tells. [`picture`] draws how a fleet went.

pub mod batch;
mod book;
mod budget;
pub mod commands;
pub mod control;
pub mod local;
pub mod market;
pub mod picture;
pub mod policy;
pub mod provider;
mod report;
mod shown;
#[cfg(test)]
mod simulator;
pub mod target;
mod words;

//! Workers come with the backlog and leave with it.

pub mod batch;
pub mod provider;

//! Workers as jobs of AWS Batch: the only place that names its SDK.
//!
//! SubmitJob knows no token, so that asking twice starts twice. Here an order's token is its job's name ([`names`]):
//! whoever starts looks for the name first, asks once, and where the answer is missing looks again and asks nothing
//! more before the name would have been listed ([`submit`]). What Batch says of a job becomes one of our states
//! ([`state`]); what keeps jobs from machines is looked for in their queue ([`queues`]).

#[cfg(feature = "batch")]
mod client;
#[cfg(feature = "batch")]
mod definition;
#[cfg(feature = "batch")]
mod failure;
#[cfg(feature = "batch")]
mod gang;
#[cfg(feature = "batch")]
pub mod gangs;
#[cfg(feature = "batch")]
mod jobs;
#[cfg(feature = "batch")]
mod look;
#[cfg(feature = "batch")]
pub mod names;
#[cfg(feature = "batch")]
mod provider;
#[cfg(feature = "batch")]
mod queues;
#[cfg(feature = "batch")]
mod register;
pub mod settings;
#[cfg(feature = "batch")]
mod state;
#[cfg(feature = "batch")]
mod submit;

#[cfg(feature = "batch")]
pub use self::{
    gang::Gang,
    provider::{Batch, Tried, are_reachable},
};

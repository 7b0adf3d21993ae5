//! The coordinator turns a pipeline into items, feeds them to the queue a little ahead of need,
//! keeps score, and never touches a pixel. It can die at any moment: everything it knows lies in
//! the ledger and under the root.
//!
//! Read in this order: [`freeze`] makes a run of a pipeline file, [`plan`] says which items a run has
//! (pure), [`board`] is what is known of them (pure), [`feed`] and [`sweep`] decide what to publish
//! (pure), [`steps`] are the commands of the user's own among them (pure), [`run`] is the state machine that does it, [`serve`] watches a root for runs (and says so: [`presence`]),
//! [`sharing`] divides the workers among them, [`fleet`] starts workers and sends them away. `rent` counts the time of rented
//! machines, and [`money`] says what it costs. `conclude`, `catalogue` and `report` are what is told at a run's end, [`metrics`] and
//! [`discovery`] what Prometheus is told meanwhile.
//! [`http`] is the page for people and its API, [`live`] how it hears of runs that are served in the same process.

mod bits;
pub mod board;
mod catalogue;
pub mod commands;
pub mod conclude;
pub mod discovery;
pub mod feed;
pub mod fleet;
pub mod freeze;
mod ground;
pub mod http;
pub mod live;
pub mod meter;
pub mod metrics;
pub mod money;
mod office;
mod out;
pub mod outlook;
mod phases;
pub mod plan;
pub mod presence;
pub mod rebuild;
pub mod records;
mod rent;
mod report;
pub mod run;
mod scores;
pub mod serve;
pub mod sharing;
mod shuffle;
pub mod speed;
pub mod steps;
mod stragglers;
mod streak;
pub mod sweep;
pub mod tally;
mod training;
mod vein;

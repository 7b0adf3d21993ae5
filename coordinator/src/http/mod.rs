//! The page, and the JSON API that it is made of: how runs stand, what they have made, and the few things that people
//! ask of them. It only looks: everything comes from the root and the ledger, so that any coordinator shows every run,
//! and what is asked goes the way of `swath pause`: a small object under the root.
//!
//! Read in this order: [`server`] is the socket, `security` what a request must get past, `access` who may come in,
//! `routes` what there is, `api/` one file a thing, `layout` where the parts of a run's scenes lie, and `cells` in which
//! state each of them is, `listed` what all runs are in a line each, `watch` what is told to all who look, over `events`, [`imagery`] how pixels are seen without
//! GDAL being named here, `assets` the bundle of `web/`.

mod access;
mod api;
mod assets;
mod cells;
mod compress;
mod error;
mod events;
pub mod imagery;
mod layout;
mod listed;
mod progress;
mod rate;
mod routes;
mod security;
mod server;
mod site;
mod tiles;
mod watch;

pub use access::Token;
pub use server::{Door, Options};
pub use site::Page;

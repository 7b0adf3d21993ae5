//! The system from outside. One binary, so that servers are started and the program is linked once.

mod contracts;
mod control;
mod data;
mod duplicates;
mod faults;
mod heals;
mod idle;
mod kills;
mod learns;
mod overlap;
mod readers;
mod same_bytes;
mod shape;
mod shared_servers;
mod silence;
mod site;
mod steers;
mod steps;

//! The system from outside. One binary, so that servers are started and the program is linked once.

mod contracts;
mod control;
mod data;
mod duplicates;
mod failures;
mod full_disk;
mod heals;
mod kills;
mod learns;
mod preemption;
mod readers;
mod same_bytes;
mod shape;
mod shared_servers;
mod silence;
mod site;
mod steers;
mod steps;
mod stragglers;

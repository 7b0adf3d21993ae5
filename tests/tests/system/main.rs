//! The system from outside. One binary, so that servers are started and the program is linked once.

mod contracts;
mod control;
mod data;
mod duplicates;
mod heals;
mod kills;
mod learns;
mod readers;
mod same_bytes;
mod shape;
mod shared_servers;
mod silence;
mod site;
mod small_scenes;
mod steers;
mod steps;

//! The system from outside. One binary, so that servers are started and the program is linked once.

mod contracts;
mod control;
mod counted;
mod data;
mod duplicates;
mod heals;
mod kills;
mod learns;
mod readers;
mod root_alone;
mod same_bytes;
mod scale;
mod shape;
mod shared_servers;
mod shares;
mod silence;
mod site;
mod small_scenes;
mod sqs;
mod steers;
mod steps;
mod versions;

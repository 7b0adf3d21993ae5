//! The system from outside. One binary, so that servers are started and the program is linked once.

mod broker;
mod clusters;
mod contracts;
mod control;
mod counted;
mod data;
mod duplicates;
mod heals;
mod kills;
mod learns;
mod readers;
mod refusals;
mod root_alone;
mod same_bytes;
mod scale;
mod secrets;
mod shape;
mod shared_servers;
mod shares;
mod silence;
mod site;
mod sqs;
mod steers;
mod steps;
mod tls;
mod versions;

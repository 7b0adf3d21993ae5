//! Several processes that train one network: each is a rank, which holds the whole network and computes its part of
//! every batch. [`file`](mod@file) says what is trained, to whoever is started to help; [`init`] what it begins with; [`seat`] where one stands
//! among the others; [`rank`] is the work of one, which tells how it goes in [`words`]; a [`supervisor`] starts all of them on
//! this machine, a [`generation`] at a time, and anew when one dies or falls silent. Over several machines, each is a
//! [`party`], which knows the others by its [`membership`]; who is in the next generation is the leader's [`plan`].

mod file;
mod generation;
mod init;
mod membership;
mod party;
mod plan;
mod rank;
mod seat;
mod supervisor;
mod words;

pub use file::{BadTrainFile, read_file};
pub use membership::Joining;
pub use party::supervise_together;
pub use rank::{Rank, leave, say_failed, work};
pub use seat::{Seat, address_towards};
pub use supervisor::{Ranks, rank_command, supervise};
pub use swath_proto::train::{Shards, TrainFile};

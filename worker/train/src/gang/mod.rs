//! Several processes that train one network: each is a rank, which holds the whole network and computes its part of
//! every batch. [`file`](mod@file) says what is trained, to whoever is started to help; [`init`] what it begins with; [`seat`] where one stands
//! among the others; [`rank`] is the work of one, which tells how it goes in [`words`]; a [`supervisor`] starts all of them on
//! this machine, a [`generation`] at a time, and anew when one dies or falls silent.

mod file;
mod generation;
mod init;
mod rank;
mod seat;
mod supervisor;
mod words;

pub use file::{BadTrainFile, Shards, TrainFile};
pub use rank::{Rank, leave, say_failed, work};
pub use seat::Seat;
pub use supervisor::{Ranks, rank_command, supervise};

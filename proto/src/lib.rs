//! The words of the wire: what coordinator, workers and stores say to each other.
//!
//! Nothing here performs IO. Read in this order: [`ids`] name things, [`geometry`] places them in
//! pixels, [`access`] says how buckets are reached, [`source`] how pixels and labels are read and [`filter`] which labels, [`chips`] which windows
//! become training samples, [`train`] how a network learns from them and [`learn`] what a run trains on,
//! [`vectors`] what polygons are drawn, [`steps`] which commands of the user's own are run, [`item`] is the unit of work, [`envelope`] is an item on the queue,
//! [`reference`](mod@reference) stands for one that is too long, [`outcome`] is how it ended, [`finished`] which files it leaves,
//! [`footprint`] where their scene lies on the globe, [`scene`] and [`run`] are what was frozen when a run began, [`pipeline`] is the file a
//! person writes, [`text`] what such files have to be, [`fleet`] is how a fleet stands, [`worker`] what a worker says of itself, [`keys`] is where everything lies under the root.

pub mod access;
pub mod chips;
pub mod envelope;
pub mod filter;
pub mod finished;
pub mod fleet;
pub mod footprint;
pub mod geometry;
pub mod ids;
pub mod item;
pub mod keys;
pub mod learn;
pub mod numeric;
pub mod outcome;
pub mod phases;
pub mod pipeline;
pub mod reference;
pub mod run;
pub mod scene;
pub mod score;
pub mod source;
pub mod status;
pub mod steps;
pub mod text;
pub mod train;
pub mod vectors;
pub mod worker;

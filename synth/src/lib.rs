//! Draws labelled aerial scenes: buildings of many roofs and shapes, roads, trees over roofs,
//! shadows, and things that share the roofs' colours. A scene is a function of its seed and of
//! coordinates alone, so any strip of it can be drawn by itself, in memory that depends on the strip.
//!
//! [`hash`] gives random numbers by place, [`plan`] lays out a district, [`shape`] says what is inside
//! a footprint, [`paint`] colours a pixel, [`scene`] puts a strip together, [`surface`] says what is where.
//! [`like`] lays scenes out as the data sets of others are.

mod hash;
pub mod like;
mod paint;
mod plan;
mod scene;
mod shape;
mod surface;

pub use plan::DISTRICT_PX;
pub use scene::{Building, Scene};
pub use surface::Surface;

//! Polygons of one class out of a class raster, item by item, equal to tracing the whole raster.
//!
//! A worker has an item's pixels and a halo around them; it removes noise (`opening`), finds the
//! 4-connected regions (`regions`) and their outlines (`chains`), and leaves a [`Fragment`] (`wire`
//! are its bytes). Whoever reads all fragments of a scene, in any order, joins regions across the
//! borders of items (`join`, `open`, `cover`) and outlines into `rings`; each region becomes one
//! [`Polygon`] as soon as it is whole, and may be simplified ([`simplify()`]) or, where people built it, be
//! given right angles ([`square()`]).
//!
//! Scenes that are tiles of one grid may be traced as one (`mosaic`).
//!
//! All coordinates are corners of pixels, in pixels of the scene, rows downwards. An outer ring
//! runs counter-clockwise *as seen on the screen*, a hole clockwise. A north-up transform turns
//! rows over, so rings come out as RFC 7946 wants them with no further step; under a transform of
//! positive determinant (rows to the north) whoever maps the corners must reverse each ring.

mod bits;
mod cells;
mod chains;
mod corner;
mod cover;
mod fragment;
mod join;
mod mosaic;
mod open;
mod opening;
mod outline;
mod polygon;
mod regions;
mod rings;
mod sides;
mod simplify;
mod square;
#[cfg(test)]
mod tests;
mod wire;

pub use corner::Corner;
pub use fragment::{BadPlane, Fragment, Tracing};
pub use join::{BadJoin, Joiner, MAX_CORNERS, polygons};
pub use mosaic::{Layers, Mosaic, Tile, mosaics};
pub use outline::Outline;
pub use polygon::Polygon;
pub use rings::Ring;
pub use simplify::{Simplified, simplify};
pub use square::{MAX_SQUARED_CORNERS, square};
pub use wire::BadFragment;

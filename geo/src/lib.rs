//! The maths of cutting scenes into pieces and putting them together again.
//!
//! Nothing here performs IO, and nothing here depends on how the work was shared out. Read in this order:
//! [`morton`] is the order in which all cells and tiles are counted, [`grid`] cuts a scene into items and windows,
//! [`look`] shows them to a network and makes [`planes`] of what it says: [`decide`] turns logits into classes and
//! scores, [`views`] turns windows, [`resize`] brings them to another size, [`blend`] joins what several looks say.
//! [`pyramid`] makes overviews, [`tiles`] cuts and compresses, [`pack`] is the blob that a predict item leaves,
//! [`cog`] lays out the file that all packs become, [`stats`] measures pixels, [`rasterize`] burns labels,
//! [`confusion`] counts agreement, [`evaluation`] makes scores of it, [`chips`] says which windows are trained on,
//! [`vector`] makes polygons.

pub mod blend;
pub mod chips;
pub mod cog;
pub mod confusion;
pub mod decide;
pub mod evaluation;
pub mod grid;
pub mod look;
pub mod morton;
pub mod pack;
pub mod planes;
pub mod pyramid;
pub mod rasterize;
pub mod resize;
pub mod softmax;
pub mod stats;
pub mod tally;
pub mod tiles;
pub mod vector;
pub mod views;

//! Scenes that are tiles of one grid become one raster, so that what lies across their borders is traced
//! as one.
//!
//! Scenes are tiles of one grid if they name the same coordinate reference system and their pixels fall
//! on each other's. Those of a grid that share a stretch of their sides, or overlap, are one mosaic
//! (`grids`); whatever else there is stays a mosaic of one scene. Scenes that meet in a corner alone have
//! no polygon in common, since pixels that meet so have none. A mosaic has pixels as a scene has, and is
//! read and traced as one: block by block, with a halo that reaches into the neighbours. So its polygons
//! equal those of one large scene, noise removal and all. Where scenes overlap, the one that comes first
//! in the run has the say, but for pixels of which it says that they do not count.

mod grids;
#[cfg(test)]
mod tests;

use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::Georeference,
};

pub use grids::mosaics;

/// One raster of one scene or more.
#[derive(Debug)]
pub struct Mosaic {
    pub size: SizePx,
    pub georeference: Option<Georeference>,
    tiles: Vec<Tile>,
    boxes: RTree<TileBox>,
}

/// Where a scene lies in its mosaic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Its place among the scenes that were given.
    pub scene: usize,
    pub rect: RectPx,
}

/// What was predicted for a rectangle, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layers {
    pub classes: Vec<u8>,
    /// How sure the network was of one class.
    pub scores: Option<Vec<u8>>,
}

/// What a tile covers, and its place in a list.
type TileBox = GeomWithData<Rectangle<[f64; 2]>, usize>;

/// A rectangle, its sides included.
fn envelope(col: i64, row: i64, SizePx { width, height }: SizePx) -> AABB<[f64; 2]> {
    let (right, bottom) = (col + i64::from(width), row + i64::from(height));
    AABB::from_corners([col as f64, row as f64], [right as f64, bottom as f64])
}

fn envelope_of(rect: RectPx) -> AABB<[f64; 2]> {
    envelope(rect.col.into(), rect.row.into(), rect.size())
}

impl Mosaic {
    fn new(size: SizePx, georeference: Option<Georeference>, tiles: Vec<Tile>) -> Self {
        let boxed =
            |(place, tile): (usize, &Tile)| TileBox::new(Rectangle::from_aabb(envelope_of(tile.rect)), place);
        let boxes = RTree::bulk_load(tiles.iter().enumerate().map(boxed).collect());
        Self { size, georeference, tiles, boxes }
    }

    /// In the order of the run.
    pub fn tiles(&self) -> &[Tile] {
        &self.tiles
    }

    /// What was predicted in a window. `read` says it of a rectangle of a scene, all of it, by the scene's
    /// place among those that were given. Where there is no scene stands `nothing`, which is no class. A
    /// pixel of `nodata` is left to the next scene that says something else of it.
    pub fn layers<E>(
        &self,
        window: RectPx,
        nothing: u8,
        nodata: Option<u8>,
        mut read: impl FnMut(usize, RectPx) -> Result<Layers, E>,
    ) -> Result<Layers, E> {
        let gives_way = |said: u8, to: u8| said == nothing || (Some(said) == nodata && Some(to) != nodata);
        let n_pixels = window.pixels() as usize;
        let mut layers = Layers { classes: vec![nothing; n_pixels], scores: None };
        for (tile, shared) in self.tiles_in(window) {
            let RectPx { col, row, width, height } = shared;
            let of_scene =
                read(tile.scene, RectPx::new(col - tile.rect.col, row - tile.rect.row, width, height))?;
            let mut scores =
                of_scene.scores.map(|from| (layers.scores.get_or_insert_with(|| vec![0; n_pixels]), from));
            let (cols, window_cols) = (width as usize, window.width as usize);
            let first = (row - window.row) as usize * window_cols + (col - window.col) as usize;
            for (row, classes) in of_scene.classes.chunks(cols).enumerate() {
                for (col, &class) in classes.iter().enumerate() {
                    let at = first + row * window_cols + col;
                    if gives_way(layers.classes[at], class) {
                        layers.classes[at] = class;
                        if let Some((scores, from)) = &mut scores {
                            scores[at] = from[row * cols + col];
                        }
                    }
                }
            }
        }
        Ok(layers)
    }

    /// Whether any scene has a pixel of a window.
    pub fn is_anywhere_in(&self, window: RectPx) -> bool {
        self.near(window).any(|place| shared(window, self.tiles[place].rect).is_some())
    }

    /// Tiles that have pixels of a window, and these pixels, in the order of the run.
    fn tiles_in(&self, window: RectPx) -> Vec<(Tile, RectPx)> {
        let mut places: Vec<usize> = self.near(window).collect();
        places.sort_unstable();
        let tiles = places.into_iter().map(|place| self.tiles[place]);
        tiles.filter_map(|tile| shared(window, tile.rect).map(|shared| (tile, shared))).collect()
    }

    /// Places of the tiles that a window overlaps or touches.
    fn near(&self, window: RectPx) -> impl Iterator<Item = usize> {
        self.boxes.locate_in_envelope_intersecting(&envelope_of(window)).map(|tile| tile.data)
    }
}

fn shared(one: RectPx, other: RectPx) -> Option<RectPx> {
    let (col, row) = (one.col.max(other.col), one.row.max(other.row));
    let (right, bottom) = (one.right().min(other.right()), one.bottom().min(other.bottom()));
    (col < right && row < bottom).then(|| RectPx::new(col, row, right - col, bottom - row))
}

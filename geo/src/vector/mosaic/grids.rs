//! Which scenes are tiles of one grid, and which of those hang together.

use rstar::{RTree, primitives::Rectangle};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::Georeference,
};

use super::{Mosaic, Tile, TileBox, envelope};

/// Pixels fall on each other if their corners are no farther apart than this.
const MAX_OFF_PX: f64 = 0.01;

/// A scene's rectangle on its grid, from the grid's first scene.
#[derive(Clone, Copy, Debug)]
struct OnGrid {
    scene: usize,
    col: i64,
    row: i64,
    size: SizePx,
}

/// The mosaics of a run's scenes, by their first scenes. Every scene is in one of them.
pub fn mosaics(scenes: &[(SizePx, Option<&Georeference>)]) -> Vec<Mosaic> {
    let mut grids: Vec<(&Georeference, Vec<OnGrid>)> = Vec::new();
    let mut mosaics = Vec::new();
    for (scene, &(size, georeference)) in scenes.iter().enumerate() {
        let Some(georeference) = georeference.filter(|georeference| !georeference.crs_wkt.is_empty()) else {
            mosaics.push(alone(scene, size, georeference));
            continue;
        };
        let on = |grid: &Georeference| {
            let [col, row] = offset_px(grid, georeference, size)?;
            Some(OnGrid { scene, col, row, size })
        };
        match grids.iter_mut().find_map(|(grid, tiles)| on(grid).map(|tile| (tile, tiles))) {
            Some((tile, tiles)) => tiles.push(tile),
            None => grids.push((georeference, vec![OnGrid { scene, col: 0, row: 0, size }])),
        }
    }
    for (grid, tiles) in &grids {
        for joined in joined(tiles) {
            match mosaic(grid, &joined) {
                Some(mosaic) if joined.len() > 1 => mosaics.push(mosaic),
                _ => mosaics
                    .extend(joined.iter().map(|tile| alone(tile.scene, tile.size, scenes[tile.scene].1))),
            }
        }
    }
    mosaics.sort_by_key(|mosaic| mosaic.tiles().first().map(|tile| tile.scene));
    mosaics
}

fn alone(scene: usize, size: SizePx, georeference: Option<&Georeference>) -> Mosaic {
    let rect = RectPx::new(0, 0, size.width, size.height);
    Mosaic::new(size, georeference.cloned(), vec![Tile { scene, rect }])
}

/// Columns and rows from a grid's first pixel to a scene's, if the scene's pixels are the grid's.
fn offset_px(grid: &Georeference, scene: &Georeference, size: SizePx) -> Option<[i64; 2]> {
    if grid.crs_wkt != scene.crs_wkt {
        return None;
    }
    let [x0, a, b, y0, c, d] = grid.crs_from_pixel;
    let determinant = a * d - b * c;
    let t = scene.crs_from_pixel;
    let on_grid = |col: f64, row: f64| {
        let (x, y) = (t[0] + col * t[1] + row * t[2] - x0, t[3] + col * t[4] + row * t[5] - y0);
        [(d * x - b * y) / determinant, (a * y - c * x) / determinant]
    };
    let first = on_grid(0.0, 0.0).map(f64::round);
    // No farther than pixels can be counted.
    let is_near = first.iter().all(|px| px.abs() < f64::from(u32::MAX));
    let (width, height) = (f64::from(size.width), f64::from(size.height));
    let fits = [[0.0, 0.0], [width, 0.0], [0.0, height], [width, height]].into_iter().all(|[col, row]| {
        let [at_col, at_row] = on_grid(col, row);
        (at_col - first[0] - col).abs() <= MAX_OFF_PX && (at_row - first[1] - row).abs() <= MAX_OFF_PX
    });
    (is_near && fits).then(|| first.map(|px| px as i64))
}

impl OnGrid {
    /// Whether the two share pixels, or a stretch of their sides.
    fn joins(&self, other: &Self) -> bool {
        let shared = |at: i64, len: u32, other: i64, other_len: u32| {
            (at + i64::from(len)).min(other + i64::from(other_len)) - at.max(other)
        };
        let cols = shared(self.col, self.size.width, other.col, other.size.width);
        let rows = shared(self.row, self.size.height, other.row, other.size.height);
        cols.min(rows) >= 0 && cols.max(rows) > 0
    }
}

/// Tiles that hang together, in the order in which they came.
fn joined(tiles: &[OnGrid]) -> Vec<Vec<OnGrid>> {
    let around = |tile: &OnGrid| envelope(tile.col, tile.row, tile.size);
    let boxed = |(place, tile): (usize, &OnGrid)| TileBox::new(Rectangle::from_aabb(around(tile)), place);
    let boxes = RTree::bulk_load(tiles.iter().enumerate().map(boxed).collect());
    let mut seen = vec![false; tiles.len()];
    let mut found = Vec::new();
    for first in 0..tiles.len() {
        let (mut together, mut waiting) = (Vec::new(), vec![first]);
        while let Some(i) = waiting.pop() {
            if !std::mem::replace(&mut seen[i], true) {
                together.push(i);
                let near = boxes.locate_in_envelope_intersecting(&around(&tiles[i]));
                waiting.extend(near.map(|other| other.data).filter(|&other| tiles[i].joins(&tiles[other])));
            }
        }
        if !together.is_empty() {
            together.sort_unstable();
            found.push(together.into_iter().map(|i| tiles[i]).collect());
        }
    }
    found
}

/// `None` if it is too large to count its pixels.
fn mosaic(grid: &Georeference, tiles: &[OnGrid]) -> Option<Mosaic> {
    let left = tiles.iter().map(|tile| tile.col).min()?;
    let top = tiles.iter().map(|tile| tile.row).min()?;
    let right = tiles.iter().map(|tile| tile.col + i64::from(tile.size.width)).max()?;
    let bottom = tiles.iter().map(|tile| tile.row + i64::from(tile.size.height)).max()?;
    let px = |px: i64| u32::try_from(px).ok();
    let size = SizePx::new(px(right - left)?, px(bottom - top)?);
    let place = |tile: &OnGrid| {
        let SizePx { width, height } = tile.size;
        let rect = RectPx::new(px(tile.col - left)?, px(tile.row - top)?, width, height);
        Some(Tile { scene: tile.scene, rect })
    };
    let [x0, a, b, y0, c, d] = grid.crs_from_pixel;
    let (col, row) = (left as f64, top as f64);
    let crs_from_pixel = [x0 + col * a + row * b, a, b, y0 + col * c + row * d, c, d];
    let georeference = Georeference { crs_wkt: grid.crs_wkt.clone(), crs_from_pixel };
    Some(Mosaic::new(size, Some(georeference), tiles.iter().map(place).collect::<Option<_>>()?))
}

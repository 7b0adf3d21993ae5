//! In which order the tiles of all levels stand, in a scene's file and in an item's pack alike: cell by cell. A cell
//! is 8 x 8 tiles of level 0 and all above them up to the one tile of level 3, small levels first. So what an item
//! leaves is one stretch of the file, its overviews included, and may be copied at once. Levels above stand before
//! all cells, the smallest first.

use std::ops::Range;

use swath_proto::geometry::SizePx;

use super::level_size;
use crate::morton::ZOrder;

/// The level that has one tile a cell.
pub const CELL_LEVEL: u32 = 3;

/// Tiles of one level that follow each other, by their numbers in Z-order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub level: u32,
    pub tiles: Range<usize>,
}

/// All tiles of the first `n_levels` levels, in the order in which they stand. `block_px` must not be 0.
pub fn stretches(size: SizePx, block_px: u32, n_levels: u32) -> impl Iterator<Item = Stretch> {
    let order = move |level: u32| {
        let size = level_size(size, level);
        ZOrder::new(size.width.div_ceil(block_px), size.height.div_ceil(block_px))
    };
    let above = (CELL_LEVEL + 1..n_levels)
        .rev()
        .map(move |level| Stretch { level, tiles: 0..order(level).len() as usize });
    let in_cells = n_levels.min(CELL_LEVEL + 1);
    let mut next = [0; CELL_LEVEL as usize + 1];
    let cells = order(CELL_LEVEL).iter().flat_map(move |(col, row)| {
        let mut cell = Vec::with_capacity(in_cells as usize);
        for level in (0..in_cells).rev() {
            let (grid, edge) = (order(level), 1 << (CELL_LEVEL - level));
            let tiles = (grid.cols - col * edge).min(edge) * (grid.rows - row * edge).min(edge);
            let first = next[level as usize];
            next[level as usize] += tiles as usize;
            cell.push(Stretch { level, tiles: first..next[level as usize] });
        }
        cell
    });
    above.chain(cells)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pyramid::{item_levels, n_levels};

    #[test]
    fn a_scene_of_one_cell_stands_level_by_level() {
        let stretch = |level, tiles| Stretch { level, tiles };
        let found: Vec<_> = stretches(SizePx::new(1000, 777), 256, 3).collect();
        assert_eq!(found, [stretch(2, 0..1), stretch(1, 0..4), stretch(0, 0..16)]);
        let found: Vec<_> = stretches(SizePx::new(2048, 2048), 256, 4).collect();
        assert_eq!(found, [stretch(3, 0..1), stretch(2, 0..4), stretch(1, 0..16), stretch(0, 0..64)]);
    }

    #[test]
    fn every_tile_stands_once_and_in_its_own_cell() {
        for (width, height) in [(1, 1), (2049, 1), (5000, 9000), (16_384, 300), (4096, 4096)] {
            let size = SizePx::new(width, height);
            let n = n_levels(size, 256);
            let mut next = vec![0; n as usize];
            let mut last_above = n;
            for stretch in stretches(size, 256, n) {
                assert_eq!(stretch.tiles.start, next[stretch.level as usize]);
                next[stretch.level as usize] = stretch.tiles.end;
                let tiling = level_size(size, stretch.level);
                let order = ZOrder::new(tiling.width.div_ceil(256), tiling.height.div_ceil(256));
                if stretch.level > CELL_LEVEL {
                    assert_eq!(stretch.level + 1, last_above);
                    last_above = stretch.level;
                    continue;
                }
                let cell = |tile: usize| {
                    let (col, row) = order.cell(tile as u64).unwrap();
                    (col >> (CELL_LEVEL - stretch.level), row >> (CELL_LEVEL - stretch.level))
                };
                assert!(stretch.tiles.clone().all(|tile| cell(tile) == cell(stretch.tiles.start)));
            }
            for (level, tiles) in next.into_iter().enumerate() {
                let size = level_size(size, level as u32);
                assert_eq!(tiles as u32, size.width.div_ceil(256) * size.height.div_ceil(256));
            }
        }
    }

    /// Cells of whole items are those of the scene: what an item leaves of them is one stretch of the file.
    #[test]
    fn the_cells_of_an_item_are_cells_of_its_scene() {
        let (scene, item_px) = (SizePx::new(9000, 5000), 4096);
        let whole: Vec<_> = stretches(scene, 256, n_levels(scene, 256)).collect();
        let mut next = vec![0; whole.len()];
        let mut at = whole.iter().position(|stretch| stretch.level <= CELL_LEVEL).unwrap();
        let items = [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)];
        for (col, row) in items {
            let size = SizePx::new(
                (scene.width - col * item_px).min(item_px),
                (scene.height - row * item_px).min(item_px),
            );
            let levels = item_levels(scene, item_px, 256).unwrap();
            for own in stretches(size, 256, levels).filter(|own| own.level <= CELL_LEVEL) {
                let level = own.level as usize;
                assert_eq!((whole[at].level, whole[at].tiles.len()), (own.level, own.tiles.len()));
                assert_eq!(whole[at].tiles.start, next[level]);
                next[level] += own.tiles.len();
                at += 1;
            }
        }
        assert_eq!(at, whole.len());
    }
}

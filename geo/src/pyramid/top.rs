//! The levels above the items' own. Tiles of one level go in, in Z-order; a parent tile comes out
//! as soon as its last child went in. Z-order brings the children of a tile one after the other, so
//! one unfinished tile a level is all that has to be kept.

use swath_proto::geometry::SizePx;

use super::{Reduction, levels, reduce_into};
use crate::morton::ZOrder;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTop {
    #[error("tiles of {0} px can't be halved")]
    Block(u32),
    #[error("a scene of {levels} levels has no level {level}")]
    Level { level: u32, levels: u32 },
    #[error("a tile has {got} bytes instead of {wanted}")]
    TileLength { got: usize, wanted: usize },
    #[error("{got} tiles came, but the level has {wanted}")]
    TileCount { got: u64, wanted: u64 },
}

/// A finished tile: `block_px` squared, zero outside the level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopTile {
    pub level: u32,
    pub col: u32,
    pub row: u32,
    pub pixels: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Top {
    block_px: u32,
    reduction: Reduction,
    /// The level whose tiles are pushed.
    from_level: u32,
    /// From that level upwards.
    levels: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Level {
    size: SizePx,
    order: ZOrder,
    /// Rank of the next tile.
    next: u64,
    /// The next tile, so far as its children are there. Stays empty at the lowest level.
    pixels: Vec<u8>,
    children: u32,
}

impl Top {
    pub fn new(scene: SizePx, block_px: u32, from_level: u32, reduction: Reduction) -> Result<Self, BadTop> {
        if block_px == 0 || !block_px.is_multiple_of(2) {
            return Err(BadTop::Block(block_px));
        }
        let sizes = levels(scene, block_px);
        let n_levels = sizes.len() as u32;
        if from_level >= n_levels {
            return Err(BadTop::Level { level: from_level, levels: n_levels });
        }
        let level = |size: SizePx| {
            let order = ZOrder::new(size.width.div_ceil(block_px), size.height.div_ceil(block_px));
            Level { size, order, next: 0, pixels: Vec::new(), children: 0 }
        };
        let levels = sizes.into_iter().skip(from_level as usize).map(level).collect();
        Ok(Self { block_px, reduction, from_level, levels })
    }

    /// Takes the next tile of the lowest level (raw, whatever its padding) and returns the tiles of
    /// higher levels that it finishes, lower levels first.
    pub fn push(&mut self, tile: &[u8]) -> Result<Vec<TopTile>, BadTop> {
        let wanted = self.tile_len();
        if tile.len() != wanted {
            return Err(BadTop::TileLength { got: tile.len(), wanted });
        }
        let mut finished: Vec<TopTile> = Vec::new();
        for above in 1..=self.levels.len() {
            let (lower, upper) = self.levels.split_at_mut(above);
            let child = &mut lower[above - 1];
            let Some((col, row)) = child.order.cell(child.next) else {
                return Err(BadTop::TileCount { got: child.next + 1, wanted: child.order.len() });
            };
            child.next += 1;
            let Some(parent) = upper.first_mut() else { break };
            parent.pixels.resize(wanted, 0);
            let pixels = finished.last().map_or(tile, |tile| &tile.pixels);
            parent.take_child(child.size, col, row, pixels, self.block_px, self.reduction);
            if parent.children < child.order.children(col / 2, row / 2) {
                break;
            }
            parent.children = 0;
            finished.push(TopTile {
                level: self.from_level + above as u32,
                col: col / 2,
                row: row / 2,
                pixels: std::mem::take(&mut parent.pixels),
            });
        }
        Ok(finished)
    }

    /// Makes sure that no tile was forgotten.
    pub fn finish(self) -> Result<(), BadTop> {
        match self.levels.first() {
            Some(Level { next, order, .. }) if *next != order.len() => {
                Err(BadTop::TileCount { got: *next, wanted: order.len() })
            }
            _ => Ok(()),
        }
    }

    fn tile_len(&self) -> usize {
        self.block_px as usize * self.block_px as usize * self.reduction.bands() as usize
    }
}

impl Level {
    /// Reduces what exists of a tile of the level below into its quadrant.
    fn take_child(
        &mut self,
        child_level: SizePx,
        col: u32,
        row: u32,
        pixels: &[u8],
        block_px: u32,
        reduction: Reduction,
    ) {
        let extent = SizePx::new(
            (child_level.width - col * block_px).min(block_px),
            (child_level.height - row * block_px).min(block_px),
        );
        let stride = block_px as usize;
        let corner = (row % 2) as usize * stride / 2 * stride + (col % 2) as usize * stride / 2;
        let quadrant = &mut self.pixels[corner * reduction.bands() as usize..];
        reduce_into(pixels, stride, extent, quadrant, stride, reduction);
        self.children += 1;
    }
}

impl ZOrder {
    /// Cells that exist of the 2 x 2 under this cell of the level above.
    fn children(self, col: u32, row: u32) -> u32 {
        (self.cols - 2 * col).min(2) * (self.rows - 2 * row).min(2)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        pyramid::{level_size, reduce},
        tiles::Tiling,
    };

    /// Tiles of every level, by reducing whole planes.
    fn whole(plane: &[u8], size: SizePx, block_px: u32, reduction: Reduction) -> Vec<Vec<TopTile>> {
        let mut plane = plane.to_vec();
        let mut all = Vec::new();
        for (level, size) in levels(size, block_px).into_iter().enumerate() {
            let tiling = Tiling { size, block_px, bands: reduction.bands() };
            let cells = tiling.order().iter().zip(tiling.cut(&plane).unwrap());
            let tile = |((col, row), pixels)| TopTile { level: level as u32, col, row, pixels };
            all.push(cells.map(tile).collect());
            plane = reduce(&plane, size, reduction);
        }
        all
    }

    #[test]
    fn streaming_equals_reducing_the_whole_from_any_level() {
        let mut rng = StdRng::seed_from_u64(4);
        for (width, height) in [(1, 1), (16, 16), (17, 1), (131, 77), (64, 128), (33, 200), (255, 129)] {
            let size = SizePx::new(width, height);
            for reduction in [Reduction::Mode, Reduction::Mean { bands: 2 }] {
                let plane: Vec<u8> = (0..width * height * reduction.bands())
                    .map(|_| if reduction == Reduction::Mode { rng.random_range(0..4) } else { rng.random() })
                    .collect();
                let wanted = whole(&plane, size, 16, reduction);
                for from in 0..wanted.len() {
                    let mut top = Top::new(size, 16, from as u32, reduction).unwrap();
                    let mut got = vec![Vec::new(); wanted.len()];
                    for tile in &wanted[from] {
                        // What lies in the padding must not matter.
                        let mut pixels = tile.pixels.clone();
                        let level = level_size(size, from as u32);
                        let bands = reduction.bands();
                        for (i, value) in pixels.iter_mut().enumerate() {
                            let (col, row) = (i as u32 / bands % 16, i as u32 / bands / 16);
                            if tile.col * 16 + col >= level.width || tile.row * 16 + row >= level.height {
                                *value = 77;
                            }
                        }
                        for tile in top.push(&pixels).unwrap() {
                            got[tile.level as usize].push(tile);
                        }
                    }
                    top.finish().unwrap();
                    assert!(got[from + 1..] == wanted[from + 1..], "{size:?} from {from}");
                }
            }
        }
    }

    #[test]
    fn too_many_and_too_few_tiles_are_errors() {
        let mut top = Top::new(SizePx::new(40, 16), 16, 0, Reduction::Mode).unwrap();
        assert!(top.push(&[0; 255]).is_err());
        for _ in 0..2 {
            top.push(&[0; 256]).unwrap();
        }
        assert_eq!(top.clone().finish(), Err(BadTop::TileCount { got: 2, wanted: 3 }));
        assert_eq!(top.push(&[0; 256]).unwrap().len(), 2);
        assert_eq!(top.push(&[0; 256]), Err(BadTop::TileCount { got: 4, wanted: 3 }));
        assert!(Top::new(SizePx::new(40, 16), 15, 0, Reduction::Mode).is_err());
        assert!(Top::new(SizePx::new(40, 16), 16, 3, Reduction::Mode).is_err());
    }
}

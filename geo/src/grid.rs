//! A scene cut into items, and an item into windows. Items are counted in Z-order; windows lie on a
//! lattice that is anchored at the scene's upper left corner, so that the same windows are computed
//! whatever the size of an item.

use std::ops::Range;

use swath_proto::{
    geometry::{RectPx, SizePx},
    item::WindowShape,
};

use crate::morton::ZOrder;

/// A cut that can't be made: the numbers come from files and messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCut {
    #[error("{0} must not be 0")]
    Zero(&'static str),
    #[error("{0} must be less than 2^31 px")]
    TooLarge(&'static str),
    #[error("{cells} cells of {edge_px} px are more than can be counted; make them larger")]
    TooMany { cells: u64, edge_px: u32 },
}

/// The squares of a scene, those at its right and lower edge clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemGrid {
    size: SizePx,
    item_px: u32,
    order: ZOrder,
}

impl ItemGrid {
    pub fn new(size: SizePx, item_px: u32) -> Result<Self, BadCut> {
        if item_px == 0 {
            return Err(BadCut::Zero("the edge of an item"));
        }
        let order = ZOrder::new(size.width.div_ceil(item_px), size.height.div_ceil(item_px));
        if order.len() > u64::from(u32::MAX) {
            return Err(BadCut::TooMany { cells: order.len(), edge_px: item_px });
        }
        Ok(Self { size, item_px, order })
    }

    pub const fn len(&self) -> u32 {
        self.order.len() as u32
    }

    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub const fn cols(&self) -> u32 {
        self.order.cols
    }

    pub const fn rows(&self) -> u32 {
        self.order.rows
    }

    /// `None` past the last item.
    pub fn rect(&self, index: u32) -> Option<RectPx> {
        let (col, row) = self.order.cell(u64::from(index))?;
        let (col, row) = (col * self.item_px, row * self.item_px);
        let width = self.item_px.min(self.size.width - col);
        let height = self.item_px.min(self.size.height - row);
        Some(RectPx::new(col, row, width, height))
    }

    /// Index of the item in this column and row of items; `None` outside the scene.
    pub fn index_of(&self, col: u32, row: u32) -> Option<u32> {
        self.order.rank(col, row).map(|rank| rank as u32)
    }
}

/// What the network sees at once, and what is kept of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The pixels that are its own: a square of the lattice, clipped to the item (to the scene by [`touching`]). In
    /// scene pixels.
    pub core: RectPx,
    /// Upper left corner of the input (a square of `WindowShape::edge_px`), margin included: may be
    /// negative, and the square may reach beyond the scene.
    pub input_col: i64,
    pub input_row: i64,
}

/// Windows row by row.
#[derive(Clone, Debug)]
pub struct Windows {
    /// What cores are clipped to.
    clip: RectPx,
    shape: WindowShape,
    lattice_cols: Range<u32>,
    lattice_rows: Range<u32>,
    next: usize,
}

/// The windows whose cores cover an item. Cores are clipped to the item: where its edges are
/// multiples of `core_px`, none is computed twice.
pub fn windows(item: RectPx, shape: WindowShape) -> Result<Windows, BadCut> {
    check(item, shape)?;
    let along = |at: u32, len: u32| at / shape.core_px..(at + len).div_ceil(shape.core_px);
    let (lattice_cols, lattice_rows) = if item.width == 0 || item.height == 0 {
        (0..0, 0..0)
    } else {
        (along(item.col, item.width), along(item.row, item.height))
    };
    Windows::new(item, shape, lattice_cols, lattice_rows)
}

/// The windows that touch an item with core or margin, of those whose cores lie in the scene: all that can have a say
/// in its pixels. Those at the item's edges are computed by its neighbours too.
pub fn touching(item: RectPx, scene: SizePx, shape: WindowShape) -> Result<Windows, BadCut> {
    check(item, shape)?;
    let lattice_cols = shape.touching(item.col, item.width, scene.width);
    let lattice_rows = shape.touching(item.row, item.height, scene.height);
    Windows::new(RectPx::new(0, 0, scene.width, scene.height), shape, lattice_cols, lattice_rows)
}

fn check(item: RectPx, shape: WindowShape) -> Result<(), BadCut> {
    const LIMIT: u64 = 1 << 31;
    if shape.core_px == 0 {
        return Err(BadCut::Zero("the core of a window"));
    }
    if u64::from(shape.core_px) + 2 * u64::from(shape.margin_px) >= LIMIT {
        return Err(BadCut::TooLarge("the edge of a window"));
    }
    let far = |at: u32, len: u32| u64::from(at) + u64::from(len);
    if far(item.col, item.width).max(far(item.row, item.height)) >= LIMIT {
        return Err(BadCut::TooLarge("the far edge of an item"));
    }
    Ok(())
}

impl Windows {
    fn new(
        clip: RectPx,
        shape: WindowShape,
        lattice_cols: Range<u32>,
        lattice_rows: Range<u32>,
    ) -> Result<Self, BadCut> {
        let cells = lattice_cols.len() as u64 * lattice_rows.len() as u64;
        if cells > u64::from(u32::MAX) {
            return Err(BadCut::TooMany { cells, edge_px: shape.core_px });
        }
        Ok(Self { clip, shape, lattice_cols, lattice_rows, next: 0 })
    }

    fn total(&self) -> usize {
        self.lattice_cols.len() * self.lattice_rows.len()
    }
}

impl Iterator for Windows {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        if self.next == self.total() {
            return None;
        }
        let (down, along) = (self.next / self.lattice_cols.len(), self.next % self.lattice_cols.len());
        self.next += 1;
        let core_px = u64::from(self.shape.core_px);
        let clip = |lattice: u32, at: u32, len: u32| {
            let from = (u64::from(lattice) * core_px).max(u64::from(at));
            let to = ((u64::from(lattice) + 1) * core_px).min(u64::from(at) + u64::from(len));
            (from as u32, (to - from) as u32)
        };
        let (lattice_col, lattice_row) =
            (self.lattice_cols.start + along as u32, self.lattice_rows.start + down as u32);
        let (col, width) = clip(lattice_col, self.clip.col, self.clip.width);
        let (row, height) = clip(lattice_row, self.clip.row, self.clip.height);
        let input = |lattice: u32| (u64::from(lattice) * core_px) as i64 - i64::from(self.shape.margin_px);
        Some(Window {
            core: RectPx::new(col, row, width, height),
            input_col: input(lattice_col),
            input_row: input(lattice_row),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.total() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Windows {}

/// Ranges of `batch` windows. The last may be short; whoever runs it pads it, since the shape of a
/// batch is part of the numeric class.
pub fn batches(
    n_windows: usize,
    batch: usize,
) -> Result<impl ExactSizeIterator<Item = Range<usize>>, BadCut> {
    if batch == 0 {
        return Err(BadCut::Zero("a batch"));
    }
    Ok((0..n_windows.div_ceil(batch)).map(move |i| i * batch..(i * batch + batch).min(n_windows)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: WindowShape = WindowShape { core_px: 256, margin_px: 32 };

    #[test]
    fn a_scene_is_cut_in_z_order_and_clipped() {
        let grid = ItemGrid::new(SizePx::new(2500, 1100), 1000).unwrap();
        let rects: Vec<_> = (0..grid.len()).map(|i| grid.rect(i).unwrap()).collect();
        assert_eq!(
            rects,
            [
                RectPx::new(0, 0, 1000, 1000),
                RectPx::new(1000, 0, 1000, 1000),
                RectPx::new(0, 1000, 1000, 100),
                RectPx::new(1000, 1000, 1000, 100),
                RectPx::new(2000, 0, 500, 1000),
                RectPx::new(2000, 1000, 500, 100),
            ]
        );
        assert_eq!(grid.rect(6), None);
        for (index, rect) in rects.into_iter().enumerate() {
            assert_eq!(grid.index_of(rect.col / 1000, rect.row / 1000), Some(index as u32));
        }
    }

    #[test]
    fn ten_million_items_are_indexed_without_a_list() {
        let grid = ItemGrid::new(SizePx::new(64 * 4000, 64 * 2500), 64).unwrap();
        assert_eq!(grid.len(), 10_000_000);
        for index in (0..grid.len()).step_by(99_991) {
            let rect = grid.rect(index).unwrap();
            assert_eq!(grid.index_of(rect.col / 64, rect.row / 64), Some(index));
        }
    }

    #[test]
    fn the_last_item_of_the_largest_scene_does_not_overflow() {
        let grid = ItemGrid::new(SizePx::new(u32::MAX, u32::MAX), 1 << 17).unwrap();
        let last = grid.rect(grid.len() - 1).unwrap();
        assert_eq!((last.right(), last.bottom()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_cut_that_cannot_be_counted_is_refused() {
        assert!(ItemGrid::new(SizePx::new(10, 10), 0).is_err());
        assert!(ItemGrid::new(SizePx::new(u32::MAX, u32::MAX), 64).is_err());
        assert!(windows(RectPx::new(0, 0, 9, 9), WindowShape { core_px: 0, margin_px: 1 }).is_err());
        assert!(windows(RectPx::new(u32::MAX, 0, 9, 9), SHAPE).is_err());
        assert!(windows(RectPx::new(0, 0, 9, 9), WindowShape { core_px: 1, margin_px: u32::MAX }).is_err());
        assert!(batches(3, 0).is_err());
    }

    #[test]
    fn windows_go_row_by_row_with_their_margin_outside() {
        let all: Vec<_> = windows(RectPx::new(512, 0, 300, 257), SHAPE).unwrap().collect();
        assert_eq!(
            all,
            [
                Window { core: RectPx::new(512, 0, 256, 256), input_col: 480, input_row: -32 },
                Window { core: RectPx::new(768, 0, 44, 256), input_col: 736, input_row: -32 },
                Window { core: RectPx::new(512, 256, 256, 1), input_col: 480, input_row: 224 },
                Window { core: RectPx::new(768, 256, 44, 1), input_col: 736, input_row: 224 },
            ]
        );
        assert_eq!(windows(RectPx::new(512, 0, 300, 257), SHAPE).unwrap().len(), 4);
        assert_eq!(windows(RectPx::new(512, 0, 0, 257), SHAPE).unwrap().len(), 0);
    }

    #[test]
    fn the_windows_of_a_scene_do_not_depend_on_the_size_of_an_item() {
        let scene = SizePx::new(2611, 1499);
        let of = |item_px| {
            let grid = ItemGrid::new(scene, item_px).unwrap();
            let mut all: Vec<_> =
                (0..grid.len()).flat_map(|i| windows(grid.rect(i).unwrap(), SHAPE).unwrap()).collect();
            all.sort_by_key(|w| (w.input_row, w.input_col));
            all
        };
        assert_eq!(of(256), of(1024));
        assert_eq!(of(512), of(4096));
        assert_eq!(of(512), of(1024));
        assert_eq!(of(4096).iter().map(|w| w.core.pixels()).sum::<u64>(), scene.pixels());
    }

    #[test]
    fn windows_that_do_not_divide_an_item_lie_as_in_the_whole_scene() {
        let shape = WindowShape { core_px: 300, margin_px: 10 };
        let all: Vec<_> = windows(RectPx::new(512, 256, 256, 256), shape).unwrap().collect();
        assert_eq!(
            all,
            [
                Window { core: RectPx::new(512, 256, 88, 44), input_col: 290, input_row: -10 },
                Window { core: RectPx::new(600, 256, 168, 44), input_col: 590, input_row: -10 },
                Window { core: RectPx::new(512, 300, 88, 212), input_col: 290, input_row: 290 },
                Window { core: RectPx::new(600, 300, 168, 212), input_col: 590, input_row: 290 },
            ]
        );
    }

    #[test]
    fn windows_that_touch_an_item_are_those_that_share_a_pixel_with_it() {
        let scene = SizePx::new(1333, 700);
        let whole = RectPx::new(0, 0, 1333, 700);
        for margin_px in [0, 1, 32, 128, 256] {
            let shape = WindowShape { margin_px, ..SHAPE };
            let all: Vec<_> = windows(whole, shape).unwrap().collect();
            assert_eq!(touching(whole, scene, shape).unwrap().collect::<Vec<_>>(), all);
            let edge = i64::from(shape.edge_px());
            for item in [
                RectPx::new(0, 0, 256, 256),
                RectPx::new(512, 256, 256, 256),
                RectPx::new(1280, 512, 53, 188),
                RectPx::new(512, 0, 512, 512),
            ] {
                let shares = |window: &&Window| {
                    let along = |input: i64, at: u32, end: u32| {
                        input < i64::from(end) && i64::from(at) < input + edge
                    };
                    along(window.input_col, item.col, item.right())
                        && along(window.input_row, item.row, item.bottom())
                };
                let wanted: Vec<_> = all.iter().filter(shares).copied().collect();
                assert_eq!(
                    touching(item, scene, shape).unwrap().collect::<Vec<_>>(),
                    wanted,
                    "{item} {margin_px}"
                );
            }
        }
        assert_eq!(touching(RectPx::new(256, 0, 0, 9), scene, SHAPE).unwrap().len(), 0);
    }

    #[test]
    fn the_last_batch_is_short() {
        assert_eq!(batches(7, 3).unwrap().collect::<Vec<_>>(), [0..3, 3..6, 6..7]);
        assert_eq!(batches(6, 3).unwrap().count(), 2);
        assert_eq!(batches(0, 3).unwrap().count(), 0);
    }
}

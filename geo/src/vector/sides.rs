//! The sides of an item's class pixels at which the class ends: all that outlines are made of.
//!
//! They are found row by row, for many pixels in one go, and where there are none is passed over as
//! quickly: what is inside a region, or outside of all, costs next to nothing.

use super::{
    cells::{Cell, Cells},
    corner::Direction,
};

/// For each cell a bit for each side that exists, and one more once it was walked. A cell in the
/// border has none: its sides are its own item's.
#[derive(Debug)]
pub(super) struct Sides {
    bits: Vec<u8>,
    /// Cells a row.
    stride: usize,
}

const fn bit(towards: Direction) -> u8 {
    1 << towards as u8
}

const EXIST: u8 = 0b1111;
/// Cells that are looked at in one go: as many as a `u128` has bytes.
const STRETCH: usize = 16;
const EXISTS: u128 = u128::from_ne_bytes([EXIST; STRETCH]);

impl Sides {
    /// A side that is taken downwards has the class on its left where one walks, which is the right as
    /// seen on the screen: nothing of the class lies to the left of its pixel.
    pub(super) fn of(cells: &Cells) -> Self {
        let (stride, of_class) = (cells.stride(), cells.of_class());
        let mut bits = vec![0; of_class.len()];
        for row in 1..=cells.item().height as usize {
            let own = row * stride + 1..(row + 1) * stride - 1;
            let beside = |towards: Direction| {
                &of_class[cells.neighbour(own.start, towards)..cells.neighbour(own.end, towards)]
            };
            let [left, below, right, above] = Direction::ALL.map(|towards| beside(towards.right()));
            let pixels = of_class[own.clone()].iter().zip(left).zip(below).zip(right).zip(above);
            for (sides, ((((pixel, left), below), right), above)) in bits[own].iter_mut().zip(pixels) {
                let free = [!left, !below, !right, !above].map(u8::from);
                // A mask, since processors have no product of many bytes at once.
                let if_of_class = u8::from(*pixel).wrapping_neg();
                *sides = (free[0] | free[1] << 1 | free[2] << 2 | free[3] << 3) & if_of_class;
            }
        }
        Self { bits, stride }
    }

    pub(super) fn exists(&self, cell: Cell, towards: Direction) -> bool {
        self.bits[cell] & bit(towards) != 0
    }

    /// Whether a side of this item exists and was not walked.
    pub(super) fn is_left(&self, cell: Cell, towards: Direction) -> bool {
        let both = bit(towards) | bit(towards) << 4;
        self.bits[cell] & both == bit(towards)
    }

    pub(super) fn walk(&mut self, cell: Cell, towards: Direction) {
        self.bits[cell] |= bit(towards) << 4;
    }

    /// The first cell from this one on that has a side left.
    pub(super) fn next(&self, from: Cell) -> Option<Cell> {
        let (stretches, rest) = self.bits.get(from..)?.as_chunks::<STRETCH>();
        for (passed, stretch) in stretches.iter().enumerate() {
            let bits = u128::from_le_bytes(*stretch);
            // What comes from the next cell's bits is masked as well.
            let left = bits & !(bits >> 4) & EXISTS;
            if left != 0 {
                return Some(from + passed * STRETCH + left.trailing_zeros() as usize / 8);
            }
        }
        let is_left = |bits: &u8| bits & !(bits >> 4) & EXIST != 0;
        rest.iter().position(is_left).map(|at| self.bits.len() - rest.len() + at)
    }

    /// Row and column of one of the item's own cells, from the item's first.
    pub(super) const fn place(&self, cell: Cell) -> (u32, u32) {
        ((cell / self.stride - 1) as u32, (cell % self.stride - 1) as u32)
    }
}

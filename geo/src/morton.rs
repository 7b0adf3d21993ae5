//! Z-order (Morton order) over grids that are neither square nor a power of two: cells sort by the
//! interleaved bits of their row and column, and cells outside the grid are left out. Any aligned
//! square of 2^k cells is one contiguous run, which is why an item's tiles are.

/// Interleaves the bits: column in the even places, row in the odd ones.
pub const fn encode(col: u32, row: u32) -> u64 {
    spread(col) | spread(row) << 1
}

/// Column and row of a code.
pub const fn decode(code: u64) -> (u32, u32) {
    (squeeze(code), squeeze(code >> 1))
}

const fn spread(x: u32) -> u64 {
    let mut x = x as u64;
    x = (x | x << 16) & 0x0000_ffff_0000_ffff;
    x = (x | x << 8) & 0x00ff_00ff_00ff_00ff;
    x = (x | x << 4) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x << 2) & 0x3333_3333_3333_3333;
    (x | x << 1) & 0x5555_5555_5555_5555
}

const fn squeeze(x: u64) -> u32 {
    let mut x = x & 0x5555_5555_5555_5555;
    x = (x | x >> 1) & 0x3333_3333_3333_3333;
    x = (x | x >> 2) & 0x0f0f_0f0f_0f0f_0f0f;
    x = (x | x >> 4) & 0x00ff_00ff_00ff_00ff;
    x = (x | x >> 8) & 0x0000_ffff_0000_ffff;
    (x | x >> 16) as u32
}

/// The existing cells of a grid in Z-order. Ranks and cells are found by counting existing cells a
/// quadtree node at a time, so nothing is enumerated or stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ZOrder {
    pub cols: u32,
    pub rows: u32,
}

impl ZOrder {
    pub const fn new(cols: u32, rows: u32) -> Self {
        Self { cols, rows }
    }

    pub const fn len(self) -> u64 {
        self.cols as u64 * self.rows as u64
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// How many existing cells come before this one.
    pub fn rank(self, col: u32, row: u32) -> Option<u64> {
        if col >= self.cols || row >= self.rows {
            return None;
        }
        let (mut before, mut node_col, mut node_row) = (0, 0, 0);
        for half in self.halves() {
            let wanted = (u64::from(col) & half != 0, u64::from(row) & half != 0);
            for quadrant in QUADRANTS {
                let (c, r) = corner(node_col, node_row, half, quadrant);
                if quadrant == wanted {
                    (node_col, node_row) = (c, r);
                    break;
                }
                before += self.existing(c, r, half);
            }
        }
        Some(before)
    }

    /// The cell that this many existing cells come before.
    pub fn cell(self, rank: u64) -> Option<(u32, u32)> {
        if rank >= self.len() {
            return None;
        }
        let (mut left, mut node_col, mut node_row) = (rank, 0, 0);
        for half in self.halves() {
            for quadrant in QUADRANTS {
                let (c, r) = corner(node_col, node_row, half, quadrant);
                let n = self.existing(c, r, half);
                if left < n {
                    (node_col, node_row) = (c, r);
                    break;
                }
                left -= n;
            }
        }
        Some((node_col as u32, node_row as u32))
    }

    pub fn iter(self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.len()).map_while(move |rank| self.cell(rank))
    }

    /// Edges of quadrants from the root of the quadtree down to single cells.
    fn halves(self) -> impl Iterator<Item = u64> {
        let longest = u64::from(self.cols.max(self.rows));
        let depth = longest.next_power_of_two().trailing_zeros();
        (0..depth).rev().map(|bit| 1 << bit)
    }

    /// Cells of the grid in the square of `edge` at this corner.
    fn existing(self, col: u64, row: u64, edge: u64) -> u64 {
        let cols = u64::from(self.cols).saturating_sub(col).min(edge);
        let rows = u64::from(self.rows).saturating_sub(row).min(edge);
        cols * rows
    }
}

/// Whether a quadrant is the right one, and the lower one; in Z-order.
const QUADRANTS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

fn corner(col: u64, row: u64, half: u64, (right, lower): (bool, bool)) -> (u64, u64) {
    (col + u64::from(right) * half, row + u64::from(lower) * half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_interleave_column_and_row() {
        assert_eq!(encode(0, 0), 0);
        assert_eq!(encode(1, 0), 1);
        assert_eq!(encode(0, 1), 2);
        assert_eq!(encode(0b101, 0b011), 0b011_011);
        assert_eq!(encode(u32::MAX, 0), 0x5555_5555_5555_5555);
        for (col, row) in [(0, 0), (7, 9), (u32::MAX, 3), (123_456_789, u32::MAX)] {
            assert_eq!(decode(encode(col, row)), (col, row));
        }
    }

    #[test]
    fn a_ragged_grid_is_walked_in_the_order_of_codes() {
        for (cols, rows) in [(1, 1), (3, 2), (1, 7), (5, 5), (8, 8), (9, 4), (17, 31)] {
            let order = ZOrder::new(cols, rows);
            let mut cells: Vec<_> = (0..rows).flat_map(|r| (0..cols).map(move |c| (c, r))).collect();
            cells.sort_by_key(|&(c, r)| encode(c, r));
            assert_eq!(order.iter().collect::<Vec<_>>(), cells, "{cols}x{rows}");
            for (rank, (col, row)) in cells.into_iter().enumerate() {
                assert_eq!(order.rank(col, row), Some(rank as u64));
            }
        }
    }

    #[test]
    fn huge_grids_need_no_walk() {
        let order = ZOrder::new(u32::MAX, u32::MAX - 1);
        for rank in [0, 1, 1 << 40, order.len() - 1] {
            let (col, row) = order.cell(rank).unwrap();
            assert_eq!(order.rank(col, row), Some(rank));
        }
        assert_eq!(order.cell(order.len()), None);
        assert_eq!(order.rank(u32::MAX, 0), None);
        assert_eq!(ZOrder::new(0, 5).cell(0), None);
    }
}

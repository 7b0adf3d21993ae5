//! Corners of pixels and the four ways to go from one to the next.

/// A corner of a pixel: the upper left one of the pixel in this row and column. Corners sort as one
/// reads: by row, then by column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Corner {
    pub row: u32,
    pub col: u32,
}

impl Corner {
    pub const fn new(row: u32, col: u32) -> Self {
        Self { row, col }
    }

    /// The corner `len` pixels away. The caller knows that it exists.
    pub(super) const fn step(self, towards: Direction, len: u32) -> Self {
        let Self { row, col } = self;
        match towards {
            Direction::Down => Self { row: row + len, col },
            Direction::Right => Self { row, col: col + len },
            Direction::Up => Self { row: row - len, col },
            Direction::Left => Self { row, col: col - len },
        }
    }

    pub(super) const fn distance(self, other: Self) -> u32 {
        self.row.abs_diff(other.row) + self.col.abs_diff(other.col)
    }
}

/// In the order of left turns, as seen on the screen. The class lies on the left of an outline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Down,
    Right,
    Up,
    Left,
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::Down, Self::Right, Self::Up, Self::Left];

    pub(super) const fn left(self) -> Self {
        Self::ALL[(self as usize + 1) % 4]
    }

    pub(super) const fn right(self) -> Self {
        Self::ALL[(self as usize + 3) % 4]
    }

    /// `None` unless the corners differ in exactly one coordinate.
    pub(super) const fn between(from: Corner, to: Corner) -> Option<Self> {
        match (to.row.wrapping_sub(from.row), to.col.wrapping_sub(from.col)) {
            (0, 0) => None,
            (0, _) if to.col > from.col => Some(Self::Right),
            (0, _) => Some(Self::Left),
            (_, 0) if to.row > from.row => Some(Self::Down),
            (_, 0) => Some(Self::Up),
            _ => None,
        }
    }
}

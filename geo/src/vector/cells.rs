//! The class pixels of an item with one pixel around it: what outlines and regions are read from.

use swath_proto::geometry::RectPx;

use super::corner::Direction;

/// Rows or columns that a side of an item is long.
pub(super) const fn length_along(item: RectPx, side: Direction) -> u32 {
    match side {
        Direction::Down | Direction::Up => item.width,
        Direction::Right | Direction::Left => item.height,
    }
}

/// The first row or column of a side.
pub(super) const fn first_along(item: RectPx, side: Direction) -> u32 {
    match side {
        Direction::Down | Direction::Up => item.col,
        Direction::Right | Direction::Left => item.row,
    }
}

/// Index of a cell.
pub(super) type Cell = usize;

/// An item's pixels and a border of one pixel, row by row.
#[derive(Debug)]
pub(super) struct Cells {
    item: RectPx,
    stride: usize,
    of_class: Vec<bool>,
}

impl Cells {
    /// Cuts an item and its border out of a plane of pixels. The plane has the border, but for where the
    /// scene ends; what is beyond that is not of the class.
    pub(super) fn cut<T: Copy>(
        item: RectPx,
        window: RectPx,
        plane: &[T],
        is_of_class: impl Fn(T) -> bool,
    ) -> Self {
        let (width, height) = (item.width as usize, item.height as usize);
        let stride = width + 2;
        let mut of_class = vec![false; stride * (height + 2)];
        let first_row = item.row.saturating_sub(1);
        let first_col = item.col.saturating_sub(1);
        let n_cols = (item.right().saturating_add(1).min(window.right()) - first_col) as usize;
        for row in first_row..item.bottom().saturating_add(1).min(window.bottom()) {
            let to = (row + 1 - item.row) as usize * stride + (first_col + 1 - item.col) as usize;
            let from =
                (row - window.row) as usize * window.width as usize + (first_col - window.col) as usize;
            let cells = of_class[to..to + n_cols].iter_mut().zip(&plane[from..from + n_cols]);
            cells.for_each(|(cell, &pixel)| *cell = is_of_class(pixel));
        }
        Self { item, stride, of_class }
    }

    pub(super) const fn item(&self) -> RectPx {
        self.item
    }

    /// Row by row, the border with the item.
    pub(super) fn of_class(&self) -> &[bool] {
        &self.of_class
    }

    /// Cells a row.
    pub(super) const fn stride(&self) -> usize {
        self.stride
    }

    /// Of one of the item's own pixels.
    const fn cell(&self, row: u32, col: u32) -> Cell {
        (row - self.item.row + 1) as usize * self.stride + (col - self.item.col + 1) as usize
    }

    /// The class pixels of a row of the item, from its first column.
    pub(super) fn row(&self, row: u32) -> &[bool] {
        let first = self.cell(row, self.item.col);
        &self.of_class[first..first + self.item.width as usize]
    }

    /// The item's pixel beside a side, so many from the side's start: row and column from its first.
    pub(super) const fn beside(&self, side: Direction, at: u32) -> (u32, u32) {
        match side {
            Direction::Down => (self.item.height - 1, at),
            Direction::Up => (0, at),
            Direction::Right => (at, self.item.width - 1),
            Direction::Left => (at, 0),
        }
    }

    /// For each pixel beside a side, whether it and the neighbour's are of the class.
    pub(super) fn on_both_sides(&self, side: Direction) -> Vec<bool> {
        let along = length_along(self.item, side);
        let own = (0..along).map(|at| {
            let (row, col) = self.beside(side, at);
            self.cell(self.item.row + row, self.item.col + col)
        });
        own.map(|cell| self.of_class[cell] && self.of_class[self.neighbour(cell, side)]).collect()
    }

    pub(super) fn is_of_class(&self, cell: Cell) -> bool {
        self.of_class[cell]
    }

    pub(super) const fn neighbour(&self, cell: Cell, towards: Direction) -> Cell {
        match towards {
            Direction::Down => cell + self.stride,
            Direction::Right => cell + 1,
            Direction::Up => cell - self.stride,
            Direction::Left => cell - 1,
        }
    }
}

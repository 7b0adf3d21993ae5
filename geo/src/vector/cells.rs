//! The class pixels of an item with one pixel around it, a bit each: what outlines and regions are read from.

use std::ops::Range;

use swath_proto::geometry::RectPx;

use super::{
    bits::{self, WORD, packed},
    corner::Direction,
};

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

/// Index of a cell: each row begins with a word, and each word has as many as bits.
pub(super) type Cell = usize;

/// An item's pixels and a border of one pixel, row by row. Each row has words of its own, whose last bit is none of the
/// item's pixels.
#[derive(Debug)]
pub(super) struct Cells {
    item: RectPx,
    words: Vec<u64>,
    /// Words a row.
    stride: usize,
    /// For each word of a row, which of its cells are the item's own; in its own rows.
    own: Vec<u64>,
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
        let stride = (item.width as usize + 2).div_ceil(WORD);
        let mut words = vec![0; stride * (item.height as usize + 2)];
        let first_row = item.row.saturating_sub(1);
        let first_col = item.col.saturating_sub(1);
        // Where the scene begins there is no border to be had.
        let beyond = first_col + 1 - item.col;
        let n_cols = (item.right().saturating_add(1).min(window.right()) - first_col) as usize;
        for row in first_row..item.bottom().saturating_add(1).min(window.bottom()) {
            let to = (row + 1 - item.row) as usize * stride;
            let from =
                (row - window.row) as usize * window.width as usize + (first_col - window.col) as usize;
            let mut carried = 0;
            let pixels = plane[from..from + n_cols].chunks(WORD).map(|pixels| packed(pixels, &is_of_class));
            for (word, pixels) in words[to..to + stride].iter_mut().zip(pixels.chain([0])) {
                let both = u128::from(pixels) << beyond;
                *word = both as u64 | carried;
                carried = (both >> WORD) as u64;
            }
        }
        let own_to = |end: usize| if end < WORD { !(u64::MAX << end) } else { u64::MAX };
        let width = item.width as usize;
        let mut own: Vec<u64> = (0..stride).map(|at| own_to((width + 1).saturating_sub(at * WORD))).collect();
        // The border comes first.
        own[0] &= !1;
        Self { item, words, stride, own }
    }

    pub(super) const fn item(&self) -> RectPx {
        self.item
    }

    pub(super) const fn n_words(&self) -> usize {
        self.words.len()
    }

    /// The words of a row of the item, from its first, each with those of its cells that are the item's own.
    pub(super) fn words(&self, row: u32) -> impl Iterator<Item = (usize, u64)> {
        ((row as usize + 1) * self.stride..).zip(self.own.iter().copied())
    }

    /// Of all of the item's rows.
    pub(super) fn all_words(&self) -> impl Iterator<Item = (usize, u64)> {
        (0..self.item.height).flat_map(|row| self.words(row))
    }

    /// The class pixels of a word.
    pub(super) fn of_class(&self, word: usize) -> u64 {
        self.words[word]
    }

    /// Those beside them: for each of the item's cells in the word whether its neighbour is of the class.
    pub(super) fn beside(&self, word: usize, towards: Direction) -> u64 {
        match towards {
            Direction::Down => self.words[word + self.stride],
            Direction::Right => self.words[word] >> 1 | self.words[word + 1] << (WORD - 1),
            Direction::Up => self.words[word - self.stride],
            Direction::Left => self.words[word] << 1 | self.words[word - 1] >> (WORD - 1),
        }
    }

    /// Class pixels of a word at which an outline may begin or end: at the item's rim, or where one touches another by a
    /// corner alone.
    pub(super) fn ends(&self, word: usize, own: u64) -> u64 {
        let of_class = self.of_class(word) & own;
        let (row, last) = (word / self.stride, self.item.height as usize);
        if of_class == 0 || row == 1 || row == last {
            return of_class;
        }
        let [down, right, up, left] = Direction::ALL.map(|towards| self.beside(word, towards));
        let [below, above] = [word + self.stride, word - self.stride]
            .map(|word| [Direction::Left, Direction::Right].map(|towards| self.beside(word, towards)));
        let by_corner =
            !left & (!up & above[0] | !down & below[0]) | !right & (!up & above[1] | !down & below[1]);
        let (at, width) = (word % self.stride, self.item.width as usize);
        let rim = u64::from(at == 0) << 1 | u64::from(at == width / WORD) << (width % WORD);
        of_class & (by_corner | rim)
    }

    /// Calls with each run of class pixels in a row of the item, both from its first.
    pub(super) fn runs(&self, row: u32, mut found: impl FnMut(Range<u32>)) {
        let of_class = self.words(row).map(|(word, own)| self.of_class(word) & own);
        bits::runs(of_class, |run| found(run.start - 1..run.end - 1));
    }

    /// The item's pixel beside a side, so many from the side's start: row and column from its first.
    pub(super) const fn at_side(&self, side: Direction, at: u32) -> (u32, u32) {
        match side {
            Direction::Down => (self.item.height - 1, at),
            Direction::Up => (0, at),
            Direction::Right => (at, self.item.width - 1),
            Direction::Left => (at, 0),
        }
    }

    /// Calls with each run of pixels along a side that are of the class, as are the neighbour's.
    pub(super) fn runs_across(&self, side: Direction, found: impl FnMut(Range<u32>)) {
        let is_across = |at| {
            let (row, col) = self.at_side(side, at);
            let cell = self.cell(row, col);
            self.is_of_class(cell) && self.is_of_class(self.neighbour(cell, side))
        };
        let of_both: Vec<bool> = (0..length_along(self.item, side)).map(is_across).chain([false]).collect();
        bits::runs(of_both.chunks(WORD).map(|pixels| packed(pixels, |pixel| pixel)), found);
    }

    /// Of one of the item's own pixels.
    const fn cell(&self, row: u32, col: u32) -> Cell {
        (row as usize + 1) * self.stride * WORD + col as usize + 1
    }

    /// Row and column of one of the item's own cells, from the item's first.
    pub(super) const fn place(&self, cell: Cell) -> (u32, u32) {
        let stride = self.stride * WORD;
        ((cell / stride - 1) as u32, (cell % stride - 1) as u32)
    }

    pub(super) fn is_own(&self, cell: Cell) -> bool {
        let (word, row) = (cell / WORD, cell / (self.stride * WORD));
        (1..=self.item.height as usize).contains(&row)
            && self.own[word % self.stride] >> (cell % WORD) & 1 != 0
    }

    pub(super) fn is_of_class(&self, cell: Cell) -> bool {
        self.words[cell / WORD] >> (cell % WORD) & 1 != 0
    }

    pub(super) const fn neighbour(&self, cell: Cell, towards: Direction) -> Cell {
        match towards {
            Direction::Down => cell + self.stride * WORD,
            Direction::Right => cell + 1,
            Direction::Up => cell - self.stride * WORD,
            Direction::Left => cell - 1,
        }
    }
}

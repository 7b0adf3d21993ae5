//! The sides of an item's class pixels at which the class ends: all that outlines are made of.
//!
//! They are found for the pixels of a word in one go, and where there are none is passed over as
//! quickly: what is inside a region, or outside of all, costs next to nothing.

use super::{
    bits::WORD,
    cells::{Cell, Cells},
    corner::Direction,
};

/// Those that exist and were not walked: for each word of cells a word for each way that a side is taken.
/// A cell in the border has none: its sides are its own item's.
#[derive(Debug)]
pub(super) struct Sides {
    left: Vec<[u64; 4]>,
}

impl Sides {
    /// A side that is taken downwards has the class on its left where one walks, which is the right as
    /// seen on the screen: nothing of the class lies to the left of its pixel.
    pub(super) fn of(cells: &Cells) -> Self {
        let mut left = vec![[0; 4]; cells.n_words()];
        for (word, own) in cells.all_words() {
            let of_class = cells.of_class(word) & own;
            if of_class != 0 {
                left[word] = Direction::ALL.map(|towards| of_class & !cells.beside(word, towards.right()));
            }
        }
        Self { left }
    }

    /// Whether a side of this item exists and was not walked.
    pub(super) fn is_left(&self, cell: Cell, towards: Direction) -> bool {
        self.left[cell / WORD][towards as usize] >> (cell % WORD) & 1 != 0
    }

    pub(super) fn walk(&mut self, cell: Cell, towards: Direction) {
        self.left[cell / WORD][towards as usize] &= !(1 << (cell % WORD));
    }

    /// The first cell of a word that has a side left.
    pub(super) fn first(&self, word: usize) -> Option<Cell> {
        let any = self.left[word].iter().fold(0, |any, sides| any | sides);
        (any != 0).then(|| word * WORD + any.trailing_zeros() as usize)
    }
}

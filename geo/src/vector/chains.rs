//! Outlines of class pixels, as chains of corners.
//!
//! An outline walks along the sides of pixels with the class on its left. A side belongs to the
//! item that owns its class pixel. A chain is what an item knows of an outline between two places
//! where it has to stop:
//!
//! - where the next side belongs to another item;
//! - at a corner where only two diagonal pixels are of the class. Whether those belong to one region
//!   can't be known before all items are joined, and it decides how the outline goes on there (see
//!   [`super::rings`]).
//!
//! An outline that meets neither is one chain whose last corner is its first.

use smallvec::SmallVec;

use super::{
    bits::{WORD, ones},
    cells::{Cell, Cells},
    corner::{Corner, Direction},
    regions::Regions,
    sides::Sides,
};

/// Corners where the outline turns, and both ends. At least two; neighbours differ in exactly one
/// coordinate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain(pub(super) Vec<Corner>);

/// Those of a region: one, most often.
pub(super) type Chains = SmallVec<[Chain; 1]>;

/// Room that a chain has from the start: enough for a rectangle.
const USUAL_CORNERS: usize = 5;

/// Of all of them, both ends of each.
pub(super) fn n_corners(chains: &[Chain]) -> usize {
    chains.iter().map(|Chain(corners)| corners.len()).sum()
}

/// The side of a class pixel, named by the way an outline takes it.
#[derive(Clone, Copy, Debug)]
struct Side {
    cell: Cell,
    towards: Direction,
}

impl Side {
    /// The side after this one, which may be another item's; `None` if the chain ends here.
    fn next(self, cells: &Cells) -> Option<Self> {
        let Self { cell, towards } = self;
        let ahead = cells.neighbour(cell, towards);
        let diagonal = cells.neighbour(ahead, towards.right());
        match (cells.is_of_class(ahead), cells.is_of_class(diagonal)) {
            (false, false) => Some(Self { cell, towards: towards.left() }),
            (false, true) => None,
            (true, false) => Some(Self { cell: ahead, towards }),
            (true, true) => Some(Self { cell: diagonal, towards: towards.right() }),
        }
    }

    /// Whether no side of this item goes on into this one.
    fn is_first(self, cells: &Cells) -> bool {
        let Self { cell, towards } = self;
        let back = towards.left().left();
        let behind = cells.neighbour(cell, back);
        let diagonal = cells.neighbour(behind, towards.right());
        match (cells.is_of_class(behind), cells.is_of_class(diagonal)) {
            (false, diagonal) => diagonal,
            // Where the class is, there is the side before; but maybe it is another item's.
            (true, false) => !cells.is_own(behind),
            (true, true) => !cells.is_own(diagonal),
        }
    }
}

/// Chains of each region of an item.
pub(super) fn chains(cells: &Cells, regions: &Regions) -> Vec<Chains> {
    let mut tracer = Tracer {
        cells,
        regions,
        sides: Sides::of(cells),
        chains: vec![Chains::new(); regions.tallies.len()],
    };
    for (word, own) in cells.all_words() {
        for at in ones(cells.ends(word, own)) {
            tracer.trace(word * WORD + at as usize, |side| side.is_first(cells));
        }
    }
    // What has ends is walked now: any side that is left is part of a closed outline.
    for (word, _) in cells.all_words() {
        while let Some(cell) = tracer.sides.first(word) {
            tracer.trace(cell, |_| true);
        }
    }
    tracer.chains
}

/// Where the side of this pixel begins.
const fn start(row: u32, col: u32, towards: Direction) -> Corner {
    match towards {
        Direction::Down => Corner::new(row, col),
        Direction::Right => Corner::new(row + 1, col),
        Direction::Up => Corner::new(row + 1, col + 1),
        Direction::Left => Corner::new(row, col + 1),
    }
}

struct Tracer<'a> {
    cells: &'a Cells,
    regions: &'a Regions,
    sides: Sides,
    /// Of each region.
    chains: Vec<Chains>,
}

impl Tracer<'_> {
    /// Walks from those sides of a cell that are left and that chains begin with.
    fn trace(&mut self, cell: Cell, begins: impl Fn(Side) -> bool) {
        let (row, col) = self.cells.place(cell);
        let item = self.cells.item();
        for towards in Direction::ALL {
            let side = Side { cell, towards };
            if self.sides.is_left(cell, towards) && begins(side) {
                let chain = self.walk(side, start(item.row + row, item.col + col, towards));
                self.chains[self.regions.at(row, col) as usize].push(chain);
            }
        }
    }

    fn walk(&mut self, first: Side, start: Corner) -> Chain {
        let (mut side, mut at) = (first, start);
        let mut corners = Vec::with_capacity(USUAL_CORNERS);
        corners.push(start);
        loop {
            self.sides.walk(side.cell, side.towards);
            at = at.step(side.towards, 1);
            match side.next(self.cells) {
                Some(next) if self.sides.is_left(next.cell, next.towards) => {
                    if next.towards != side.towards {
                        corners.push(at);
                    }
                    side = next;
                }
                _ => {
                    corners.push(at);
                    return Chain(corners);
                }
            }
        }
    }
}

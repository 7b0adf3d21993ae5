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

use super::{
    cells::{Cell, Cells},
    corner::{Corner, Direction},
    regions::Regions,
};

/// Corners where the outline turns, and both ends. At least two; neighbours differ in exactly one
/// coordinate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chain(pub(super) Vec<Corner>);

/// The side of a class pixel, named by the way an outline takes it.
#[derive(Clone, Copy, Debug)]
struct Side {
    cell: Cell,
    towards: Direction,
}

impl Side {
    fn exists(self, cells: &Cells) -> bool {
        let beyond = cells.neighbour(self.cell, self.towards.right());
        cells.is_of_class(self.cell) && !cells.is_of_class(beyond)
    }

    /// The side after this one; `None` if the chain ends here.
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
        .filter(|next| cells.is_own(next.cell))
    }

    /// Whether no side of this item goes on into this one.
    fn is_first(self, cells: &Cells) -> bool {
        let Self { cell, towards } = self;
        let back = towards.left().left();
        let behind = cells.neighbour(cell, back);
        let diagonal = cells.neighbour(behind, towards.right());
        match (cells.is_of_class(behind), cells.is_of_class(diagonal)) {
            (false, diagonal) => diagonal,
            (true, false) => !cells.is_own(behind),
            (true, true) => !cells.is_own(diagonal),
        }
    }
}

/// Chains of each region of an item.
pub(super) fn chains(cells: &Cells, regions: &Regions) -> Vec<Vec<Chain>> {
    let mut tracer = Tracer { cells, walked: vec![0; cells.len()] };
    let mut chains = vec![Vec::new(); regions.tallies.len()];
    // What has ends first: any side that is left then is part of a closed outline.
    for closed in [false, true] {
        for (row, col, cell) in cells.own_of_class() {
            for towards in Direction::ALL {
                let side = Side { cell, towards };
                if side.exists(cells) && !tracer.is_walked(side) && (closed || side.is_first(cells)) {
                    let start = start(cells.item().row + row, cells.item().col + col, towards);
                    chains[regions.at(row, col) as usize].push(tracer.walk(side, start));
                }
            }
        }
    }
    chains
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
    /// A bit for each side of each cell.
    walked: Vec<u8>,
}

impl Tracer<'_> {
    fn is_walked(&self, side: Side) -> bool {
        self.walked[side.cell] & 1 << side.towards as u8 != 0
    }

    fn walk(&mut self, first: Side, start: Corner) -> Chain {
        let (mut side, mut at) = (first, start);
        let mut corners = vec![start];
        loop {
            self.walked[side.cell] |= 1 << side.towards as u8;
            at = at.step(side.towards, 1);
            match side.next(self.cells) {
                Some(next) if !self.is_walked(next) => {
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

//! What an item leaves: its regions, each with its pixels and scores, the pieces of its outline, and
//! the places where it goes on in a neighbouring item.

use swath_proto::geometry::{RectPx, SizePx};

use super::{
    cells::{Cells, first_along},
    chains::{Chains, chains},
    corner::{Corner, Direction},
    opening,
    regions::{Regions, Tally},
};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPlane {
    #[error("an item of {item} is empty or not inside a scene of {} x {} px", scene.width, scene.height)]
    Outside { item: RectPx, scene: SizePx },
    #[error("{got} {what} can't be those of {window}")]
    Length { what: &'static str, got: usize, window: RectPx },
}

/// What is made into polygons, the same for all items of a scene. Items are the cells of a grid:
/// two that meet share a whole side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracing {
    pub scene: SizePx,
    pub class: u8,
    /// The edge of a square. A pixel is kept if it lies in some square that is all of the class and
    /// inside the scene; 0 and 1 keep all.
    pub denoise_px: u32,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    pub(super) item: RectPx,
    pub(super) regions: Vec<Region>,
}

/// The part of a region that lies in an item and hangs together there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) tally: Tally,
    pub(super) contacts: Vec<Contact>,
    pub(super) chains: Chains,
}

/// Where a region goes on in the neighbour on this side: the first of a run of pixels, by row or
/// column of the scene, that are of the class on both sides of the border. Both items see the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Contact {
    pub(super) side: Direction,
    pub(super) at: u32,
}

impl Tracing {
    /// How far around an item pixels are needed: what decides on the item's own, and one more to
    /// see the neighbours'.
    pub const fn halo_px(&self) -> u32 {
        opening::reach_px(self.denoise_px) + 1
    }

    /// The pixels to read for an item: it and the halo around it, so far as there is a scene.
    pub fn window_px(&self, item: RectPx) -> Result<RectPx, BadPlane> {
        let fits =
            |at: u32, len: u32, scene: u32| len > 0 && at.checked_add(len).is_some_and(|far| far <= scene);
        let Self { scene, .. } = *self;
        if !fits(item.col, item.width, scene.width) || !fits(item.row, item.height, scene.height) {
            return Err(BadPlane::Outside { item, scene });
        }
        let halo = self.halo_px();
        let (col, row) = (item.col.saturating_sub(halo), item.row.saturating_sub(halo));
        let right = item.right().saturating_add(halo).min(scene.width);
        let bottom = item.bottom().saturating_add(halo).min(scene.height);
        Ok(RectPx::new(col, row, right - col, bottom - row))
    }

    /// Traces an item. Planes are those of [`Tracing::window_px`], row by row: the class of each
    /// pixel and, where there are any, the quantised score of [`Tracing::class`]; without them all
    /// sums of scores are 0.
    pub fn fragment(
        &self,
        item: RectPx,
        classes: &[u8],
        scores: Option<&[u8]>,
    ) -> Result<Fragment, BadPlane> {
        let window = self.window_px(item)?;
        for (what, got) in [("classes", Some(classes.len())), ("scores", scores.map(<[u8]>::len))] {
            if let Some(got) = got.filter(|&got| got as u64 != window.pixels()) {
                return Err(BadPlane::Length { what, got, window });
            }
        }
        let width = window.width as usize;
        let is_of_class = |class| class == self.class;
        let cells = if opening::reach_px(self.denoise_px) == 0 {
            Cells::cut(item, window, classes, is_of_class)
        } else {
            let mut plane: Vec<bool> = classes.iter().copied().map(is_of_class).collect();
            opening::open(&mut plane, width, self.denoise_px);
            Cells::cut(item, window, &plane, |stays| stays)
        };
        let scores_of = |row: u32| {
            let first = (row - window.row) as usize * width + (item.col - window.col) as usize;
            scores.map(|scores| &scores[first..first + item.width as usize])
        };
        Ok(Fragment::of_cells(&cells, scores_of))
    }
}

impl Fragment {
    fn of_cells<'a>(cells: &Cells, scores_of: impl Fn(u32) -> Option<&'a [u8]>) -> Self {
        let labels = Regions::of(cells, scores_of);
        let chains = chains(cells, &labels);
        let mut regions: Vec<_> = labels
            .tallies
            .iter()
            .zip(chains)
            .map(|(&tally, chains)| Region { tally, contacts: Vec::new(), chains })
            .collect();
        for side in Direction::ALL {
            cells.runs_across(side, |run| {
                let (row, col) = cells.at_side(side, run.start);
                let contact = Contact { side, at: run.start + first_along(cells.item(), side) };
                regions[labels.at(row, col) as usize].contacts.push(contact);
            });
        }
        Self { item: cells.item(), regions }
    }

    /// Of an item without a pixel of the class.
    pub const fn empty(item: RectPx) -> Self {
        Self { item, regions: Vec::new() }
    }

    /// Where the item lies in its scene.
    pub const fn item(&self) -> RectPx {
        self.item
    }
}

impl Contact {
    /// The side that the two first pixels share, by its upper left end: the same from both items.
    pub(super) const fn corner(self, item: RectPx) -> Corner {
        match self.side {
            Direction::Down => Corner::new(item.bottom(), self.at),
            Direction::Up => Corner::new(item.row, self.at),
            Direction::Right => Corner::new(self.at, item.right()),
            Direction::Left => Corner::new(self.at, item.col),
        }
    }
}

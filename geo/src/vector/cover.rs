//! Whether items cover a scene exactly, in any order, remembering only where they end so far.
//!
//! Corners of rectangles are kept if they were met an odd number of times. If just the scene's four
//! are left, every pixel is covered an odd number of times, so at least once; if the items have as
//! many pixels as the scene as well, exactly once.

use std::collections::HashSet;

use swath_proto::geometry::{RectPx, SizePx};

use super::corner::Corner;

#[derive(Debug)]
pub(super) struct Cover {
    scene: SizePx,
    missing_px: u64,
    odd: HashSet<Corner>,
}

impl Cover {
    pub(super) fn new(scene: SizePx) -> Self {
        let mut cover = Self { scene, missing_px: scene.pixels(), odd: HashSet::new() };
        cover.flip(RectPx::new(0, 0, scene.width, scene.height));
        cover
    }

    fn flip(&mut self, rect: RectPx) {
        for row in [rect.row, rect.bottom()] {
            for col in [rect.col, rect.right()] {
                let corner = Corner::new(row, col);
                if !self.odd.remove(&corner) {
                    self.odd.insert(corner);
                }
            }
        }
    }

    /// `false`: the item lies outside the scene, or there are too many. Its corners don't overflow.
    pub(super) fn add(&mut self, item: RectPx) -> bool {
        let inside = item.right() <= self.scene.width && item.bottom() <= self.scene.height;
        match self.missing_px.checked_sub(item.pixels()).filter(|_| inside) {
            Some(missing_px) => self.missing_px = missing_px,
            None => return false,
        }
        self.flip(item);
        true
    }

    pub(super) fn is_exact(&self) -> bool {
        self.missing_px == 0 && self.odd.is_empty()
    }

    #[cfg(test)]
    pub(super) fn n_odd(&self) -> usize {
        self.odd.len()
    }
}

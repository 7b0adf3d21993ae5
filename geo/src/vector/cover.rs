//! Whether items cover a scene exactly, in any order, remembering only where they end so far.
//!
//! Corners of rectangles, the scene's among them, are kept if they were met an odd number of times.
//! If none is left, every pixel is covered an odd number of times, so at least once; as the items
//! have no more pixels than the scene, exactly once.

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
        self.odd.is_empty()
    }

    #[cfg(test)]
    pub(super) fn n_odd(&self) -> usize {
        self.odd.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cover(items: &[RectPx]) -> (Vec<bool>, bool) {
        let mut cover = Cover::new(SizePx::new(4, 3));
        (items.iter().map(|&item| cover.add(item)).collect(), cover.is_exact())
    }

    #[test]
    fn items_that_fill_a_scene_cover_it_in_any_order() {
        let (right, left, below) =
            (RectPx::new(1, 0, 3, 2), RectPx::new(0, 0, 1, 2), RectPx::new(0, 2, 4, 1));
        assert_eq!(cover(&[right, left, below]), (vec![true; 3], true));
        assert_eq!(cover(&[below, right, left]), (vec![true; 3], true));
        assert_eq!(cover(&[right, left]), (vec![true; 2], false));
        assert_eq!(cover(&[right, right]), (vec![true; 2], false));
        assert_eq!(cover(&[right, left, below, left]), (vec![true, true, true, false], true));
    }

    #[test]
    fn as_many_pixels_elsewhere_do_not_cover() {
        let (half, other) = (RectPx::new(0, 0, 2, 3), RectPx::new(1, 0, 2, 3));
        assert_eq!(cover(&[half, half]), (vec![true; 2], false));
        assert_eq!(cover(&[half, other]), (vec![true; 2], false));
    }

    #[test]
    fn an_item_outside_the_scene_is_refused() {
        assert_eq!(cover(&[RectPx::new(2, 0, 3, 1)]), (vec![false], false));
        assert_eq!(cover(&[RectPx::new(0, 2, 1, 2)]), (vec![false], false));
        assert_eq!(cover(&[RectPx::new(2, 1, 2, 2)]), (vec![true], false));
    }
}

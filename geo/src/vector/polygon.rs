//! One polygon a region.

use super::{
    chains::Chains,
    corner::Corner,
    join::BadJoin,
    regions::Tally,
    rings::{Ring, rings},
};

/// A region of the class: its outer ring, its holes, and what was counted over its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polygon {
    /// The outer ring, then holes by their first corners.
    pub rings: Vec<Ring>,
    /// Pixels of the region. They stay what they are when rings are simplified.
    pub area_px: u64,
    /// Sum of the quantised scores of these pixels.
    pub score_sum: u64,
}

impl Polygon {
    /// From all that the items know of a region.
    pub(super) fn of_region(tally: Tally, chains: Chains) -> Result<Self, BadJoin> {
        let Tally { pixels, score_sum } = tally;
        let bad = |what| BadJoin::Region { pixels, what };
        let mut rings = rings(chains).map_err(bad)?;
        // A region is connected, so one ring goes around it. It comes first: it has the region's
        // first corner.
        rings.sort_unstable_by_key(|ring| ring.corners()[0]);
        let mut areas = rings.iter().map(Ring::twice_area_px);
        let outer = areas.next().filter(|&outer| outer > 0);
        let twice_px =
            outer.and_then(|outer| areas.try_fold(outer, |sum, hole| (hole < 0).then_some(sum + hole)));
        let twice_px = twice_px.ok_or_else(|| bad("there is not one outer ring"))?;
        if twice_px != 2 * i128::from(pixels) {
            return Err(bad("its outline holds another number of pixels"));
        }
        Ok(Self { rings, area_px: pixels, score_sum })
    }

    /// The upper left corner of the region's first pixel. No other polygon has it; polygons are
    /// ordered by it.
    pub fn first_corner(&self) -> Corner {
        self.rings.first().map_or(Corner::new(0, 0), |ring| ring.corners()[0])
    }

    /// The mean score of the region's pixels, from 0 to 1.
    pub fn mean_score(&self) -> f64 {
        self.score_sum as f64 / (self.area_px as f64 * f64::from(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::chains::Chain;

    fn polygon(pixels: u64, chains: &[&[(u32, u32)]]) -> Result<Polygon, BadJoin> {
        let corner = |&(row, col): &(u32, u32)| Corner::new(row, col);
        let chains = chains.iter().map(|corners| Chain(corners.iter().map(corner).collect()));
        Polygon::of_region(Tally { pixels, score_sum: 0 }, chains.collect())
    }

    fn is_refused(pixels: u64, chains: &[&[(u32, u32)]], wanted: &str) {
        let got = polygon(pixels, chains);
        assert!(matches!(&got, Err(BadJoin::Region { what, .. }) if *what == wanted), "{got:?}");
    }

    const DOWN: &[(u32, u32)] = &[(0, 0), (3, 0), (3, 3)];
    const UP: &[(u32, u32)] = &[(3, 3), (0, 3), (0, 0)];
    const HOLE: &[(u32, u32)] = &[(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)];
    const ISLAND: &[(u32, u32)] = &[(5, 5), (6, 5), (6, 6), (5, 6), (5, 5)];

    #[test]
    fn chains_become_rings_in_any_order() {
        let whole = polygon(8, &[DOWN, UP, HOLE]).unwrap();
        assert_eq!(whole.rings.iter().map(Ring::twice_area_px).collect::<Vec<_>>(), [18, -2]);
        assert_eq!(polygon(8, &[HOLE, UP, DOWN]), Ok(whole));
    }

    #[test]
    fn a_region_of_other_than_one_outer_ring_is_refused() {
        let wanted = "there is not one outer ring";
        is_refused(0, &[], wanted);
        is_refused(10, &[DOWN, UP, ISLAND], wanted);
        is_refused(1, &[HOLE], wanted);
        let outer = &[(2, 5), (6, 5), (6, 6), (2, 6), (2, 5)];
        is_refused(3, &[HOLE, outer], wanted);
        is_refused(9, &[DOWN, UP, HOLE], "its outline holds another number of pixels");
    }

    #[test]
    fn chains_that_do_not_close_are_refused() {
        is_refused(9, &[DOWN], "an outline ends in nothing");
        is_refused(9, &[DOWN, &[(3, 3), (2, 3)]], "an outline ends in nothing");
        // Three begin at one corner.
        is_refused(9, &[DOWN, UP, UP, UP], "an outline ends in nothing");
        is_refused(9, &[&[(0, 0), (3, 0)], &[(3, 0), (0, 0)]], "an outline goes back where it came from");
        // Both ways lead to the same one.
        is_refused(9, &[&[(0, 1), (0, 0)], DOWN, UP], "an outline runs into another");
    }
}

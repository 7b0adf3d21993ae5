//! One polygon a region.

use super::{
    chains::Chain,
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
    pub(super) fn of_region(tally: Tally, chains: Vec<Chain>) -> Result<Self, BadJoin> {
        let Tally { pixels, score_sum } = tally;
        let bad = |what| BadJoin::Region { pixels, what };
        let mut rings = rings(chains).map_err(bad)?;
        // A region is connected, so one ring goes around it. It comes first: it has the region's
        // first corner.
        rings.sort_unstable_by_key(|ring| ring.corners()[0]);
        let areas: Vec<_> = rings.iter().map(Ring::twice_area_px).collect();
        if !matches!(areas[..], [outer, ref holes @ ..] if outer > 0 && holes.iter().all(|&hole| hole < 0)) {
            return Err(bad("there is not one outer ring"));
        }
        if areas.iter().sum::<i128>() != 2 * i128::from(pixels) {
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

//! A polygon's rings as positions, which may lie between the corners of pixels.

use super::polygon::Polygon;

#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    /// `[column, row]`. They run and follow each other as those of [`Polygon`] do.
    pub rings: Vec<Vec<[f64; 2]>>,
    /// Pixels of the region, whatever became of its rings.
    pub area_px: u64,
}

impl From<&Polygon> for Outline {
    fn from(polygon: &Polygon) -> Self {
        let rings = polygon.rings.iter().map(|ring| {
            ring.corners().iter().map(|corner| [f64::from(corner.col), f64::from(corner.row)]).collect()
        });
        Self { rings: rings.collect(), area_px: polygon.area_px }
    }
}

impl Outline {
    /// Twice what the rings enclose, in pixels. Measured from the first position of each, since far
    /// from the origin a small ring would drown in rounding.
    pub fn twice_area_px(&self) -> f64 {
        self.rings.iter().map(|ring| twice_area(ring)).sum()
    }
}

fn twice_area(ring: &[[f64; 2]]) -> f64 {
    let [x0, y0] = ring.first().copied().unwrap_or_default();
    let cross = |ends: &[[f64; 2]]| {
        let [[ax, ay], [bx, by]] = [ends[0], ends[1]];
        (ay - y0) * (bx - x0) - (ax - x0) * (by - y0)
    };
    ring.windows(2).map(cross).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::{Ring, tests::Raster};

    #[test]
    fn an_outline_has_the_area_of_its_polygon() {
        let polygon = Raster::drawn(&["#####", "#.###", "#.#.#", "#####"]).polygons(0).remove(0);
        let outline = Outline::from(&polygon);
        let twice_px: i128 = polygon.rings.iter().map(Ring::twice_area_px).sum();
        assert_eq!((outline.twice_area_px(), twice_px), (34.0, 34));
        assert_eq!(outline.rings[0], [[0.0, 0.0], [0.0, 4.0], [5.0, 4.0], [5.0, 0.0]]);
        assert_eq!((outline.rings.len(), outline.area_px), (3, 17));
    }
}

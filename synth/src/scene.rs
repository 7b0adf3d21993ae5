//! A scene, strip by strip: districts are painted into a canvas of a few rows, then blurred and
//! grained as a camera would.

use crate::{
    hash::mix,
    paint::{self, SHADOW},
    plan::{DISTRICT_PX, District, Object, What},
};

/// A square of the plane that the seed spans; its upper-left corner is the same at every size.
pub struct Scene {
    seed: u64,
    size_px: u32,
}

/// A building's outline and holes, in pixels of the scene.
#[derive(Clone, Debug, PartialEq)]
pub struct Building {
    pub rings: Vec<Vec<[f64; 2]>>,
}

impl Scene {
    pub fn new(seed: u64, size_px: u32) -> Self {
        Self { seed, size_px }
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    pub fn size_px(&self) -> u32 {
        self.size_px
    }

    /// Rows of districts; each is a strip of its own.
    pub fn n_strips(&self) -> u32 {
        self.size_px.div_ceil(DISTRICT_PX)
    }

    /// Buildings of a strip that touch the scene.
    pub fn buildings(&self, strip: u32) -> Vec<Building> {
        let size = f64::from(self.size_px);
        let districts =
            (0..self.n_strips()).map(|col| District::new(self.seed, i64::from(col), i64::from(strip)));
        let objects = districts.flat_map(|district| district.objects);
        let buildings = objects.filter(|object| matches!(object.what, What::Building { .. })).map(|object| {
            let to_scene = |point: [f32; 2]| {
                let ((c, s), [u, v]) = (object.turn, point);
                [f64::from(object.x + c * u - s * v), f64::from(object.y + s * u + c * v)]
            };
            let rings = object.footprint.rings();
            Building {
                rings: rings.into_iter().map(|ring| ring.into_iter().map(to_scene).collect()).collect(),
            }
        });
        let inside = |point: &[f64; 2]| point.iter().all(|value| (0.0..size).contains(value));
        buildings.filter(|building| building.rings.iter().flatten().any(inside)).collect()
    }

    /// The pixels of rows `first` to `first + n`, red, green and blue side by side.
    pub fn rows(&self, first: u32, n: u32) -> Vec<u8> {
        let width = self.size_px as usize;
        // The blur looks one row up and down, and beyond the scene's edge too: nothing ends there.
        let mut canvas = Canvas::new(self.size_px as usize + 2, i64::from(first) - 1, n as usize + 2);
        let edge = i64::from(DISTRICT_PX);
        for district_row in
            canvas.first.div_euclid(edge)..=(canvas.first + canvas.height as i64 - 1).div_euclid(edge)
        {
            for district_col in -1..=(width as i64).div_euclid(edge) {
                let district = District::new(self.seed, district_col, district_row);
                canvas.ground(self.seed, &district, (district_col * edge, district_row * edge));
                let objects = &district.objects;
                for (layer, object) in objects.iter().enumerate() {
                    // Shadows of the layer that follows fall on what lies below it.
                    if layer == 0 || is_tree(&objects[layer - 1]) != is_tree(object) {
                        let of_layer = objects.iter().filter(|other| is_tree(other) == is_tree(object));
                        of_layer.for_each(|other| canvas.shadow(other));
                    }
                    canvas.object(object);
                }
            }
        }
        canvas.develop(self.seed, width, first, n)
    }
}

fn is_tree(object: &Object) -> bool {
    matches!(object.what, What::Tree { .. })
}

/// Some rows of a scene, with one pixel more on each side.
struct Canvas {
    width: usize,
    /// Scene row of the canvas' first.
    first: i64,
    height: usize,
    pixels: Vec<[f32; 3]>,
}

impl Canvas {
    fn new(width: usize, first: i64, height: usize) -> Self {
        Self { width, first, height, pixels: vec![[0.0; 3]; width * height] }
    }

    /// Calls `paint` for the canvas' pixels in a rectangle of the scene, with their centres.
    fn each(
        &mut self,
        (left, top, right, bottom): (f32, f32, f32, f32),
        mut paint: impl FnMut(f32, f32, &mut [f32; 3]),
    ) {
        let first_col = (left.floor() as i64).max(-1);
        let last_col = (right.ceil() as i64).min(self.width as i64 - 2);
        let first_row = (top.floor() as i64).max(self.first);
        let last_row = (bottom.ceil() as i64).min(self.first + self.height as i64 - 1);
        for row in first_row..=last_row {
            let line = (row - self.first) as usize * self.width;
            for col in first_col..=last_col {
                paint(col as f32 + 0.5, row as f32 + 0.5, &mut self.pixels[line + (col + 1) as usize]);
            }
        }
    }

    fn ground(&mut self, seed: u64, district: &District, origin: (i64, i64)) {
        let edge = DISTRICT_PX as f32;
        let (left, top) = (origin.0 as f32, origin.1 as f32);
        // Exactly the district's own pixels.
        self.each((left, top, left + edge - 1.0, top + edge - 1.0), |x, y, pixel| {
            *pixel = paint::ground(seed, district, x, y);
        });
    }

    fn shadow(&mut self, object: &Object) {
        let height = paint::height(object);
        if height == 0.0 {
            return;
        }
        let (c, s) = object.turn;
        let reach = object.footprint.reach();
        let (dx, dy) = (SHADOW.0 * height, SHADOW.1 * height);
        let bounds = (
            object.x - reach + dx.min(0.0),
            object.y - reach + dy.min(0.0),
            object.x + reach + dx.max(0.0),
            object.y + reach + dy.max(0.0),
        );
        self.each(bounds, |x, y, pixel| {
            let covered = (1..=4).any(|step| {
                let share = step as f32 / 4.0;
                let (px, py) = (x - object.x - dx * share, y - object.y - dy * share);
                object.footprint.holds(c * px + s * py, c * py - s * px)
            });
            if covered {
                *pixel = pixel.map(|value| value * 0.5);
            }
        });
    }

    fn object(&mut self, object: &Object) {
        let (c, s) = object.turn;
        let reach = object.footprint.reach();
        let bounds = (object.x - reach, object.y - reach, object.x + reach, object.y + reach);
        self.each(bounds, |x, y, pixel| {
            let (px, py) = (x - object.x, y - object.y);
            if let Some(colour) = paint::object(object, c * px + s * py, c * py - s * px) {
                *pixel = colour;
            }
        });
    }

    /// Blurs by 1-2-1 in both directions, adds the sensor's grain, and rounds.
    fn develop(&self, seed: u64, width: usize, first: u32, n: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(width * n as usize * 3);
        for row in 0..n as usize {
            for col in 0..width {
                let at = |down: usize, across: usize| &self.pixels[(row + down) * self.width + col + across];
                let noise = mix(seed ^ mix(u64::from(first) + row as u64) ^ (col as u64) << 32);
                // A sum of four bytes is near enough to normal; its deviation is 148.
                let bytes = (0..4).map(|byte| (noise >> (8 * byte) & 255) as f32).sum::<f32>();
                let common = (bytes - 510.0) / 148.0 * 6.0;
                for band in 0..3 {
                    let line = |down| at(down, 0)[band] + 2.0 * at(down, 1)[band] + at(down, 2)[band];
                    let blurred = (line(0) + 2.0 * line(1) + line(2)) / 16.0;
                    let own = (noise >> (32 + 8 * band) & 7) as f32 - 3.5;
                    // Zero is left for pixels without data.
                    out.push((blurred + common + own).clamp(1.0, 255.0) as u8);
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_drawn_alone_equals_the_same_rows_of_the_whole() {
        let scene = Scene::new(5, 300);
        let whole = scene.rows(0, 300);
        assert_eq!(scene.rows(117, 61), whole[117 * 900..178 * 900]);
    }

    #[test]
    fn a_larger_scene_shows_the_same_corner() {
        let (small, large) = (Scene::new(5, 100).rows(0, 100), Scene::new(5, 130).rows(0, 100));
        for row in 0..100 {
            assert_eq!(small[row * 300..][..300], large[row * 390..][..300]);
        }
    }

    #[test]
    fn seeds_give_other_scenes() {
        assert_ne!(Scene::new(1, 64).rows(0, 64), Scene::new(2, 64).rows(0, 64));
    }

    #[test]
    fn buildings_cover_a_part_of_the_ground_and_lie_in_the_scene() {
        let scene = Scene::new(3, 2048);
        let buildings: Vec<Building> =
            (0..scene.n_strips()).flat_map(|strip| scene.buildings(strip)).collect();
        let area = |ring: &Vec<[f64; 2]>| {
            let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
            pairs.map(|(a, b)| a[0] * b[1] - b[0] * a[1]).sum::<f64>().abs() / 2.0
        };
        let covered: f64 = buildings.iter().map(|building| area(&building.rings[0])).sum();
        let share = covered / (2048.0 * 2048.0);
        assert!((0.05..0.35).contains(&share), "{share}");
        assert!(buildings.iter().any(|building| building.rings.len() == 2), "none has a yard");
    }
}

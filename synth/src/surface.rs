//! What there is at each pixel, for labels that tell more than buildings; and what a camera for near infrared would
//! see of it.

use crate::{
    paint,
    plan::{DISTRICT_PX, District, Object, What},
    scene::Scene,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    Grass,
    Paved,
    Building,
    Tree,
    Car,
    /// Pools, containers, courts and bare soil.
    Clutter,
}

impl Surface {
    pub const ALL: [Self; 6] =
        [Self::Grass, Self::Paved, Self::Building, Self::Tree, Self::Car, Self::Clutter];

    /// Plants are brighter than they look, and water is black.
    pub fn infrared(self, [red, green, blue]: [u8; 3]) -> u8 {
        let [red, green, blue] = [red, green, blue].map(f32::from);
        let value = match self {
            Self::Grass => green * 1.5 + 15.0,
            Self::Tree => green * 2.2 + 20.0,
            Self::Paved | Self::Car => (red + green + blue) * 0.28,
            Self::Building => red * 0.85,
            Self::Clutter => red * 0.6,
        };
        // Zero is left for pixels without data.
        value.clamp(1.0, 255.0) as u8
    }
}

impl Scene {
    /// What rows `first` to `first + n` show.
    pub fn surfaces(&self, first: u32, n: u32) -> Vec<Surface> {
        let (width, edge) = (self.size_px(), i64::from(DISTRICT_PX));
        let mut plane = Plane { width, first, surfaces: vec![Surface::Grass; (width * n) as usize] };
        let last = i64::from(first) + i64::from(n) - 1;
        for row in i64::from(first).div_euclid(edge)..=last.div_euclid(edge) {
            for col in 0..=(i64::from(width) - 1).div_euclid(edge) {
                let district = District::new(self.seed(), col, row);
                let (left, top) = ((col * edge) as f32, (row * edge) as f32);
                let side = edge as f32 - 1.0;
                plane.each((left, top, left + side, top + side), |x, y| {
                    paint::street(&district, x, y).map(|_| Surface::Paved)
                });
                for object in &district.objects {
                    plane.object(object);
                }
            }
        }
        plane.surfaces
    }
}

/// Some rows of a scene.
struct Plane {
    width: u32,
    first: u32,
    surfaces: Vec<Surface>,
}

impl Plane {
    fn each(
        &mut self,
        (left, top, right, bottom): (f32, f32, f32, f32),
        surface: impl Fn(f32, f32) -> Option<Surface>,
    ) {
        let height = self.surfaces.len() as u32 / self.width;
        let cols =
            (left.floor().max(0.0) as u32)..(right.ceil().max(-1.0) + 1.0).min(self.width as f32) as u32;
        let rows = (top.floor().max(self.first as f32) as u32)
            ..(bottom.ceil().max(-1.0) + 1.0).min((self.first + height) as f32) as u32;
        for row in rows {
            for col in cols.clone() {
                if let Some(surface) = surface(col as f32 + 0.5, row as f32 + 0.5) {
                    self.surfaces[((row - self.first) * self.width + col) as usize] = surface;
                }
            }
        }
    }

    fn object(&mut self, object: &Object) {
        let (c, s) = object.turn;
        let reach = object.footprint.reach();
        let bounds = (object.x - reach, object.y - reach, object.x + reach, object.y + reach);
        self.each(bounds, |x, y| {
            let (px, py) = (x - object.x, y - object.y);
            of_object(object, c * px + s * py, c * py - s * px)
        });
    }
}

/// At a place in the object's own frame, if it is there.
fn of_object(object: &Object, u: f32, v: f32) -> Option<Surface> {
    paint::object(object, u, v)?;
    Some(match object.what {
        What::Building { .. } => Surface::Building,
        What::Tree { .. } => Surface::Tree,
        What::Field { .. } => Surface::Grass,
        What::Parking { .. } if paint::car(object, u, v).is_some() => Surface::Car,
        What::Parking { .. } | What::Drive { .. } => Surface::Paved,
        What::Soil | What::Court { .. } | What::Pool | What::Box { .. } => Surface::Clutter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surfaces_are_the_same_strip_by_strip_and_all_of_them_are_there() {
        let scene = Scene::new(3, 2048);
        let whole = scene.surfaces(0, 2048);
        assert_eq!(scene.surfaces(1000, 70), whole[1000 * 2048..][..70 * 2048]);
        for surface in Surface::ALL {
            let n = whole.iter().filter(|one| **one == surface).count();
            assert!(n > 200, "{surface:?}: {n}");
        }
    }

    #[test]
    fn buildings_are_where_their_outlines_are() {
        let scene = Scene::new(5, 1024);
        let surfaces = scene.surfaces(0, 1024);
        let mut buildings = scene.buildings(0);
        // A rectangle has its middle inside, or under a tree.
        buildings.retain(|building| building.rings.len() == 1 && building.rings[0].len() == 4);
        for building in &buildings {
            let mean = |axis: usize| building.rings[0].iter().map(|point| point[axis]).sum::<f64>() / 4.0;
            let at = mean(1) as usize * 1024 + mean(0) as usize;
            assert!(matches!(surfaces[at], Surface::Building | Surface::Tree), "{building:?}");
        }
        assert!(buildings.len() > 3, "{}", buildings.len());
    }
}

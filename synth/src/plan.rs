//! A district: a square of the ground with its streets, lots and what stands on them. It depends on
//! the seed and on its own number only, and nothing in it reaches out of it.

use crate::{
    hash::Draw,
    shape::{Footprint, Kind},
};

/// Edge of a district.
pub const DISTRICT_PX: u32 = 1024;
/// Objects keep off the district's border by this much, so that shadows and crowns stay inside too.
const BORDER: f32 = 30.0;

pub(crate) struct District {
    pub(crate) objects: Vec<Object>,
    /// Direction of its streets, as cosine and sine.
    pub(crate) turn: (f32, f32),
    pub(crate) centre: (f32, f32),
    /// Distance of streets along and across.
    pub(crate) pitch: (f32, f32),
    pub(crate) road: f32,
    pub(crate) road_tone: f32,
}

/// Something on the ground, in pixels of the scene.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) x: f32,
    pub(crate) y: f32,
    pub(crate) turn: (f32, f32),
    pub(crate) footprint: Footprint,
    pub(crate) what: What,
    /// Names its own random numbers.
    pub(crate) seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Building {
        roof: Roof,
        colour: [f32; 3],
        height: f32,
    },
    Parking {
        tone: f32,
    },
    Field {
        colour: [f32; 3],
        row: f32,
    },
    Soil,
    Court {
        colour: [f32; 3],
    },
    Pool,
    Drive {
        tone: f32,
    },
    /// A lorry or container: a bright box with a shadow, and no building.
    Box {
        colour: [f32; 3],
    },
    Tree {
        tone: f32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Roof {
    Flat,
    Gable,
    Hip,
}

const ROOFS: [[f32; 3]; 12] = [
    [150.0, 82.0, 62.0],
    [128.0, 70.0, 56.0],
    [112.0, 108.0, 106.0],
    [82.0, 80.0, 84.0],
    [172.0, 168.0, 160.0],
    [208.0, 206.0, 202.0],
    [128.0, 112.0, 92.0],
    [96.0, 116.0, 138.0],
    [104.0, 118.0, 92.0],
    [120.0, 120.0, 118.0],
    [98.0, 96.0, 92.0],
    [150.0, 140.0, 120.0],
];
/// Not turned.
const PLAIN: (f32, f32) = (1.0, 0.0);

impl District {
    pub(crate) fn new(seed: u64, col: i64, row: i64) -> Self {
        let mut draw = Draw::at(seed, 1, col, row);
        let edge = DISTRICT_PX as f32;
        let origin = (col as f32 * edge, row as f32 * edge);
        let angle = draw.between(-0.7, 0.7);
        let mut district = Self {
            objects: Vec::new(),
            turn: (angle.cos(), angle.sin()),
            centre: (origin.0 + edge / 2.0, origin.1 + edge / 2.0),
            pitch: (draw.between(330.0, 480.0), draw.between(190.0, 260.0)),
            road: draw.between(16.0, 24.0),
            road_tone: draw.between(92.0, 150.0),
        };
        let industrial = draw.chance(0.25);
        let dense = draw.between(0.55, 0.95);
        for block_row in -4..4 {
            for block_col in -3..3 {
                district.block(&mut draw, (block_col, block_row), industrial, dense);
            }
        }
        // Trees last: their crowns hang over roofs.
        let n_trees = draw.between(30.0, 160.0) as usize;
        for _ in 0..n_trees {
            let (x, y) = (origin.0 + draw.unit() * edge, origin.1 + draw.unit() * edge);
            district.tree(&mut draw, x, y);
        }
        district.objects.sort_by_key(|object| match object.what {
            What::Parking { .. }
            | What::Field { .. }
            | What::Soil
            | What::Court { .. }
            | What::Pool
            | What::Drive { .. } => 0,
            What::Box { .. } => 1,
            What::Building { .. } => 2,
            What::Tree { .. } => 3,
        });
        district
    }

    /// What lies between four streets.
    fn block(&mut self, draw: &mut Draw, at: (i32, i32), industrial: bool, dense: f32) {
        let (u0, v0) = (at.0 as f32 * self.pitch.0 + self.road, at.1 as f32 * self.pitch.1 + self.road);
        let (width, height) = (self.pitch.0 - 1.6 * self.road, self.pitch.1 - 1.6 * self.road);
        let use_of = draw.unit();
        if use_of < 0.1 {
            let colour = draw.pick(&[
                [122.0, 132.0, 74.0],
                [168.0, 146.0, 96.0],
                [92.0, 116.0, 60.0],
                [150.0, 98.0, 72.0],
            ]);
            let what = What::Field { colour, row: draw.between(3.0, 8.0) };
            let whole = Footprint::rectangle(width * 0.9, height * 0.9);
            self.put(draw, (u0 + width / 2.0, v0 + height / 2.0), whole, what);
        } else if use_of < if industrial { 0.85 } else { 0.25 } {
            self.large(draw, (u0, v0), (width, height), dense);
        } else {
            self.houses(draw, (u0, v0), (width, height), dense);
        }
    }

    /// A hall or two with parking lots of the same greys.
    fn large(&mut self, draw: &mut Draw, at: (f32, f32), size: (f32, f32), dense: f32) {
        let n = draw.pick(&[1, 2, 2, 3]);
        let width = size.0 / n as f32;
        for number in 0..n {
            let u = at.0 + (number as f32 + 0.5) * width;
            if draw.chance(dense) {
                let kind = draw.pick(&[
                    Kind::Rectangle,
                    Kind::Rectangle,
                    Kind::L,
                    Kind::U,
                    Kind::Courtyard,
                    Kind::Round,
                ]);
                let (w, h) = (width * draw.between(0.5, 0.8), size.1 * draw.between(0.35, 0.58));
                let height = draw.between(14.0, 26.0);
                let footprint = Footprint { kind, ..Footprint::rectangle(w, h) };
                self.building(draw, (u, at.1 + size.1 * 0.34), footprint, Roof::Flat, height);
            }
            let tone = draw.between(88.0, 190.0);
            let v = at.1 + size.1 * 0.84;
            self.put(draw, (u, v), Footprint::rectangle(width * 0.85, size.1 * 0.26), What::Parking { tone });
            for _ in 0..draw.pick(&[0, 0, 1, 2, 4]) {
                let colour = draw.pick(&[
                    [214.0, 212.0, 208.0],
                    [150.0, 62.0, 52.0],
                    [70.0, 96.0, 140.0],
                    [120.0, 120.0, 118.0],
                ]);
                let (u, v) = (u + draw.between(-0.4, 0.4) * width, v + draw.between(-0.1, 0.1) * size.1);
                self.put(draw, (u, v), Footprint::rectangle(22.0, 8.0), What::Box { colour });
            }
        }
    }

    /// Two rows of lots with a house each.
    fn houses(&mut self, draw: &mut Draw, at: (f32, f32), size: (f32, f32), dense: f32) {
        let pitch = draw.between(48.0, 78.0);
        let n = (size.0 / pitch).max(1.0) as usize;
        for (row, number) in (0..2).flat_map(|row| (0..n).map(move |number| (row, number))) {
            let u = at.0 + (number as f32 + 0.5) * size.0 / n as f32;
            let v = at.1 + size.1 * if row == 0 { 0.27 } else { 0.73 };
            if !draw.chance(dense) {
                let what = draw.pick(&[
                    What::Soil,
                    What::Parking { tone: 150.0 },
                    What::Court { colour: [150.0, 84.0, 66.0] },
                    What::Court { colour: [84.0, 112.0, 132.0] },
                ]);
                self.put(draw, (u, v), Footprint::rectangle(pitch * 0.7, size.1 * 0.28), what);
                continue;
            }
            let kind = draw.pick(&[Kind::Rectangle, Kind::Rectangle, Kind::Rectangle, Kind::L, Kind::T]);
            let roof = draw.pick(&[Roof::Gable, Roof::Gable, Roof::Hip, Roof::Flat]);
            let (w, h) = (draw.between(26.0, pitch * 0.8), draw.between(22.0, 40.0));
            let height = draw.between(8.0, 15.0);
            let footprint = Footprint { kind, ..Footprint::rectangle(w, h) };
            self.building(draw, (u, v), footprint, roof, height);
            if draw.chance(0.25) {
                let side = draw.pick(&[-0.17, 0.17]);
                let (w, h) = (draw.between(9.0, 14.0), draw.between(9.0, 13.0));
                let shed = (u + pitch * 0.36, v + side * size.1);
                self.building(draw, shed, Footprint::rectangle(w, h), Roof::Flat, 5.0);
            }
            let back = if row == 0 { 0.17 } else { -0.17 };
            if draw.chance(0.2) {
                let (w, h) = (draw.between(8.0, 16.0), draw.between(5.0, 9.0));
                self.put(draw, (u, v + back * size.1), Footprint::rectangle(w, h), What::Pool);
            }
            if draw.chance(0.6) {
                let tone = draw.between(115.0, 185.0);
                let drive = (u - pitch * 0.3, v - back * size.1);
                self.put(draw, drive, Footprint::rectangle(8.0, size.1 * 0.22), What::Drive { tone });
            }
            let (x, y) =
                self.place(u + draw.between(-0.5, 0.5) * pitch, v + draw.between(-0.2, 0.2) * size.1);
            self.tree(draw, x, y);
        }
    }

    fn building(&mut self, draw: &mut Draw, at: (f32, f32), footprint: Footprint, roof: Roof, height: f32) {
        let colour = draw.pick(&ROOFS).map(|value| value + draw.between(-12.0, 12.0));
        self.put(draw, at, footprint, What::Building { roof, colour, height });
    }

    /// Puts something at along-street coordinates, turned with the streets.
    fn put(&mut self, draw: &mut Draw, at: (f32, f32), footprint: Footprint, what: What) {
        let (x, y) = self.place(at.0, at.1);
        self.add(draw, Object { x, y, turn: self.turn, footprint, what, seed: 0 });
    }

    fn tree(&mut self, draw: &mut Draw, x: f32, y: f32) {
        let radius = draw.between(4.0, 13.0);
        let footprint = Footprint { kind: Kind::Round, half_width: radius, half_height: radius };
        let what = What::Tree { tone: draw.between(0.75, 1.2) };
        self.add(draw, Object { x, y, turn: PLAIN, footprint, what, seed: 0 });
    }

    /// An object that does not fit into the district is left out, and leaves its place empty.
    fn add(&mut self, draw: &mut Draw, object: Object) {
        let seed = (draw.unit() * 16_777_216.0) as u64;
        let reach = object.footprint.reach() + BORDER;
        let half = DISTRICT_PX as f32 / 2.0;
        let fits = |at: f32, centre: f32| (at - centre).abs() + reach < half;
        if fits(object.x, self.centre.0) && fits(object.y, self.centre.1) {
            self.objects.push(Object { seed, ..object });
        }
    }

    /// From along-street coordinates to the scene.
    fn place(&self, u: f32, v: f32) -> (f32, f32) {
        let (c, s) = self.turn;
        (self.centre.0 + c * u - s * v, self.centre.1 + s * u + c * v)
    }
}

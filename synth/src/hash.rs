//! Random numbers that depend on where they are asked for and on nothing else.

/// A stream named by a seed and a place.
#[derive(Clone)]
pub(crate) struct Draw(u64);

pub(crate) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Draw {
    pub(crate) fn at(seed: u64, purpose: u64, x: i64, y: i64) -> Self {
        let place = mix(seed.wrapping_add(STEP.wrapping_mul(purpose)));
        Self(mix(place ^ mix((x as u64).wrapping_mul(STEP) ^ mix(y as u64 ^ 0x5851_f42d_4c95_7f2d))))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    pub(crate) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    pub(crate) fn chance(&mut self, share: f32) -> bool {
        self.unit() < share
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }
}

/// Smooth noise from -1 to 1, with features of about `scale` pixels.
pub(crate) fn smooth(seed: u64, purpose: u64, x: f32, y: f32, scale: f32) -> f32 {
    let (x, y) = (x / scale, y / scale);
    let (left, top) = (x.floor(), y.floor());
    let value = |dx: i64, dy: i64| {
        let place = mix(seed ^ purpose.wrapping_mul(STEP));
        let z = mix(place ^ ((left as i64 + dx) as u64).wrapping_mul(STEP) ^ mix((top as i64 + dy) as u64));
        (z >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - left), ease(y - top));
    let upper = value(0, 0) + (value(1, 0) - value(0, 0)) * u;
    let lower = value(0, 1) + (value(1, 1) - value(0, 1)) * u;
    upper + (lower - upper) * v
}

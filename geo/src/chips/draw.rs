//! Random numbers that depend on what they are drawn for and on nothing else. They decide which
//! chips there are, so the function is frozen: a change of it is a change of every item's output.

use swath_proto::ids::SceneId;

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a draw is for; draws for different things have nothing to do with each other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Window = 1,
    Survival = 2,
}

/// A stream (SplitMix64) whose state begins as a hash of all that names it.
pub(super) struct Draws(u64);

impl Draws {
    pub(super) fn new(seed: u64, purpose: Purpose, scene: &SceneId, names: [u64; 4]) -> Self {
        let mut draws = Self(mix(seed.wrapping_add(STEP)));
        draws.absorb(purpose as u64);
        draws.absorb(scene.as_str().len() as u64);
        for bytes in scene.as_str().as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            draws.absorb(u64::from_le_bytes(word));
        }
        names.into_iter().for_each(|name| draws.absorb(name));
        draws
    }

    fn absorb(&mut self, word: u64) {
        self.0 = mix(self.0.wrapping_add(STEP) ^ mix(word));
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 to less than `n`. The bias is less than `n` / 2^64.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 to less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

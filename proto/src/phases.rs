//! What workers are busy with on the way of items that predict, and which part of it holds the others back.

use serde::{Deserialize, Serialize};

/// Seconds of workers, of all that were asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseSeconds {
    /// Bytes of imagery on their way to a worker.
    pub fetch: f64,
    /// Bytes becoming pixels.
    pub decode: f64,
    /// The network, on a processor or a card.
    pub device: f64,
    /// Maps becoming bytes.
    pub encode: f64,
    /// Bytes on their way to the root.
    pub put: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Fetch,
    Decode,
    Device,
    Encode,
    Put,
}

/// What holds the others back, in words for whoever shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bottleneck {
    /// The phase's name.
    pub phase: String,
    /// Its part of all that workers were busy with.
    pub share: f64,
    pub advice: String,
}

/// Threads of a worker that read and encode; one computes.
pub const NATIVE_THREADS: u8 = 2;
/// Of less there is nothing to say.
const LEAST_S: f64 = 1.0;

impl Phase {
    pub const ALL: [Self; 5] = [Self::Fetch, Self::Decode, Self::Device, Self::Encode, Self::Put];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Decode => "decode",
            Self::Device => "device",
            Self::Encode => "encode",
            Self::Put => "put",
        }
    }

    /// What helps where it holds the others back.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Fetch => "imagery comes slowly: workers nearer to it, or more of them",
            Self::Decode => "imagery is dear to unpack: more workers, or images in tiles and not in strips",
            Self::Device => {
                "the network is what takes the time: more workers, precision = \"int8\" on processors, or a card"
            }
            Self::Encode => {
                "maps are dear to pack: more workers; without scores and confidence there is less of them"
            }
            Self::Put => "the root takes maps slowly: workers nearer to it, or more of them",
        }
    }
}

impl PhaseSeconds {
    pub const fn of(&self, phase: Phase) -> f64 {
        match phase {
            Phase::Fetch => self.fetch,
            Phase::Decode => self.decode,
            Phase::Device => self.device,
            Phase::Encode => self.encode,
            Phase::Put => self.put,
        }
    }

    pub fn all(&self) -> f64 {
        Phase::ALL.into_iter().map(|phase| self.of(phase)).sum()
    }

    /// Phase by phase, with those of another.
    #[must_use]
    pub fn with(&self, other: &Self, join: impl Fn(f64, f64) -> f64) -> Self {
        Self {
            fetch: join(self.fetch, other.fetch),
            decode: join(self.decode, other.decode),
            device: join(self.device, other.device),
            encode: join(self.encode, other.encode),
            put: join(self.put, other.put),
        }
    }

    /// The parts of all, where enough was measured to speak of parts.
    pub fn shares(&self) -> Option<[(Phase, f64); 5]> {
        let all = self.all();
        (all >= LEAST_S).then(|| Phase::ALL.map(|phase| (phase, self.of(phase) / all)))
    }

    /// One item is computed while others are read and written: whatever is nearest to having no time left holds the others
    /// back.
    pub fn bottleneck(&self) -> Option<Bottleneck> {
        let shares = self.shares()?;
        let longest = |among: &[Phase]| {
            let longest = |one: &&Phase, other: &&Phase| self.of(**one).total_cmp(&self.of(**other));
            among.iter().max_by(longest).copied()
        };
        let threads = (self.fetch + self.decode + self.encode) / f64::from(NATIVE_THREADS);
        let phase = if self.device >= threads && self.device >= self.put {
            Phase::Device
        } else if self.put >= threads {
            Phase::Put
        } else {
            longest(&[Phase::Fetch, Phase::Decode, Phase::Encode])?
        };
        let share = shares.into_iter().find(|(of, _)| *of == phase)?.1;
        Some(Bottleneck { phase: phase.name().into(), share, advice: phase.advice().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binds(fetch: f64, decode: f64, device: f64, encode: f64, put: f64) -> Option<(String, f64)> {
        let phases = PhaseSeconds { fetch, decode, device, encode, put };
        phases.bottleneck().map(|told| (told.phase, told.share))
    }

    #[test]
    fn what_has_no_time_left_holds_the_others_back() {
        let of = |phase: &str, share| Some((phase.to_owned(), share));
        assert_eq!(binds(1.0, 1.0, 6.0, 1.0, 1.0), of("device", 0.6));
        // Two threads read and encode: together they have more time than the device.
        assert_eq!(binds(0.0, 5.0, 4.0, 1.0, 0.0), of("device", 0.4));
        assert_eq!(binds(0.0, 6.0, 2.0, 2.0, 0.0), of("decode", 0.6));
        assert_eq!(binds(8.0, 1.0, 1.0, 0.0, 0.0), of("fetch", 0.8));
        assert_eq!(binds(1.0, 1.0, 1.0, 2.0, 5.0), of("put", 0.5));
        assert_eq!(binds(1.0, 1.0, 1.0, 6.0, 1.0), of("encode", 0.6));
    }

    #[test]
    fn of_next_to_nothing_there_is_nothing_to_say() {
        assert_eq!(binds(0.0, 0.0, 0.0, 0.0, 0.0), None);
        assert_eq!(binds(0.1, 0.1, 0.1, 0.1, 0.1), None);
        assert_eq!(PhaseSeconds::default().shares(), None);
    }

    #[test]
    fn what_a_newer_program_adds_is_passed_over_and_what_an_older_one_leaves_out_is_nothing() {
        let read: PhaseSeconds = serde_json::from_str(r#"{"fetch":1.5,"upload":7.0}"#).unwrap();
        assert_eq!(read, PhaseSeconds { fetch: 1.5, ..PhaseSeconds::default() });
    }
}

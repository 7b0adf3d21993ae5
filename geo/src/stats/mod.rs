//! Statistics of a scene's pixels, band by band, from parts that may be made anywhere.
//!
//! Of 8- and 16-bit pixels every value is counted: sums over them are sums of integers, so that the
//! result is the same to the last bit however the scene was cut. Of other types count, mean and
//! squared deviations are kept and merged by Chan's method; there the order of merging moves the last
//! bits, and whoever merges keeps to one order.

#[cfg(test)]
mod tests;
mod wire;

use serde::{Deserialize, Serialize};

use wire::Wire;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BadStats {
    #[error("statistics of {0} and of {1} can't be merged")]
    Merge(String, String),
    #[error("{0} counts are too many for pixels of type {1:?}")]
    Counts(usize, Kind),
    #[error("statistics of {0} bands; at most 4096 are read")]
    Bands(usize),
    #[error("statistics count more than 2^46 pixels")]
    TooMany,
    #[error("band {band} (counted from 0) has no valid pixel")]
    NoValidPixel { band: usize },
    #[error("the values of band {band} (counted from 0) are too large to be summed")]
    TooLarge { band: usize },
}

/// So that no sum of squares overflows 128 bits.
const MAX_PIXELS: u64 = 1 << 46;

/// A type of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    U8,
    U16,
    I16,
    /// Every other type.
    Wide,
}

impl Kind {
    /// The smallest value and how many there are, where each is counted.
    const fn bins(self) -> Option<(i64, usize)> {
        match self {
            Kind::U8 => Some((0, 1 << 8)),
            Kind::U16 => Some((0, 1 << 16)),
            Kind::I16 => Some((-(1 << 15), 1 << 16)),
            Kind::Wide => None,
        }
    }
}

pub trait Sample: Copy {
    const KIND: Kind;
    fn to_f64(self) -> f64;
    /// Its place in the counts, from the smallest value on.
    fn bin(self) -> usize;
}

macro_rules! counted {
    ($type:ty, $kind:expr, $lowest:expr) => {
        impl Sample for $type {
            const KIND: Kind = $kind;
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn bin(self) -> usize {
                (i32::from(self) - $lowest) as usize
            }
        }
    };
}

macro_rules! wide {
    ($($type:ty),*) => {
        $(impl Sample for $type {
            const KIND: Kind = Kind::Wide;
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn bin(self) -> usize {
                0
            }
        })*
    };
}

counted!(u8, Kind::U8, 0);
counted!(u16, Kind::U16, 0);
counted!(i16, Kind::I16, i32::from(i16::MIN));
wide!(u32, i32, f32, f64);

/// Which pixels count: 1 for those that do, 0 for the others.
#[derive(Clone, Copy, Debug)]
pub enum Counted<'a> {
    All,
    /// One a pixel.
    Pixels(&'a [u8]),
    /// One a pixel and band.
    Samples(&'a [u8]),
}

/// What was seen of some pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct PartialStats {
    kind: Kind,
    bands: Vec<Band>,
}

#[derive(Clone, Debug, PartialEq)]
enum Band {
    /// How often each value was seen, from the smallest that the type has.
    Counts(Vec<u64>),
    Moments(Moments),
}

/// Count, mean, and the sum of squared deviations from the mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
    /// Smallest and largest; `None` of nothing.
    range: Option<[f64; 2]>,
}

/// Output of an analyze item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Analyzed {
    #[serde(rename = "1")]
    V1 { statistics: PartialStats },
}

/// Statistics of a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistics {
    pub bands: Vec<BandStatistics>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandStatistics {
    pub count: u64,
    pub mean: f64,
    /// Of all pixels, not of a sample: divided by `count`.
    pub std: f64,
    pub min: f64,
    pub max: f64,
}

impl PartialStats {
    pub fn new(kind: Kind, bands: usize) -> Self {
        let band = match kind.bins() {
            Some((_, bins)) => Band::Counts(vec![0; bins]),
            None => Band::Moments(Moments::default()),
        };
        Self { kind, bands: vec![band; bands] }
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub const fn n_bands(&self) -> usize {
        self.bands.len()
    }

    /// How often each value was seen in a band, from the smallest that the type has. `None` of types whose
    /// values are not counted one by one.
    pub fn histogram(&self, band: usize) -> Option<&[u64]> {
        match self.bands.get(band)? {
            Band::Counts(counts) => Some(counts),
            Band::Moments(_) => None,
        }
    }

    /// Counts some pixels, their bands side by side.
    ///
    /// # Panics
    /// If the pixels are of another type than [`PartialStats::new`] was told, or do not fit bands and mask.
    pub fn add<S: Sample>(&mut self, pixels: &[S], counted: Counted) {
        assert_eq!(S::KIND, self.kind, "the type of the pixels");
        let n = self.bands.len();
        let Some(pixels_len) = pixels.len().checked_div(n) else { return };
        assert_eq!(pixels.len(), pixels_len * n, "whole pixels");
        match counted {
            Counted::All => {}
            Counted::Pixels(mask) => assert_eq!(mask.len(), pixels_len, "the mask"),
            Counted::Samples(mask) => assert_eq!(mask.len(), pixels.len(), "the mask"),
        }
        match S::KIND.bins() {
            Some((_, bins)) => self.count(pixels, counted, bins),
            None => self.sum(pixels, counted),
        }
    }

    fn count<S: Sample>(&mut self, pixels: &[S], counted: Counted, bins: usize) {
        let n = self.bands.len();
        // Neighbours are often equal: with a table for each of four, none waits for the one before.
        let ways = if bins <= 256 { 4 } else { 1 };
        // 32 bits hold what one round can count, and the tables stay in the cache.
        const ROUND: usize = 1 << 30;
        let period = ways * n;
        let mut tables = vec![0u32; period * bins];
        for (round, pixels) in pixels.chunks(ROUND / period * period).enumerate() {
            let from = round * (ROUND / period * period);
            let rest = pixels.len() / period * period;
            match counted {
                Counted::All => {
                    let (whole, rest) = pixels.split_at(rest);
                    whole.chunks_exact(period).for_each(|some| tally(&mut tables, bins, some));
                    tally(&mut tables, bins, rest);
                }
                Counted::Pixels(mask) => {
                    let mask = &mask[from / n..];
                    for (i, (pixel, &counts)) in pixels.chunks_exact(n).zip(mask).enumerate() {
                        let way = i % ways * n * bins;
                        tally_by(&mut tables[way..], bins, pixel, |_| counts);
                    }
                }
                Counted::Samples(mask) => {
                    let mask = &mask[from..];
                    for (some, mask) in pixels.chunks(period).zip(mask.chunks(period)) {
                        tally_by(&mut tables, bins, some, |i| mask[i]);
                    }
                }
            }
            for (i, table) in tables.chunks_exact_mut(bins).enumerate() {
                if let Band::Counts(counts) = &mut self.bands[i % n] {
                    counts.iter_mut().zip(table.iter()).for_each(|(sum, &count)| *sum += u64::from(count));
                }
                table.fill(0);
            }
        }
    }

    fn sum<S: Sample>(&mut self, pixels: &[S], counted: Counted) {
        const ROUND: usize = 4096;
        let n = self.bands.len();
        for (band, state) in self.bands.iter_mut().enumerate() {
            let Band::Moments(state) = state else { continue };
            let counts = |pixel: usize| match counted {
                Counted::All => true,
                Counted::Pixels(mask) => mask[pixel] != 0,
                Counted::Samples(mask) => mask[pixel * n + band] != 0,
            };
            let mut values = Vec::with_capacity(ROUND);
            for (round, some) in pixels.chunks(ROUND * n).enumerate() {
                values.clear();
                let of_band = some.iter().skip(band).step_by(n).enumerate();
                let counted = of_band.filter(|(i, _)| counts(round * ROUND + i));
                values.extend(counted.map(|(_, value)| value.to_f64()));
                *state = state.merged(Moments::of(&values));
            }
        }
    }

    /// Adds what another part saw.
    pub fn merge(&mut self, other: &Self) -> Result<(), BadStats> {
        if self.kind != other.kind || self.bands.len() != other.bands.len() {
            let name = |stats: &Self| format!("{} bands of type {:?}", stats.bands.len(), stats.kind);
            return Err(BadStats::Merge(name(self), name(other)));
        }
        for (band, other) in self.bands.iter().zip(&other.bands) {
            if band.count().saturating_add(other.count()) > MAX_PIXELS {
                return Err(BadStats::TooMany);
            }
        }
        for (band, other) in self.bands.iter_mut().zip(&other.bands) {
            match (band, other) {
                (Band::Counts(counts), Band::Counts(others)) => {
                    counts.iter_mut().zip(others).for_each(|(sum, count)| *sum += count);
                }
                (Band::Moments(moments), Band::Moments(others)) => *moments = moments.merged(*others),
                _ => unreachable!("one kind has one form"),
            }
        }
        Ok(())
    }

    pub fn statistics(&self) -> Result<Statistics, BadStats> {
        let finish = |(band, state): (usize, &Band)| {
            let finished = match (state, self.kind.bins()) {
                (Band::Counts(counts), Some((lowest, _))) => of_counts(counts, lowest),
                (Band::Moments(moments), _) => moments.finish(),
                (Band::Counts(_), None) => None,
            };
            let finished = finished.ok_or(BadStats::NoValidPixel { band })?;
            if finished.mean.is_finite() && finished.std.is_finite() {
                Ok(finished)
            } else {
                Err(BadStats::TooLarge { band })
            }
        };
        Ok(Statistics { bands: self.bands.iter().enumerate().map(finish).collect::<Result<_, _>>()? })
    }
}

fn tally<S: Sample>(tables: &mut [u32], bins: usize, samples: &[S]) {
    tables.chunks_exact_mut(bins).zip(samples).for_each(|(table, value)| table[value.bin()] += 1);
}

fn tally_by<S: Sample>(tables: &mut [u32], bins: usize, samples: &[S], counts: impl Fn(usize) -> u8) {
    for (i, (table, value)) in tables.chunks_exact_mut(bins).zip(samples).enumerate() {
        table[value.bin()] += u32::from(counts(i) != 0);
    }
}

/// Sums of integers: exact, and rounded once.
fn of_counts(counts: &[u64], lowest: i64) -> Option<BandStatistics> {
    let first = counts.iter().position(|&count| count > 0)?;
    let last = counts.iter().rposition(|&count| count > 0)?;
    let (mut count, mut sum, mut squares) = (0u128, 0u128, 0u128);
    // Counted from the smallest value seen: a shift leaves deviations as they are.
    for (value, &n) in (0u128..).zip(&counts[first..=last]) {
        let n = u128::from(n);
        count += n;
        sum += n * value;
        squares += n * value * value;
    }
    let min = lowest + first as i64;
    let total = i128::from(min) * count as i128 + sum as i128;
    let variance = (count * squares - sum * sum) as f64 / (count * count) as f64;
    Some(BandStatistics {
        count: count as u64,
        mean: total as f64 / count as f64,
        std: variance.sqrt(),
        min: min as f64,
        max: (lowest + last as i64) as f64,
    })
}

impl Moments {
    /// In two passes, so that nothing cancels out.
    fn of(values: &[f64]) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let m2 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { count: values.len() as u64, mean, m2, range: Some([min, max]) }
    }

    fn merged(self, other: Self) -> Self {
        let (Some([a_min, a_max]), Some([b_min, b_max])) = (self.range, other.range) else {
            return if self.count == 0 { other } else { self };
        };
        let (a, b) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        Self {
            count: self.count + other.count,
            mean: self.mean + delta * (b / (a + b)),
            m2: self.m2 + other.m2 + delta * delta * (a / (a + b)) * b,
            range: Some([a_min.min(b_min), a_max.max(b_max)]),
        }
    }

    fn finish(self) -> Option<BandStatistics> {
        let [min, max] = self.range?;
        let std = (self.m2 / self.count as f64).sqrt();
        Some(BandStatistics { count: self.count, mean: self.mean, std, min, max })
    }
}

impl Band {
    fn count(&self) -> u64 {
        match self {
            Band::Counts(counts) => counts.iter().fold(0, |sum, &count| sum.saturating_add(count)),
            Band::Moments(moments) => moments.count,
        }
    }
}

//! How often each class was taken for each other. Counts add up, so a scene may be counted in any
//! pieces.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConfusion {
    #[error("{truth} labels can't be held against {prediction} predictions")]
    Lengths { truth: usize, prediction: usize },
    #[error("there must be 1 to 256 classes, not {0}")]
    Classes(u32),
    #[error("{got} counts do not make a table of {n_classes} classes")]
    Counts { got: usize, n_classes: u32 },
    #[error("a table of {0} classes can't be added to one of {1}")]
    Merge(u32, u32),
    #[error("a table counts more than 2^53 pixels")]
    TooMany,
}

/// Tables that are read or merged stay below this: no sum can overflow, and JSON keeps each count.
const MAX_PIXELS: u64 = 1 << 53;

/// A row for each true class, a column for each predicted one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Confusion {
    n_classes: u32,
    counts: Vec<u64>,
    ignored: u64,
}

/// Measures of one class; `None` where it would be 0 / 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measures {
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    pub iou: Option<f64>,
}

impl Confusion {
    pub fn new(n_classes: u32) -> Result<Self, BadConfusion> {
        if !(1..=256).contains(&n_classes) {
            return Err(BadConfusion::Classes(n_classes));
        }
        Ok(Self { n_classes, counts: vec![0; (n_classes * n_classes) as usize], ignored: 0 })
    }

    /// From counts that were written down: row by row, a row for each true class.
    pub fn from_counts(n_classes: u32, counts: Vec<u64>, ignored: u64) -> Result<Self, BadConfusion> {
        let empty = Self::new(n_classes)?;
        if counts.len() != empty.counts.len() {
            return Err(BadConfusion::Counts { got: counts.len(), n_classes });
        }
        let table = Self { n_classes, counts, ignored };
        if table.pixels() > MAX_PIXELS { Err(BadConfusion::TooMany) } else { Ok(table) }
    }

    /// Row by row, a row for each true class.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    pub const fn n_classes(&self) -> u32 {
        self.n_classes
    }

    /// Pixels of true class `truth` that were predicted as `prediction`.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn count(&self, truth: u32, prediction: u32) -> u64 {
        assert!(prediction < self.n_classes, "no class {prediction}");
        self.counts[(truth * self.n_classes + prediction) as usize]
    }

    /// Pixels whose label or prediction is no class; they count nowhere else.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    pub fn counted(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn pixels(&self) -> u64 {
        self.counts.iter().fold(self.ignored, |sum, &count| sum.saturating_add(count))
    }

    /// Counts some pixels.
    pub fn add(&mut self, truth: &[u8], prediction: &[u8]) -> Result<(), BadConfusion> {
        if truth.len() != prediction.len() {
            return Err(BadConfusion::Lengths { truth: truth.len(), prediction: prediction.len() });
        }
        // Fewer than 2^32 pixels, so that no lane can overflow.
        const CHUNK: usize = 1 << 30;
        for (truth, prediction) in truth.chunks(CHUNK).zip(prediction.chunks(CHUNK)) {
            if self.n_classes < 16 {
                self.tally::<16, 8>(truth, prediction);
            } else {
                self.tally::<256, 2>(truth, prediction);
            }
        }
        Ok(())
    }

    /// Neighbours often fall into the same cell: lanes keep an addition from waiting for the one
    /// before it. What is no class shares the last row or column of a table of `EDGE` classes.
    fn tally<const EDGE: usize, const LANES: usize>(&mut self, truth: &[u8], prediction: &[u8]) {
        let last = (EDGE - 1) as u8;
        let mut cells = vec![0_u32; EDGE * EDGE * LANES];
        let mut add = |lane: usize, t: u8, p: u8| {
            let cell = usize::from(t.min(last)) * EDGE + usize::from(p.min(last));
            cells[cell * LANES + lane] += 1;
        };
        let (truths, truth_rest) = truth.as_chunks::<LANES>();
        let (predictions, prediction_rest) = prediction.as_chunks::<LANES>();
        for (truths, predictions) in truths.iter().zip(predictions) {
            for lane in 0..LANES {
                add(lane, truths[lane], predictions[lane]);
            }
        }
        for (&t, &p) in truth_rest.iter().zip(prediction_rest) {
            add(0, t, p);
        }
        let n = self.n_classes as usize;
        for (cell, lanes) in cells.chunks_exact(LANES).enumerate() {
            let count: u64 = lanes.iter().map(|&lane| u64::from(lane)).sum();
            let (t, p) = (cell / EDGE, cell % EDGE);
            if t < n && p < n {
                self.counts[t * n + p] += count;
            } else {
                self.ignored += count;
            }
        }
    }

    /// Adds the counts of another table.
    pub fn merge(&mut self, other: &Confusion) -> Result<(), BadConfusion> {
        if other.n_classes != self.n_classes {
            return Err(BadConfusion::Merge(other.n_classes, self.n_classes));
        }
        if self.pixels().saturating_add(other.pixels()) > MAX_PIXELS {
            return Err(BadConfusion::TooMany);
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.ignored += other.ignored;
        Ok(())
    }

    /// # Panics
    /// If there is no such class.
    pub fn measures(&self, class: u32) -> Measures {
        let hits = self.count(class, class);
        let true_pixels: u64 = (0..self.n_classes).map(|other| self.count(class, other)).sum();
        let predicted: u64 = (0..self.n_classes).map(|other| self.count(other, class)).sum();
        let ratio = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        Measures {
            precision: ratio(hits, predicted),
            recall: ratio(hits, true_pixels),
            f1: ratio(2 * hits, true_pixels + predicted),
            iou: ratio(hits, true_pixels + predicted - hits),
        }
    }

    /// The share of counted pixels whose class was found.
    pub fn accuracy(&self) -> Option<f64> {
        let (all, hits) = (self.counted(), (0..self.n_classes).map(|c| self.count(c, c)).sum::<u64>());
        (all > 0).then(|| hits as f64 / all as f64)
    }
}

/// How a [`Confusion`] is written down; checked when it is read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    n_classes: u32,
    counts: Vec<u64>,
    ignored: u64,
}

impl From<Confusion> for Table {
    fn from(Confusion { n_classes, counts, ignored }: Confusion) -> Self {
        Self { n_classes, counts, ignored }
    }
}

impl TryFrom<Table> for Confusion {
    type Error = BadConfusion;
    fn try_from(Table { n_classes, counts, ignored }: Table) -> Result<Self, BadConfusion> {
        Self::from_counts(n_classes, counts, ignored)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn measures_of_a_small_table_are_as_computed_by_hand() {
        let mut table = Confusion::new(3).unwrap();
        table.add(&[0, 0, 0, 0, 1, 1, 1, 7], &[0, 0, 0, 1, 1, 1, 0, 0]).unwrap();
        assert_eq!((table.count(0, 1), table.count(1, 0), table.ignored()), (1, 1, 1));
        let one = table.measures(1);
        assert_eq!(one.precision, Some(2.0 / 3.0));
        assert_eq!(one.recall, Some(2.0 / 3.0));
        assert_eq!(one.f1, Some(4.0 / 6.0));
        assert_eq!(one.iou, Some(2.0 / 4.0));
        assert_eq!(table.accuracy(), Some(5.0 / 7.0));
        let absent = Measures { precision: None, recall: None, f1: None, iou: None };
        assert_eq!(table.measures(2), absent);
    }

    #[test]
    fn a_class_never_found_has_no_precision_but_a_recall() {
        let mut table = Confusion::new(2).unwrap();
        table.add(&[1, 1], &[0, 0]).unwrap();
        let missed = table.measures(1);
        assert_eq!((missed.precision, missed.recall), (None, Some(0.0)));
        assert_eq!((missed.f1, missed.iou), (Some(0.0), Some(0.0)));
    }

    #[test]
    fn counts_equal_a_naive_loop_in_any_pieces() {
        let mut rng = StdRng::seed_from_u64(6);
        for n_classes in [1, 2, 5, 15, 16, 40, 256] {
            let len = 10_007;
            let mut draw =
                || (0..len).map(|_| rng.random_range(0..=(n_classes + 2).min(255)) as u8).collect::<Vec<_>>();
            let (truth, prediction) = (draw(), draw());
            let mut naive = vec![0_u64; (n_classes * n_classes) as usize];
            let mut ignored = 0;
            for (&t, &p) in truth.iter().zip(&prediction) {
                let (t, p) = (u32::from(t), u32::from(p));
                if t < n_classes && p < n_classes {
                    naive[(t * n_classes + p) as usize] += 1;
                } else {
                    ignored += 1;
                }
            }
            let mut merged = Confusion::new(n_classes).unwrap();
            for piece in [0..1, 1..5_000, 5_000..5_003, 5_003..len] {
                let mut part = Confusion::new(n_classes).unwrap();
                part.add(&truth[piece.clone()], &prediction[piece]).unwrap();
                merged.merge(&part).unwrap();
            }
            assert_eq!(merged, Confusion { n_classes, counts: naive, ignored });
        }
    }

    #[test]
    fn a_table_reads_back_and_a_wrong_one_does_not() {
        let mut table = Confusion::new(2).unwrap();
        table.add(&[0, 1, 9], &[1, 1, 0]).unwrap();
        let json = serde_json::to_string(&table).unwrap();
        assert_eq!(json, r#"{"n_classes":2,"counts":[0,1,0,1],"ignored":1}"#);
        assert_eq!(serde_json::from_str::<Confusion>(&json).unwrap(), table);
        for bad in [
            r#"{"n_classes":3,"counts":[0,1,0,1],"ignored":1}"#,
            r#"{"n_classes":0,"counts":[],"ignored":0}"#,
            r#"{"n_classes":1,"counts":[18446744073709551615],"ignored":1}"#,
        ] {
            assert!(serde_json::from_str::<Confusion>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn unequal_lengths_and_tables_are_refused() {
        let mut table = Confusion::new(2).unwrap();
        assert!(table.add(&[0, 1], &[1]).is_err());
        assert!(table.merge(&Confusion::new(3).unwrap()).is_err());
        let full = Confusion { n_classes: 2, counts: vec![MAX_PIXELS, 0, 0, 0], ignored: 0 };
        table.merge(&full).unwrap();
        assert_eq!(table.merge(&full), Err(BadConfusion::TooMany));
        assert!(Confusion::new(257).is_err());
    }
}

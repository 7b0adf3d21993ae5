//! The 4-connected regions of an item: union-find over the runs of its rows.
//!
//! The label of a region goes with each piece of outline and across the borders of items. So the
//! rings of a polygon find each other by label, exactly and with no search, and pixels and scores
//! are summed where the pixels are.

use std::ops::Range;

use super::cells::Cells;

/// What an item knows of a region, but for its outline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) pixels: u64,
    pub(super) score_sum: u64,
}

impl Tally {
    /// No scene has the 2^56 pixels that it would take to reach the end.
    pub(super) const fn add(&mut self, other: Self) {
        self.pixels = self.pixels.saturating_add(other.pixels);
        self.score_sum = self.score_sum.saturating_add(other.score_sum);
    }
}

/// Neighbouring pixels of one row, by column from the item's first.
#[derive(Debug)]
struct Run {
    cols: Range<u32>,
    region: u32,
}

/// Regions are numbered from 0 as one meets them reading.
#[derive(Debug)]
pub(super) struct Regions {
    runs: Vec<Run>,
    /// Where the runs of each row begin, and where the last ones end.
    rows: Vec<usize>,
    pub(super) tallies: Vec<Tally>,
}

impl Regions {
    /// `scores_of` gives the scores of a row of the item.
    pub(super) fn of<'a>(cells: &Cells, scores_of: impl Fn(u32) -> Option<&'a [u8]>) -> Self {
        let (mut runs, mut rows) = (Vec::<Run>::new(), vec![0]);
        let mut labels = Labels::default();
        let mut above = 0..0;
        for row in 0..cells.item().height {
            let first = runs.len();
            cells.runs(row, |cols| {
                // The last run above may reach over the next one of this row as well.
                while above.start < above.end && runs[above.start].cols.end <= cols.start {
                    above.start += 1;
                }
                let over = runs[above.clone()].iter().take_while(|run| run.cols.start < cols.end);
                let region = over.map(|run| run.region).reduce(|a, b| labels.join(a, b));
                runs.push(Run { cols, region: region.unwrap_or_else(|| labels.new_label()) });
            });
            above = first..runs.len();
            rows.push(runs.len());
        }
        let mut regions = Self { runs, rows, tallies: Vec::new() };
        regions.number(&labels.numbers());
        regions.count(cells, scores_of);
        regions
    }

    fn number(&mut self, numbers: &[u32]) {
        self.runs.iter_mut().for_each(|run| run.region = numbers[run.region as usize]);
        let n_regions = numbers.iter().max().map_or(0, |last| last + 1);
        self.tallies = vec![Tally::default(); n_regions as usize];
    }

    fn count<'a>(&mut self, cells: &Cells, scores_of: impl Fn(u32) -> Option<&'a [u8]>) {
        for (index, row) in (cells.item().row..cells.item().bottom()).enumerate() {
            let scores = scores_of(row);
            for Run { cols, region } in &self.runs[self.rows[index]..self.rows[index + 1]] {
                let tally = &mut self.tallies[*region as usize];
                tally.pixels += u64::from(cols.end - cols.start);
                let scores = scores.map(|row| &row[cols.start as usize..cols.end as usize]);
                tally.score_sum += scores.into_iter().flatten().map(|&score| u64::from(score)).sum::<u64>();
            }
        }
    }

    /// The region of a class pixel, by row and column from the item's first.
    pub(super) fn at(&self, row: u32, col: u32) -> u32 {
        let runs = &self.runs[self.rows[row as usize]..self.rows[row as usize + 1]];
        runs[runs.partition_point(|run| run.cols.end <= col)].region
    }
}

/// Labels that turn out to be the same point to the smallest of them.
#[derive(Debug, Default)]
struct Labels {
    parents: Vec<u32>,
}

impl Labels {
    fn new_label(&mut self) -> u32 {
        let label = self.parents.len() as u32;
        self.parents.push(label);
        label
    }

    fn root(&mut self, mut label: u32) -> u32 {
        while self.parents[label as usize] != label {
            let parent = self.parents[label as usize];
            self.parents[label as usize] = self.parents[parent as usize];
            label = parent;
        }
        label
    }

    fn join(&mut self, a: u32, b: u32) -> u32 {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b) as usize] = a.min(b);
        a.min(b)
    }

    /// The number of each label's region. A parent is smaller than its child, so it is known first.
    fn numbers(&self) -> Vec<u32> {
        let (mut numbers, mut next) = (Vec::with_capacity(self.parents.len()), 0);
        for (label, &parent) in self.parents.iter().enumerate() {
            if parent as usize == label {
                numbers.push(next);
                next += 1;
            } else {
                numbers.push(numbers[parent as usize]);
            }
        }
        numbers
    }
}

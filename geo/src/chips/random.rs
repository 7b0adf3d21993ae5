//! Windows at random places.

use swath_proto::{
    chips::{RandomSizes, RandomSpec},
    geometry::{SizePx, WindowPx},
    ids::SceneId,
};

use super::{
    BadChips, below_limit,
    draw::{Draws, Purpose},
};

/// The windows of one scene.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomWindows {
    scene: SceneId,
    spec: RandomSpec,
    /// What every window lies in: the padded scene, or a part of it.
    extent: WindowPx,
}

/// A window and the attempt that drew it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub window: WindowPx,
    pub attempt: u32,
}

impl RandomWindows {
    pub fn new(scene: SceneId, size: SizePx, spec: RandomSpec) -> Result<Self, BadChips> {
        let (heights, widths) = sides(spec.sizes);
        for (what, [from, below]) in [("heights", heights), ("widths", widths)] {
            if from == 0 {
                return Err(BadChips::Zero("the size of a window"));
            }
            if from >= below {
                return Err(BadChips::Sizes { what, from, below });
            }
        }
        let padding = spec.padding.unwrap_or(SizePx::new(widths[1] / 2, heights[1] / 2));
        below_limit("the size of a window", [widths[1], heights[1]].map(u64::from))?;
        below_limit("the padding", [padding.width, padding.height].map(u64::from))?;
        let edges = [(size.width, padding.width), (size.height, padding.height)]
            .map(|(edge, padding)| u64::from(edge) + 2 * u64::from(padding));
        below_limit("a scene's padded edge", edges)?;
        let extent = WindowPx {
            col: -i64::from(padding.width),
            row: -i64::from(padding.height),
            width: edges[0] as u32,
            height: edges[1] as u32,
        };
        Ok(Self { scene, spec, extent })
    }

    /// Draws only windows that lie in `bounds` too. Where an AOI is small, hardly any draw would fall
    /// into it by chance. Bounds and AOI belong together: other bounds give other windows.
    #[must_use]
    pub fn inside(mut self, bounds: WindowPx) -> Self {
        let clip = |at: i64, len: u32, other_at: i64, other_len: u32| {
            let from = at.max(other_at);
            let to = (at + i64::from(len)).min(other_at.saturating_add(i64::from(other_len)));
            (from, (to - from.min(to)) as u32)
        };
        let WindowPx { col, row, width, height } = self.extent;
        (self.extent.col, self.extent.width) = clip(col, width, bounds.col, bounds.width);
        (self.extent.row, self.extent.height) = clip(row, height, bounds.row, bounds.height);
        self
    }

    /// Windows that are asked for; not every one need be found.
    pub const fn n(&self) -> u64 {
        self.spec.max_windows
    }

    /// One attempt at window `index`. `None`: a window of the size that was drawn does not fit.
    pub fn draw(&self, index: u64, attempt: u32) -> Option<WindowPx> {
        let names = [index, u64::from(attempt), 0, 0];
        let mut draws = Draws::new(self.spec.seed, Purpose::Window, &self.scene, names);
        let mut size = |[from, below]: [u32; 2]| from + draws.below(u64::from(below - from)) as u32;
        let (height, width) = match self.spec.sizes {
            RandomSizes::Square(limits) => {
                let edge = size(limits);
                (edge, edge)
            }
            RandomSizes::Rectangle { heights, widths } => (size(heights), size(widths)),
        };
        let mut place = |at: i64, len: u32, window: u32| {
            let room = len.checked_sub(window)?;
            Some(at + draws.below(u64::from(room) + 1) as i64)
        };
        let row = place(self.extent.row, self.extent.height, height)?;
        let col = place(self.extent.col, self.extent.width, width)?;
        Some(WindowPx { col, row, width, height })
    }

    /// Window `index`: the first attempt that `accepts` (lies in the AOI) takes. `None` past the last
    /// window, and where all attempts were refused.
    pub fn nth(&self, index: u64, mut accepts: impl FnMut(WindowPx) -> bool) -> Option<Drawn> {
        if index >= self.n() {
            return None;
        }
        (0..self.spec.max_sample_attempts).find_map(|attempt| {
            let window = self.draw(index, attempt).filter(|&window| accepts(window))?;
            Some(Drawn { window, attempt })
        })
    }
}

fn sides(sizes: RandomSizes) -> ([u32; 2], [u32; 2]) {
    match sizes {
        RandomSizes::Square(limits) => (limits, limits),
        RandomSizes::Rectangle { heights, widths } => (heights, widths),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(scene: &str, seed: u64, sizes: RandomSizes) -> RandomWindows {
        let spec = RandomSpec { sizes, max_windows: 1000, max_sample_attempts: 20, padding: None, seed };
        RandomWindows::new(scene.parse().unwrap(), SizePx::new(1200, 700), spec).unwrap()
    }

    /// Which chips a run has depends on these numbers: they must never change. A few lines of Python,
    /// written from the words of `draw`, gave the same.
    #[test]
    fn draws_are_frozen() {
        let windows = windows("tile_04-b.2", 42, RandomSizes::Square([200, 301]));
        for (index, attempt, frozen) in [
            (0, 0, WindowPx::new(450, 243, 229, 229)),
            (0, 1, WindowPx::new(783, -33, 204, 204)),
            (1, 0, WindowPx::new(1059, 341, 271, 271)),
            (999, 19, WindowPx::new(834, 391, 244, 244)),
        ] {
            assert_eq!(windows.draw(index, attempt), Some(frozen));
        }
    }

    #[test]
    fn a_window_is_named_by_seed_scene_index_and_attempt() {
        let square = RandomSizes::Square([200, 301]);
        let one = windows("a", 1, square);
        let mut seen = std::collections::HashSet::new();
        for windows in [&one, &windows("b", 1, square), &windows("a", 2, square), &windows("a-", 1, square)] {
            for index in 0..50 {
                for attempt in 0..3 {
                    assert!(seen.insert(windows.draw(index, attempt)));
                }
            }
        }
        let all: Vec<_> = (0..one.n()).map(|index| one.nth(index, |_| true)).collect();
        let last_first: Vec<_> = (0..one.n()).rev().map(|index| one.nth(index, |_| true)).collect();
        assert!(all.iter().eq(last_first.iter().rev()));
        assert_eq!(one.nth(1000, |_| true), None);
    }

    #[test]
    fn windows_fill_the_padded_scene_and_all_sizes() {
        let windows = windows("a", 7, RandomSizes::Rectangle { heights: [100, 104], widths: [200, 202] });
        let all: Vec<_> =
            (0..windows.n()).map(|index| windows.nth(index, |_| true).unwrap().window).collect();
        let range =
            |of: fn(&WindowPx) -> i64| (all.iter().map(of).min().unwrap(), all.iter().map(of).max().unwrap());
        assert_eq!(range(|w| i64::from(w.width)), (200, 201));
        assert_eq!(range(|w| i64::from(w.height)), (100, 103));
        let (left, right) = range(|w| w.col);
        let (top, bottom) = range(|w| w.row);
        assert!((-101..-90).contains(&left) && (1090..=1101).contains(&right), "{left} {right}");
        assert!((-52..-46).contains(&top) && (640..=652).contains(&bottom), "{top} {bottom}");
        let mean = all.iter().map(|w| w.col as f64).sum::<f64>() / all.len() as f64;
        assert!((mean - 500.0).abs() < 50.0, "{mean}");
    }

    #[test]
    fn refused_draws_are_attempts_and_come_to_an_end() {
        let windows = windows("a", 1, RandomSizes::Square([300, 301]));
        let mut asked = 0;
        assert_eq!(
            windows.nth(3, |_| {
                asked += 1;
                false
            }),
            None
        );
        assert_eq!(asked, 20);
        let west = |window: WindowPx| window.col < 100;
        let drawn = windows.nth(3, west).unwrap();
        assert_eq!(windows.draw(3, drawn.attempt), Some(drawn.window));
        assert!((0..drawn.attempt).all(|attempt| !west(windows.draw(3, attempt).unwrap())));
    }

    #[test]
    fn a_window_that_fits_nowhere_is_no_window() {
        let spec = |padding| RandomSpec {
            sizes: RandomSizes::Square([800, 801]),
            max_windows: 3,
            max_sample_attempts: 5,
            padding,
            seed: 0,
        };
        let of = |padding| RandomWindows::new("a".parse().unwrap(), SizePx::new(900, 700), spec(padding));
        assert_eq!(of(Some(SizePx::new(0, 0))).unwrap().nth(0, |_| true), None);
        assert!(of(None).unwrap().nth(0, |_| true).is_some());
    }

    #[test]
    fn windows_stay_inside_bounds() {
        let windows = windows("a", 1, RandomSizes::Square([100, 151]));
        let bounded = windows.clone().inside(WindowPx::new(1000, -900, 300, 1100));
        for index in 0..200 {
            let window = bounded.nth(index, |_| true).unwrap().window;
            assert!(window.col >= 1000 && window.col + i64::from(window.width) <= 1275, "{window}");
            assert!(window.row >= -75 && window.row + i64::from(window.height) <= 200, "{window}");
        }
        let nowhere = windows.inside(WindowPx::new(i64::MAX, i64::MIN, u32::MAX, u32::MAX));
        assert_eq!(nowhere.nth(0, |_| true), None);
    }

    #[test]
    fn sizes_that_hold_none_are_refused() {
        let of = |sizes| {
            let spec = RandomSpec { sizes, max_windows: 1, max_sample_attempts: 1, padding: None, seed: 0 };
            RandomWindows::new("a".parse().unwrap(), SizePx::new(9, 9), spec)
        };
        assert!(of(RandomSizes::Square([5, 5])).is_err());
        assert!(of(RandomSizes::Square([0, 5])).is_err());
        assert!(of(RandomSizes::Square([5, u32::MAX])).is_err());
        assert!(of(RandomSizes::Rectangle { heights: [1, 2], widths: [3, 2] }).is_err());
        assert!(of(RandomSizes::Rectangle { heights: [1, 2], widths: [3, 4] }).is_ok());
    }
}

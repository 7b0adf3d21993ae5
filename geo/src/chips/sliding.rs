//! Windows on a lattice, counted as Raster Vision counts them.

use swath_proto::{
    chips::{PadDirection, SlidingSpec, WindowRule},
    geometry::{SizePx, WindowPx},
};

use super::{BadChips, below_limit};

/// The windows of one scene, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingWindows {
    size: SizePx,
    across: Axis,
    down: Axis,
}

/// Where windows begin along one side of the scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Axis {
    first: i64,
    stride: u64,
    n: u64,
}

impl SlidingWindows {
    pub fn new(scene: SizePx, spec: &SlidingSpec) -> Result<Self, BadChips> {
        let (size, stride) = (spec.size, spec.stride.unwrap_or(spec.size));
        let sides = |of: SizePx| [u64::from(of.width), u64::from(of.height)];
        for (what, of) in [("the size of a window", size), ("the stride of windows", stride)] {
            if sides(of).contains(&0) {
                return Err(BadChips::Zero(what));
            }
            below_limit(what, sides(of))?;
        }
        below_limit("a scene's edge", sides(scene))?;
        below_limit("the padding", spec.padding.map(sides).into_iter().flatten())?;
        if spec.rule == WindowRule::EveryStride && spec.pad_direction != PadDirection::End {
            return Err(BadChips::PadDirection);
        }
        // Strides wider than the window leave gaps by intent: such windows stay inside the scene.
        let gaps = stride.width > size.width || stride.height > size.height;
        let axis = |scene: u32, size: u32, stride: u32, padding: Option<u32>| match spec.rule {
            WindowRule::EveryStride => Axis::every_stride(scene, size, stride, padding),
            WindowRule::Cover => {
                let padding = if gaps { padding.or(Some(0)) } else { padding };
                Axis::cover(scene, size, stride, padding, spec.pad_direction)
            }
        };
        Ok(Self {
            size,
            across: axis(scene.width, size.width, stride.width, spec.padding.map(|p| p.width)),
            down: axis(scene.height, size.height, stride.height, spec.padding.map(|p| p.height)),
        })
    }

    pub const fn n(&self) -> u64 {
        self.across.n * self.down.n
    }

    /// `None` past the last window.
    pub fn nth(&self, index: u64) -> Option<WindowPx> {
        if index >= self.n() {
            return None;
        }
        let (down, across) = (index / self.across.n, index % self.across.n);
        Some(WindowPx {
            col: self.across.at(across),
            row: self.down.at(down),
            width: self.size.width,
            height: self.size.height,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = WindowPx> + '_ {
        (0..self.n()).filter_map(|index| self.nth(index))
    }
}

impl Axis {
    fn at(self, index: u64) -> i64 {
        self.first + (index * self.stride) as i64
    }

    /// Starts are multiples of the stride below `scene`, or below `scene - size + padding`.
    fn every_stride(scene: u32, size: u32, stride: u32, padding: Option<u32>) -> Self {
        let padding = u64::from(padding.unwrap_or(size));
        let end = (u64::from(scene) + padding).saturating_sub(u64::from(size));
        Self { first: 0, stride: u64::from(stride), n: end.div_ceil(u64::from(stride)) }
    }

    /// Windows inside the padded scene. Where no padding is given, it is the least with which
    /// windows cover the scene: `ceil((scene - size) / stride) + 1` of them, one where the scene
    /// is no larger than a window.
    fn cover(scene: u32, size: u32, stride: u32, padding: Option<u32>, direction: PadDirection) -> Self {
        let [scene, size, stride] = [scene, size, stride].map(u64::from);
        let padding = padding.map_or_else(
            || {
                let covered = size + scene.saturating_sub(size).div_ceil(stride) * stride;
                let missing = covered - scene;
                if direction == PadDirection::Both { missing.div_ceil(2) } else { missing }
            },
            u64::from,
        );
        let (before, after) = match direction {
            PadDirection::End => (0, padding),
            PadDirection::Start => (padding, 0),
            PadDirection::Both => (padding, padding),
        };
        let n = (before + scene + after).checked_sub(size).map_or(0, |room| room / stride + 1);
        Self { first: -(before as i64), stride, n }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/samples/sliding-windows.json");

    #[derive(serde::Deserialize)]
    struct Case {
        scene: SizePx,
        spec: SlidingSpec,
        /// Column and row of each window.
        windows: Vec<[i64; 2]>,
    }

    /// The lists were made by Raster Vision's own code: `Box.get_windows` of v0.13.1 and
    /// `SlidingWindows` of master at 3c18a7a, run over `Box(0, 0, height, width)`; where that counts fewer
    /// than no rows or columns, the list is empty.
    #[test]
    fn windows_are_those_of_raster_vision() {
        let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(SAMPLE).unwrap()).unwrap();
        assert!(cases.len() > 400);
        for Case { scene, spec, windows } in cases {
            let ours = SlidingWindows::new(scene, &spec).unwrap();
            let starts: Vec<_> = ours.iter().map(|window| [window.col, window.row]).collect();
            assert_eq!(starts, windows, "{scene:?} {spec:?}");
            assert!(ours.iter().all(|window| window.size() == spec.size));
            assert_eq!((ours.n(), ours.nth(ours.n())), (windows.len() as u64, None));
        }
    }

    fn spec(size: u32, stride: u32) -> SlidingSpec {
        SlidingSpec {
            size: SizePx::new(size, size),
            stride: Some(SizePx::new(stride, stride)),
            padding: None,
            pad_direction: PadDirection::End,
            rule: WindowRule::Cover,
        }
    }

    /// Worked out by hand from the rules.
    #[test]
    fn the_two_rules_differ_where_windows_overlap() {
        let cols = |rule| {
            let spec = SlidingSpec { rule, ..spec(300, 150) };
            let windows = SlidingWindows::new(SizePx::new(700, 1), &spec).unwrap();
            windows.iter().map(|window| window.col).collect::<Vec<_>>()
        };
        assert_eq!(cols(WindowRule::Cover), [0, 150, 300, 450]);
        assert_eq!(cols(WindowRule::EveryStride), [0, 150, 300, 450, 600]);
    }

    #[test]
    fn every_pixel_is_in_some_window_where_strides_leave_no_gap() {
        for rule in [WindowRule::Cover, WindowRule::EveryStride] {
            for (size, stride) in [(7, 7), (7, 5), (7, 1), (1, 1)] {
                for scene in 1..40 {
                    let spec = SlidingSpec { rule, ..spec(size, stride) };
                    let windows = SlidingWindows::new(SizePx::new(scene, 1), &spec).unwrap();
                    let seen = |col| windows.iter().any(|w| (w.col..w.col + i64::from(size)).contains(&col));
                    assert!((0..i64::from(scene)).all(seen), "{rule:?} {size} {stride} {scene}");
                }
            }
        }
    }

    #[test]
    fn the_last_window_of_the_largest_scene_does_not_overflow() {
        let edge = (1 << 31) - 1;
        let windows = SlidingWindows::new(SizePx::new(edge, edge), &spec(1, 1)).unwrap();
        let last = windows.nth(windows.n() - 1).unwrap();
        assert_eq!((last.col, last.row), (i64::from(edge) - 1, i64::from(edge) - 1));
        assert_eq!(windows.nth(u64::MAX), None);
    }

    #[test]
    fn what_cannot_be_counted_is_refused() {
        let scene = SizePx::new(100, 100);
        assert!(SlidingWindows::new(scene, &spec(0, 1)).is_err());
        assert!(SlidingWindows::new(scene, &spec(1, 0)).is_err());
        assert!(SlidingWindows::new(scene, &spec(1 << 31, 1)).is_err());
        assert!(SlidingWindows::new(SizePx::new(u32::MAX, 1), &spec(1, 1)).is_err());
        let padded = SlidingSpec { padding: Some(SizePx::new(u32::MAX, 0)), ..spec(1, 1) };
        assert!(SlidingWindows::new(scene, &padded).is_err());
        let both =
            SlidingSpec { rule: WindowRule::EveryStride, pad_direction: PadDirection::Both, ..spec(1, 1) };
        assert_eq!(SlidingWindows::new(scene, &both), Err(BadChips::PadDirection));
    }
}

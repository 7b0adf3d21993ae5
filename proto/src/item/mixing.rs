//! How what is said of a pixel becomes one answer: by windows that overlap, and by views of a window.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WindowShape;
use crate::geometry::{RectPx, SizePx, WindowPx};

/// What becomes of the margins of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blend {
    /// They are cropped: a pixel is decided by the one window whose core it lies in.
    #[default]
    Crop,
    /// They are blended with those of the neighbours, by weights that rise and fall as a Hann window does.
    Hann,
}

/// The views of a window that the network is shown; their probabilities are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Views {
    /// The window as it is.
    #[default]
    None,
    /// And its mirror images: four in all.
    Flips,
    /// Turned by right angles and mirrored: all eight.
    D4,
}

impl Views {
    pub const fn n(self) -> u32 {
        match self {
            Self::None => 1,
            Self::Flips => 4,
            Self::D4 => 8,
        }
    }
}

/// Left out where it is plain, so that plain items are named as they always were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixing {
    #[serde(default)]
    pub blend: Blend,
    #[serde(default)]
    pub augment: Views,
}

impl Mixing {
    /// A pixel is decided by one look at one window.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// Why windows of this shape can't be blended so. The words begin behind the name of their margin.
    pub fn problem(self, window: WindowShape) -> Option<String> {
        let WindowShape { core_px, margin_px } = window;
        let most = core_px / 2;
        match self.blend {
            Blend::Hann if margin_px == 0 => {
                Some(format!("must be 1 to {most} to blend: what neighbours share is twice the margin"))
            }
            // A third window would have a say, and weights would not add up to the same everywhere.
            Blend::Hann if margin_px > most => {
                Some(format!("must be at most {most}, half of core_px, to blend; {most} is the nearest"))
            }
            _ => None,
        }
    }

    /// Times that an item of so many cores a side runs a window through the network. Where margins are blended, it
    /// computes a ring of its neighbours' windows too.
    pub fn looks(self, cores_a_side: u32) -> u64 {
        let ring = match self.blend {
            Blend::Crop => 0,
            Blend::Hann => 2,
        };
        (u64::from(cores_a_side) + ring).pow(2) * u64::from(self.augment.n())
    }

    /// What the windows see that have a say in a rectangle.
    pub fn reach(self, window: WindowShape, rect: RectPx, scene: SizePx) -> WindowPx {
        if self.blend == Blend::Crop {
            return window.reach(rect);
        }
        let along = |at: u32, len: u32, scene_len: u32| {
            let numbers = window.touching(at, len, scene_len);
            let from = i64::from(numbers.start) * i64::from(window.core_px) - i64::from(window.margin_px);
            (from, numbers.len() as u32 * window.core_px + 2 * window.margin_px)
        };
        let (col, width) = along(rect.col, rect.width, scene.width);
        let (row, height) = along(rect.row, rect.height, scene.height);
        WindowPx::new(col, row, width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: WindowShape = WindowShape { core_px: 256, margin_px: 32 };
    const HANN: Mixing = Mixing { blend: Blend::Hann, augment: Views::D4 };

    #[test]
    fn what_is_plain_is_left_out_and_the_rest_reads_back() {
        assert!(Mixing::default().is_plain() && !HANN.is_plain());
        let json = serde_json::to_string(&HANN).unwrap();
        assert_eq!(json, r#"{"blend":"hann","augment":"d4"}"#);
        assert_eq!(serde_json::from_str::<Mixing>(&json).unwrap(), HANN);
    }

    #[test]
    fn a_ring_of_windows_and_every_view_are_counted() {
        assert_eq!(Mixing::default().looks(16), 256);
        assert_eq!(HANN.looks(16), 324 * 8);
        assert_eq!(Mixing { augment: Views::Flips, ..Mixing::default() }.looks(1), 4);
    }

    #[test]
    fn blending_reaches_a_core_further_but_not_beyond_the_scene() {
        let scene = SizePx::new(2000, 600);
        let rect = RectPx::new(512, 0, 512, 512);
        assert_eq!(Mixing::default().reach(SHAPE, rect, scene), SHAPE.reach(rect));
        assert_eq!(HANN.reach(SHAPE, rect, scene), WindowPx::new(224, -32, 1088, 832));
        let last = RectPx::new(1536, 512, 464, 88);
        assert_eq!(HANN.reach(SHAPE, last, scene), WindowPx::new(1248, 224, 832, 576));
    }

    #[test]
    fn windows_that_do_not_divide_an_item_begin_before_it() {
        let shape = WindowShape { core_px: 300, margin_px: 10 };
        assert_eq!(shape.reach(RectPx::new(512, 256, 256, 256)), WindowPx::new(290, -10, 620, 620));
        assert_eq!(shape.reach(RectPx::new(600, 0, 300, 1)), WindowPx::new(590, -10, 320, 320));
    }

    #[test]
    fn a_margin_that_can_not_be_blended_is_told() {
        let told = |margin_px| HANN.problem(WindowShape { margin_px, ..SHAPE }).is_some();
        assert_eq!([0, 1, 128, 129].map(told), [true, false, false, true]);
        assert_eq!(Mixing::default().problem(WindowShape { margin_px: 0, ..SHAPE }), None);
    }
}

//! Rectangles in a scene's pixels. Columns grow to the right, rows downwards.

use serde::{Deserialize, Serialize};

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizePx {
    pub width: u32,
    pub height: u32,
}

impl SizePx {
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    pub fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

/// A rectangle inside a scene, in its full-resolution pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RectPx {
    pub col: u32,
    pub row: u32,
    pub width: u32,
    pub height: u32,
}

impl RectPx {
    pub const fn new(col: u32, row: u32, width: u32, height: u32) -> Self {
        Self { col, row, width, height }
    }

    pub const fn size(self) -> SizePx {
        SizePx::new(self.width, self.height)
    }

    pub fn pixels(self) -> u64 {
        self.size().pixels()
    }

    /// One past the last column.
    pub const fn right(self) -> u32 {
        self.col + self.width
    }

    /// One past the last row.
    pub const fn bottom(self) -> u32 {
        self.row + self.height
    }
}

impl std::fmt::Display for RectPx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} px at column {}, row {}", self.width, self.height, self.col, self.row)
    }
}

/// A rectangle on a scene's pixels that may begin before the scene and end beyond it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowPx {
    pub col: i64,
    pub row: i64,
    pub width: u32,
    pub height: u32,
}

impl WindowPx {
    pub const fn new(col: i64, row: i64, width: u32, height: u32) -> Self {
        Self { col, row, width, height }
    }

    pub const fn size(self) -> SizePx {
        SizePx::new(self.width, self.height)
    }
}

impl From<RectPx> for WindowPx {
    fn from(rect: RectPx) -> Self {
        Self::new(rect.col.into(), rect.row.into(), rect.width, rect.height)
    }
}

impl std::fmt::Display for WindowPx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{} px at column {}, row {}", self.width, self.height, self.col, self.row)
    }
}

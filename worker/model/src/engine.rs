//! What runs a network, always in batches of one shape, so that bits do not depend on how many windows there
//! happened to be.

use swath_proto::item::{ModelRef, WindowShape};

use crate::error::{ModelError, Result};

pub(crate) trait Engine: Send {
    fn describe(&self) -> Result<Described>;

    /// Room for a full batch: pixels row by row, bands side by side.
    fn input(&mut self) -> Result<&mut [f32]>;

    /// Runs what was put there, and may overwrite it. Gives a full batch of logits, classes side by side.
    fn run(&mut self) -> Result<&[f32]>;
}

/// As it is pinned in a run's numeric class.
pub(crate) struct Described {
    /// Name and version.
    pub(crate) engine: String,
    pub(crate) precision: String,
    pub(crate) instruction_set: String,
}

/// Of all batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) batch: u32,
    pub(crate) window: WindowShape,
    pub(crate) bands: u32,
    pub(crate) classes: u32,
}

impl Shape {
    pub(crate) const fn new(model: &ModelRef, window: WindowShape, batch: u32) -> Self {
        Self { batch, window, bands: model.bands, classes: model.classes }
    }

    /// Windows, edge, bands, classes.
    pub(crate) fn sizes(self) -> [i64; 4] {
        [self.batch, self.window.edge_px(), self.bands, self.classes].map(i64::from)
    }

    /// In numbers that hold it, however large it is said to be.
    fn edge_px(self) -> u64 {
        u64::from(self.window.core_px) + 2 * u64::from(self.window.margin_px)
    }

    /// Values of one window.
    pub(crate) const fn window_values(self, channels: u32) -> usize {
        (self.window.edge_px() as usize).pow(2) * channels as usize
    }

    /// Values of a full batch; an error where there can be no such batch.
    pub(crate) fn values(self, channels: u32) -> Result<usize> {
        let edge = self.edge_px();
        let all =
            [edge, edge, u64::from(channels)].into_iter().try_fold(u64::from(self.batch), u64::checked_mul);
        let values = all.and_then(|all| usize::try_from(all).ok()).ok_or_else(|| self.too_large(channels))?;
        if values == 0 {
            return Err(ModelError::config(format!("{} are nothing to compute", self.described(channels))));
        }
        Ok(values)
    }

    /// Values of `n` windows; an error where a batch has no room for them.
    pub(crate) fn values_of(self, n: usize, channels: u32) -> Result<usize> {
        if n > self.batch as usize {
            let text = format!("{n} windows do not fit a batch of {}", self.batch);
            return Err(ModelError::internal(text));
        }
        Ok(n * self.window_values(channels))
    }

    /// A buffer for a full batch.
    pub(crate) fn room(self, channels: u32) -> Result<Vec<f32>> {
        let values = self.values(channels)?;
        let mut room = Vec::new();
        room.try_reserve_exact(values).map_err(|_| self.too_large(channels))?;
        room.resize(values, 0.0);
        Ok(room)
    }

    pub(crate) fn too_large(self, channels: u32) -> ModelError {
        ModelError::capacity(format!("there is no memory for {}", self.described(channels)))
    }

    fn described(self, channels: u32) -> String {
        format!("{} windows of {} px with {channels} channels", self.batch, self.edge_px())
    }
}

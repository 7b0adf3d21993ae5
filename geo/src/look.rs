//! Shows an item's windows to a network, batch by batch, and makes planes of what it says. Every pixel is decided by
//! the same looks at the same windows, however the scene was cut.

use swath_proto::{
    geometry::{RectPx, SizePx, WindowPx},
    item::{Blend, Mixing, WindowShape},
};

use crate::{
    blend::{Blender, ONE, Weights},
    decide::{BadLogits, classify},
    grid::{self, BadCut, Window},
    planes::Planes,
    softmax::probabilities,
    views::View,
};

/// What is to be looked at, and how.
#[derive(Clone, Copy, Debug)]
pub struct Looks {
    pub item: RectPx,
    pub scene: SizePx,
    pub window: WindowShape,
    pub mixing: Mixing,
    /// Windows that the network takes at a time.
    pub batch: usize,
    pub bands: usize,
    pub n_classes: usize,
}

/// Windows of numbers in, logits out: values row by row, those of a pixel side by side.
pub trait Network {
    type Error;

    /// Room for `n` windows, at most a batch. What it holds means nothing.
    fn input(&mut self, n: usize) -> Result<&mut [f32], Self::Error>;

    /// Logits of the `n` windows that were put there, which may be overwritten.
    fn run(&mut self, n: usize) -> Result<&[f32], Self::Error>;
}

#[derive(Debug, thiserror::Error)]
pub enum BadLook<E> {
    #[error(transparent)]
    Cut(#[from] BadCut),
    #[error(transparent)]
    Logits(#[from] BadLogits),
    #[error("the network has failed")]
    Network(E),
}

impl Looks {
    /// The windows that are needed, row by row. `mask`: 0 for each of the item's pixels that does not count; none
    /// where all do. A window is needed where a pixel that counts is its own, or is blended with its margin: that
    /// depends on the pixel, and on no item.
    pub fn windows(&self, mask: Option<&[u8]>) -> Result<Vec<Window>, BadCut> {
        let Self { item, scene, window: shape, mixing, .. } = *self;
        let all = match mixing.blend {
            Blend::Crop => grid::windows(item, shape)?,
            Blend::Hann => grid::touching(item, scene, shape)?,
        };
        let Some(mask) = mask else { return Ok(all.collect()) };
        let weights = Weights::new(shape, mixing.blend);
        let is_needed = |window: &Window| {
            let part = weights.part(window, item);
            let first_col = (window.input_col + part.cols.start as i64 - i64::from(item.col)) as usize;
            let first_row = (window.input_row + part.rows.start as i64 - i64::from(item.row)) as usize;
            let lines = mask.chunks_exact(item.width.max(1) as usize).skip(first_row).take(part.rows.len());
            lines.into_iter().any(|line| line[first_col..first_col + part.cols.len()].contains(&1))
        };
        Ok(all.filter(is_needed).collect())
    }

    /// The smallest rectangle that holds what these windows see; none where there are none.
    pub fn reach(&self, windows: &[Window]) -> Option<WindowPx> {
        let edge = i64::from(self.window.edge_px());
        let (cols, rows) = (windows.iter().map(|one| one.input_col), windows.iter().map(|one| one.input_row));
        let (col, row) = (cols.clone().min()?, rows.clone().min()?);
        let (right, bottom) = (cols.max()? + edge, rows.max()? + edge);
        Some(WindowPx::new(col, row, (right - col) as u32, (bottom - row) as u32))
    }

    /// Fills the planes. `fill` writes all of what a window sees; windows as [`Looks::windows`] gives them.
    ///
    /// # Panics
    /// If the network has room for windows of another size.
    pub fn show<N: Network>(
        &self,
        windows: &[Window],
        fill: impl FnMut(&Window, &mut [f32]),
        network: &mut N,
        planes: &mut Planes,
    ) -> Result<(), BadLook<N::Error>> {
        if self.batch == 0 {
            return Err(BadCut::Zero("a batch").into());
        }
        if !(1..=255).contains(&self.n_classes) {
            return Err(BadLogits::Classes(self.n_classes).into());
        }
        match self.mixing.is_plain() {
            true => self.once(windows, fill, network, planes),
            false => self.mixed(windows, fill, network, planes),
        }
    }

    fn once<N: Network>(
        &self,
        windows: &[Window],
        mut fill: impl FnMut(&Window, &mut [f32]),
        network: &mut N,
        planes: &mut Planes,
    ) -> Result<(), BadLook<N::Error>> {
        let (per_input, per_output) = self.values();
        for batch in windows.chunks(self.batch) {
            let input = self.room(network, batch.len())?;
            for (window, input) in batch.iter().zip(input.chunks_exact_mut(per_input)) {
                fill(window, input);
            }
            let logits = network.run(batch.len()).map_err(BadLook::Network)?;
            for (window, logits) in batch.iter().zip(logits.chunks_exact(per_output)) {
                classify(logits, self.window.edge_px(), self.n_classes, window, self.item, planes)?;
            }
        }
        Ok(())
    }

    /// A batch holds views of one window or of several: they are added up as they come.
    fn mixed<N: Network>(
        &self,
        windows: &[Window],
        mut fill: impl FnMut(&Window, &mut [f32]),
        network: &mut N,
        planes: &mut Planes,
    ) -> Result<(), BadLook<N::Error>> {
        let (per_input, per_output) = self.values();
        let (edge, views) = (self.window.edge_px() as usize, View::of_views(self.mixing.augment));
        let weights = Weights::new(self.window, self.mixing.blend);
        let n_looks = self.mixing.augment.n();
        let mut blender = Blender::new(self.item, self.scene, weights, self.n_classes, n_looks);
        let mut seen = vec![0.0; per_input];
        let mut said = vec![0; per_output];
        let mut row = Row::default();
        let looks: Vec<(&Window, usize)> =
            windows.iter().flat_map(|window| (0..views.len()).map(move |view| (window, view))).collect();
        for batch in looks.chunks(self.batch) {
            let input = self.room(network, batch.len())?;
            for ((window, view), input) in batch.iter().zip(input.chunks_exact_mut(per_input)) {
                if *view == 0 {
                    fill(window, &mut seen);
                }
                views[*view].turn(&seen, edge, self.bands, input);
            }
            let logits = network.run(batch.len()).map_err(BadLook::Network)?;
            for ((window, view), logits) in batch.iter().zip(logits.chunks_exact(per_output)) {
                if *view == 0 {
                    said.fill(0);
                }
                self.add_view(window, views[*view], logits, &blender, &mut said, &mut row)?;
                if view + 1 == views.len() {
                    blender.add(window, &said, planes);
                }
            }
        }
        blender.finish(planes);
        Ok(())
    }

    /// Turns back what was said of a view, and adds it to what was said of the window.
    fn add_view(
        &self,
        window: &Window,
        view: View,
        logits: &[f32],
        blender: &Blender,
        said: &mut [u32],
        Row { scratch, probs }: &mut Row,
    ) -> Result<(), BadLogits> {
        let (edge, n) = (self.window.edge_px() as usize, self.n_classes);
        let part = view.part(edge, &blender.part(window));
        let step = view.step(edge);
        for row in part.rows {
            let line = &logits[(row * edge + part.cols.start) * n..(row * edge + part.cols.end) * n];
            let mut at = view.shows(edge, row, part.cols.start);
            probabilities(line, n, ONE, scratch, probs).map_err(|bad| {
                let at = at.wrapping_add_signed(step * bad as isize);
                BadLogits::Undefined {
                    col: (window.input_col + (at % edge) as i64) as u32,
                    row: (window.input_row + (at / edge) as i64) as u32,
                }
            })?;
            if step == 1 {
                said[at * n..][..probs.len()].iter_mut().zip(&*probs).for_each(|(sum, p)| *sum += p);
                continue;
            }
            for pixel in probs.chunks_exact(n) {
                said[at * n..][..n].iter_mut().zip(pixel).for_each(|(sum, p)| *sum += p);
                at = at.wrapping_add_signed(step);
            }
        }
        Ok(())
    }

    /// Where the network takes `n` windows from.
    fn room<'a, N: Network>(&self, network: &'a mut N, n: usize) -> Result<&'a mut [f32], BadLook<N::Error>> {
        let room = network.input(n).map_err(BadLook::Network)?;
        assert_eq!(room.len(), n * self.values().0, "the network's input");
        Ok(room)
    }

    /// Of a window's input, and of its logits.
    const fn values(&self) -> (usize, usize) {
        let pixels = (self.window.edge_px() as usize).pow(2);
        (pixels * self.bands, pixels * self.n_classes)
    }
}

#[derive(Default)]
struct Row {
    scratch: Vec<f32>,
    probs: Vec<u32>,
}

#[cfg(test)]
mod tests;

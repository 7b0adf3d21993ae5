//! What becomes of a chip before the network is given it: a function of seed, epoch and sample. [`zoom`] changes where
//! pixels and labels lie, [`blur`] and [`tone`] what pixels are. Each draws by itself, so that what is switched on
//! changes nothing of the others; no draw and no step of it is left to a mathematical library, which may round
//! otherwise on another machine.

mod blur;
mod tone;
mod zoom;

#[cfg(test)]
mod tests;

use swath_model::{Batch, Pixels};
use swath_proto::train::{Augment, Normalize, TrainSpec};
use swath_shard::{Chip, SampleType};

use crate::{
    order::{Draws, Purpose, Turn, turn},
    sample::{append_bytes, append_floats, append_labels},
};

use tone::Tone;
use zoom::Zoom;

/// What was drawn for a chip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Change {
    pub(crate) turn: Turn,
    zoom: Option<Zoom>,
    /// Standard deviation of a Gaussian, in pixels.
    blur_px: Option<f64>,
    tone: Option<Tone>,
}

/// Width and height of a chip in pixels, and its bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Extent {
    width: usize,
    height: usize,
    bands: usize,
}

impl Change {
    pub(crate) fn draw(seed: u64, epoch: u32, sample: usize, augment: Augment) -> Self {
        let draws = |purpose| Draws::new(seed, purpose, [epoch.into(), sample as u64]);
        Self {
            turn: turn(seed, epoch, sample, augment),
            zoom: augment.scale.map(|factors| Zoom::draw(draws(Purpose::Scale), factors)),
            blur_px: (augment.blur > 0.0).then(|| f64::from(augment.blur) * draws(Purpose::Blur).unit()),
            tone: Tone::draw(draws, augment),
        }
    }

    /// Turns cost nothing beside reading a chip, and most trainings want no more.
    pub(crate) fn only_turns(&self) -> bool {
        Self { turn: self.turn, ..Self::default() } == *self
    }
}

/// Appends a chip to a batch: as the network takes it, or its bytes where it only turns.
pub(crate) fn append(chip: &Chip, change: &Change, spec: &TrainSpec, batch: &mut Batch) {
    let labels_from = batch.labels.len();
    append_labels(chip, change.turn, spec.ignore_class, &mut batch.labels);
    let samples = match &mut batch.pixels {
        Pixels::Bytes { samples, .. } => return append_bytes(chip, change.turn, samples),
        Pixels::Floats(samples) => samples,
    };
    let pixels_from = samples.len();
    append_floats(chip, change.turn, samples);
    let (pixels, labels) = (&mut samples[pixels_from..], &mut batch.labels[labels_from..]);
    let shape = chip.image.shape();
    let extent =
        Extent { width: shape.width as usize, height: shape.height as usize, bands: shape.bands as usize };
    if let Some(zoom) = change.zoom {
        zoom.pixels(extent, pixels);
        zoom.labels(extent, labels);
    }
    if let Some(px) = change.blur_px {
        blur::blur(px, extent, pixels);
    }
    if let Some(tone) = change.tone {
        let is_scaled = matches!(shape.samples, SampleType::Uint8 | SampleType::Uint16);
        tone.apply(extent.bands, is_scaled, pixels);
    }
    if let Some(norm) = &spec.normalize {
        normalize(norm, pixels);
    }
}

/// Of some pixels at a time, so that many numbers are computed at once whatever the number of bands.
fn normalize(Normalize { mean, std }: &Normalize, pixels: &mut [f32]) {
    const TOGETHER: usize = 64;
    let (mean, std) = (mean.repeat(TOGETHER), std.repeat(TOGETHER));
    for some in pixels.chunks_mut(mean.len()) {
        for ((sample, mean), std) in some.iter_mut().zip(&mean).zip(&std) {
            *sample = (*sample - mean) / std;
        }
    }
}

/// Where a pixel lies that is looked for beyond an edge: in the mirror image.
fn mirrored(at: isize, n: usize) -> usize {
    let at = at.rem_euclid(2 * n as isize) as usize;
    if at < n { at } else { 2 * n - 1 - at }
}

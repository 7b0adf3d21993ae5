//! Why a loss is no number: looked for once it has happened.

use std::borrow::Cow;

use swath_model::{Batch, Kind as ModelKind, Learner, ModelError, Pixels};

use crate::{
    error::{Kind, Result, TrainError},
    saver::Saver,
};

/// Chips that are named; the others are counted.
const NAMED: usize = 3;

/// Says of a step of all ranks whose chip was at fault. Of several ranks, those that have found nothing leave the word
/// to those that have.
pub(crate) fn of_step(
    error: ModelError,
    place: &str,
    learner: &Learner,
    (pieces, names): (&[Batch], &[String]),
    saver: &mut Saver,
) -> TrainError {
    // Only the loss is at fault for all ranks alike, so that they can go on talking.
    let is_loss = error.kind == ModelKind::Data;
    let error = TrainError::from(error).at(place);
    if !is_loss {
        return error;
    }
    let look = || -> Result<TrainError> {
        let (mut found, mut rest) = (None, names);
        for piece in pieces {
            let (names, others) = rest.split_at(piece.n_images().min(rest.len()));
            rest = others;
            found = found.or(suspects(learner, piece, names)?);
        }
        let mut n_found = [if found.is_some() { 1.0 } else { 0.0 }];
        learner.gang().sum(&mut n_found)?;
        let last_word = saver.last_word(learner.gang())?;
        Ok(match found {
            Some(found) => error.and(found).and(last_word),
            None if n_found[0] > 0.0 => TrainError::new(Kind::Gang, "another rank's chips are at fault"),
            None => error.and(last_word),
        })
    };
    look().unwrap_or_else(|error| error)
}

/// Says of a rank's own batch which chip was at fault.
pub(crate) fn of_validation(
    error: ModelError,
    place: &str,
    learner: &Learner,
    (batch, names): (&Batch, &[String]),
) -> TrainError {
    let is_loss = error.kind == ModelKind::Data;
    let error = TrainError::from(error).at(place);
    match is_loss.then(|| suspects(learner, batch, names)) {
        Some(Ok(Some(found))) => error.and(found),
        Some(Err(of_looking)) => error.and(of_looking),
        Some(Ok(None)) | None => error,
    }
}

/// The chips of a batch, or the weights, that make its loss no number; `None` where it only becomes one of all
/// together.
fn suspects(learner: &Learner, batch: &Batch, names: &[String]) -> Result<Option<String>> {
    let images = Images::new(batch, names.len());
    let broken: Vec<String> = names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| Some(format!("{name}: {}", images.broken(at)?)))
        .collect();
    if !broken.is_empty() {
        return Ok(Some(few(&broken)));
    }
    let is_broken = |name: &String| learner.write(name, &mut std::io::sink()).err();
    if let Some(error) = learner.weights().keys().find_map(is_broken) {
        return Ok(Some(error.to_string()));
    }
    let mut alone = Vec::new();
    for (at, name) in names.iter().enumerate() {
        match learner.evaluate(&images.image(at)) {
            Err(error) if error.kind == ModelKind::Data => {
                alone.push(format!("{name}: its loss alone is no number"));
            }
            other => drop(other?),
        }
    }
    Ok((!alone.is_empty()).then(|| few(&alone)))
}

fn few(all: &[String]) -> String {
    let named = all[..all.len().min(NAMED)].join("; ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named}; and {more} more of the batch"),
    }
}

struct Images<'a> {
    batch: &'a Batch,
    samples: Cow<'a, [f32]>,
    n_pixels: usize,
    bands: usize,
}

impl<'a> Images<'a> {
    fn new(batch: &'a Batch, n: usize) -> Self {
        let n_pixels = batch.labels.len() / n.max(1);
        let bands = batch.pixels.n_samples() / batch.labels.len().max(1);
        Self { batch, samples: batch.pixels.floats(), n_pixels, bands }
    }

    fn samples(&self, at: usize) -> &[f32] {
        let n = self.n_pixels * self.bands;
        &self.samples[at * n..][..n]
    }

    fn image(&self, at: usize) -> Batch {
        let labels = self.batch.labels[at * self.n_pixels..][..self.n_pixels].to_vec();
        let Batch { width, height, .. } = *self.batch;
        Batch { width, height, pixels: Pixels::Floats(self.samples(at).to_vec()), labels }
    }

    /// Its first band that has what is no number.
    fn broken(&self, at: usize) -> Option<String> {
        let of = |band: usize| self.samples(at).iter().skip(band).step_by(self.bands.max(1));
        (0..self.bands).find_map(|band| {
            let n = of(band).filter(|value| !value.is_finite()).count();
            let first = of(band).find(|value| !value.is_finite())?;
            let all = self.n_pixels;
            Some(format!("{n} of the {all} pixels of band {} are no numbers ({first})", band + 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_that_is_no_number_is_counted() {
        // The second image: its second pixel's third band, and both pixels' second.
        let samples = (0..12).map(|at| if [6 + 5, 6 + 1, 6 + 4].contains(&at) { f32::NAN } else { 0.5 });
        let batch =
            Batch { width: 2, height: 1, pixels: Pixels::Floats(samples.collect()), labels: vec![0; 4] };
        let images = Images::new(&batch, 2);
        assert_eq!(images.broken(0), None);
        assert_eq!(images.broken(1).unwrap(), "2 of the 2 pixels of band 2 are no numbers (NaN)");
        assert_eq!(images.image(0).pixels.floats()[..], [0.5; 6]);
        assert!(images.image(1).pixels.floats()[5].is_nan());
    }

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let of = |n: usize| few(&["a", "b", "c", "d", "e"].map(str::to_owned)[..n]);
        assert_eq!([1, 3, 5].map(of), ["a", "a; b; c", "a; b; c; and 2 more of the batch"]);
    }
}

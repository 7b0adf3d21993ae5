//! What is drawn of a chip's values: brightness, contrast, noise, and a band that is missing.

use swath_proto::train::Augment;

use crate::order::{Draws, Purpose};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tone {
    brightness: f32,
    contrast: f32,
    noise: Option<Noise>,
    dropped: Option<Dropped>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Noise {
    draws: Draws,
    strength: f32,
}

/// Which band, once it is known how many there are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dropped(Draws);

impl Tone {
    /// `None` where nothing of it was asked for, or nothing was drawn.
    pub(super) fn draw(draws: impl Fn(Purpose) -> Draws, augment: Augment) -> Option<Self> {
        let about_one = |strength: f32, purpose| match strength > 0.0 {
            true => (1.0 + f64::from(strength) * (2.0 * draws(purpose).unit() - 1.0)) as f32,
            false => 1.0,
        };
        let strength = augment.noise;
        let mut drop = draws(Purpose::ChannelDrop);
        let is_dropped = drop.unit() < f64::from(augment.channel_drop);
        let tone = Self {
            brightness: about_one(augment.brightness, Purpose::Brightness),
            contrast: about_one(augment.contrast, Purpose::Contrast),
            noise: (strength > 0.0).then(|| Noise { draws: draws(Purpose::Noise), strength }),
            dropped: is_dropped.then_some(Dropped(drop)),
        };
        (tone != Self { brightness: 1.0, contrast: 1.0, noise: None, dropped: None }).then_some(tone)
    }

    /// `is_scaled`: values are 0 to 1, and stay there. The range of others is not known: they have none, and noise goes
    /// by their deviation.
    pub(super) fn apply(self, bands: usize, is_scaled: bool, pixels: &mut [f32]) {
        let Self { brightness, contrast, noise, dropped } = self;
        let means = if contrast == 1.0 { vec![0.0; bands] } else { means(bands, pixels) };
        let factor = brightness * contrast;
        let more: Vec<f32> = means.iter().map(|mean| mean * (1.0 - contrast) * brightness).collect();
        for pixel in pixels.chunks_exact_mut(bands) {
            pixel.iter_mut().zip(&more).for_each(|(sample, more)| *sample = *sample * factor + more);
        }
        if let Some(noise) = noise {
            let unit = if is_scaled { vec![1.0; bands] } else { deviations(bands, pixels) };
            noise.add(&unit, pixels);
        }
        if let Some(Dropped(mut draws)) = dropped {
            let band = draws.below(bands as u64) as usize;
            pixels.iter_mut().skip(band).step_by(bands).for_each(|sample| *sample = 0.0);
        }
        if is_scaled {
            pixels.iter_mut().for_each(|sample| *sample = sample.clamp(0.0, 1.0));
        }
    }
}

impl Noise {
    /// A sum of four even ones, which nobody can tell from a normal one here. `unit`: of each band.
    fn add(self, unit: &[f32], pixels: &mut [f32]) {
        let Self { mut draws, strength } = self;
        // The sum of four numbers below 65536 has a variance of (65536^2 - 1) / 3.
        let scale = strength * 3.0_f32.sqrt() / 65536.0;
        let scales: Vec<f32> = unit.iter().map(|unit| unit * scale).collect();
        for pixel in pixels.chunks_exact_mut(scales.len()) {
            for (sample, scale) in pixel.iter_mut().zip(&scales) {
                let bits = draws.next();
                let sum: i32 = [0, 16, 32, 48].map(|shift| (bits >> shift & 0xffff) as i32).iter().sum();
                *sample += (sum - 131_070) as f32 * scale;
            }
        }
    }
}

fn means(bands: usize, pixels: &[f32]) -> Vec<f32> {
    let n = (pixels.len() / bands).max(1) as f64;
    let mut sums = vec![0.0_f64; bands];
    for pixel in pixels.chunks_exact(bands) {
        sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += f64::from(*sample));
    }
    sums.into_iter().map(|sum| (sum / n) as f32).collect()
}

fn deviations(bands: usize, pixels: &[f32]) -> Vec<f32> {
    let means = means(bands, pixels);
    let n = (pixels.len() / bands).max(1) as f64;
    let mut sums = vec![0.0_f64; bands];
    for pixel in pixels.chunks_exact(bands) {
        for ((sum, sample), mean) in sums.iter_mut().zip(pixel).zip(&means) {
            *sum += f64::from(sample - mean).powi(2);
        }
    }
    sums.into_iter().map(|sum| (sum / n).sqrt() as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Tone = Tone { brightness: 1.0, contrast: 1.0, noise: None, dropped: None };

    fn draws() -> Draws {
        Draws::new(1, Purpose::Noise, [2, 3])
    }

    #[test]
    fn brightness_goes_from_zero_and_contrast_from_the_mean_of_each_band() {
        let before = [0.2, 0.5, 0.4, 0.5];
        for (tone, wanted) in [
            (STILL, before),
            (Tone { brightness: 1.5, ..STILL }, [0.3, 0.75, 0.6, 0.75]),
            (Tone { contrast: 0.5, ..STILL }, [0.25, 0.5, 0.35, 0.5]),
            (Tone { brightness: 2.0, contrast: 2.0, ..STILL }, [0.2, 1.0, 1.0, 1.0]),
        ] {
            let mut pixels = before;
            tone.apply(2, true, &mut pixels);
            assert!(pixels.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-6), "{pixels:?}");
        }
        let mut floats = [-10.0, 30.0];
        Tone { brightness: 2.0, ..STILL }.apply(1, false, &mut floats);
        assert_eq!(floats, [-20.0, 60.0]);
    }

    #[test]
    fn noise_has_the_deviation_that_was_asked_for() {
        let noise = Some(Noise { draws: draws(), strength: 0.1 });
        let mut pixels = vec![0.5; 40_000];
        Tone { noise, ..STILL }.apply(2, true, &mut pixels);
        let (mean, deviation) = (means(2, &pixels)[0], deviations(2, &pixels)[0]);
        assert!((mean - 0.5).abs() < 0.003 && (deviation - 0.1).abs() < 0.002, "{mean} {deviation}");
        // Where the range is not known, it is relative.
        let mut floats: Vec<f32> = (0..40_000).map(|at| if at % 2 == 0 { -300.0 } else { 300.0 }).collect();
        let before = floats.clone();
        Tone { noise, ..STILL }.apply(1, false, &mut floats);
        let added: Vec<f32> = floats.iter().zip(&before).map(|(after, before)| after - before).collect();
        assert!((deviations(1, &added)[0] - 30.0).abs() < 0.6, "{:?}", deviations(1, &added));
    }

    #[test]
    fn a_dropped_band_is_empty_and_the_others_are_what_they_were() {
        let mut seen = [false; 3];
        for sample in 0..40 {
            let dropped = Some(Dropped(Draws::new(1, Purpose::ChannelDrop, [0, sample])));
            let mut pixels = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
            Tone { dropped, ..STILL }.apply(3, true, &mut pixels);
            let band = (0..3).find(|&band| pixels[band] == 0.0).unwrap();
            seen[band] = true;
            let wanted: Vec<f32> =
                (0..6).map(|at| if at % 3 == band { 0.0 } else { (at + 1) as f32 / 10.0 }).collect();
            assert_eq!(pixels[..], wanted);
        }
        assert_eq!(seen, [true; 3]);
    }
}

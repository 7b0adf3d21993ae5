use swath_proto::geometry::{SizePx, WindowPx};
use swath_shard::{Image, Shape};

use super::*;

const EDGE: usize = 24;

fn spec(more: &str) -> TrainSpec {
    toml::from_str(&format!("architecture = \"tiny\"\nclasses = 4\n{more}")).unwrap()
}

/// Two bands, of which one is stripes from left to right and the other from top to bottom, and labels that say which
/// are bright.
fn stripes() -> Chip {
    let (mut bytes, mut labels) = (Vec::new(), Vec::new());
    for (row, col) in (0..EDGE).flat_map(|row| (0..EDGE).map(move |col| (row, col))) {
        let bright = [col % 7 < 3, row % 9 < 4];
        bytes.extend(bright.map(|bright| if bright { 255 } else { 0 }));
        labels.push(u8::from(bright[0]) + 2 * u8::from(bright[1]));
    }
    chip(2, SampleType::Uint8, bytes, labels)
}

fn chip(bands: u32, samples: SampleType, bytes: Vec<u8>, labels: Vec<u8>) -> Chip {
    let shape = Shape::new(SizePx::new(EDGE as u32, EDGE as u32), bands, samples);
    let image = Image::new(shape, bytes).unwrap();
    let window = WindowPx::new(0, 0, EDGE as u32, EDGE as u32);
    Chip { scene: "one".parse().unwrap(), window, draw: None, source_pixel_crs: None, image, labels }
}

fn batch(pixels: Pixels) -> Batch {
    Batch { width: EDGE as u32, height: EDGE as u32, pixels, labels: vec![9] }
}

/// Samples, and labels.
fn given(chip: &Chip, spec: &TrainSpec, sample: usize) -> (Vec<f32>, Vec<u8>) {
    let mut batch = batch(Pixels::Floats(vec![9.0]));
    append(chip, &Change::draw(spec.seed, 3, sample, spec.augment), spec, &mut batch);
    let (mut samples, mut labels) = (batch.pixels.floats().into_owned(), batch.labels);
    assert_eq!((samples.remove(0), labels.remove(0)), (9.0, 9), "what was there stays");
    (samples, labels)
}

#[test]
fn labels_stay_with_their_pixels() {
    let (chip, mut seen) = (stripes(), 0);
    for scale in ["[0.5, 1]", "[1, 1.7]", "[0.8, 1.25]", "[4, 4]", "[0.9, 0.9]"] {
        let spec = spec(&format!("augment = {{ scale = {scale} }}"));
        for sample in 0..40 {
            let (pixels, labels) = given(&chip, &spec, sample);
            for (pixel, label) in pixels.chunks_exact(2).zip(labels) {
                // Turned by a right angle, the stripes go the other way, and the label with them.
                if pixel.iter().all(|value| (value - 0.5).abs() > 1e-3) {
                    let bright = pixel.iter().zip(0..).map(|(value, band)| u8::from(*value > 0.5) << band);
                    assert_eq!(label, bright.sum::<u8>(), "{scale}, sample {sample}");
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 50_000, "{seen}");
}

#[test]
fn a_factor_of_two_shows_a_quarter_and_one_of_a_half_all_of_it() {
    let turned = "hflip = false, vflip = false, rot90 = false";
    let gradient: Vec<u8> = (0..EDGE * EDGE).map(|at| (at % EDGE * 10) as u8).collect();
    let chip = chip(1, SampleType::Uint8, gradient, vec![0; EDGE * EDGE]);
    let large = spec(&format!("augment = {{ scale = [2, 2], {turned} }}"));
    let (pixels, _) = given(&chip, &large, 5);
    let steps: Vec<f32> = pixels[..EDGE].windows(2).map(|two| (two[1] - two[0]) * 255.0).collect();
    assert!(steps.iter().all(|step| (0.0..=10.0).contains(step)), "{steps:?}");
    assert!(((pixels[EDGE - 1] - pixels[0]) * 255.0 - 115.0).abs() < 10.1, "half of the width");
    let small = spec(&format!("augment = {{ scale = [0.5, 0.5], {turned} }}"));
    for sample in 0..9 {
        let row = &given(&chip, &small, sample).0[..EDGE];
        let has = |wanted: f32| row.iter().any(|value| (value * 255.0 - wanted).abs() < 10.1);
        assert!(has(5.0) && has(115.0) && has(225.0), "{row:?}");
    }
}

#[test]
fn nothing_is_changed_where_nothing_is_asked_for() {
    let chip = stripes();
    let plain = spec("normalize = { mean = [0.1, 0.2], std = [0.5, 0.7] }\nbands = 2");
    // Strengths beside which nothing is left of the change, though some are computed.
    let still = [
        ("scale", "[1, 1]"),
        ("brightness", "1e-30"),
        ("contrast", "1e-30"),
        ("noise", "1e-30"),
        ("blur", "0.1"),
    ];
    for sample in 0..9 {
        let wanted = given(&chip, &plain, sample);
        for (key, value) in still {
            let augment = toml::from_str(&format!("{key} = {value}")).unwrap();
            let spec = TrainSpec { augment, ..plain.clone() };
            assert_eq!(given(&chip, &spec, sample), wanted, "{key}");
        }
    }
}

#[test]
fn bands_are_normed_by_their_own_numbers_however_the_chip_is_turned() {
    let spec =
        spec("augment = { rot90 = true }\nbands = 2\nnormalize = { mean = [0.1, 0.7], std = [0.3, 1.1] }");
    let chip = stripes();
    for sample in 0..20 {
        let (samples, labels) = given(&chip, &spec, sample);
        for (pixel, label) in samples.chunks_exact(2).zip(labels) {
            let wanted = [(label & 1, 0.1, 0.3), (label >> 1, 0.7, 1.1)]
                .map(|(bright, mean, std)| (f32::from(255 * bright) * (1.0 / 255.0) - mean) / std);
            assert_eq!(pixel, wanted, "sample {sample}");
        }
    }
}

#[test]
fn bytes_that_only_turn_say_what_floats_say() {
    let chip = stripes();
    for norm in ["", "\nnormalize = { mean = [0.1, 0.2], std = [0.5, 0.7] }"] {
        let spec = spec(&format!("augment = {{ rot90 = true }}\nbands = 2{norm}"));
        for sample in 0..20 {
            let change = Change::draw(spec.seed, 3, sample, spec.augment);
            let mut bytes = batch(Pixels::Bytes { samples: Vec::new(), norm: spec.normalize.clone() });
            append(&chip, &change, &spec, &mut bytes);
            let (samples, labels) = given(&chip, &spec, sample);
            assert_eq!(bytes.pixels.floats()[..], samples, "{change:?}");
            assert_eq!(bytes.labels[1..], labels, "{change:?}");
        }
    }
}

#[test]
fn each_draws_by_itself() {
    let all =
        "scale = [0.8, 1.25]\nblur = 1\nbrightness = 0.2\ncontrast = 0.2\nnoise = 0.02\nchannel_drop = 0.5";
    let all: Augment = toml::from_str(all).unwrap();
    for sample in 0..20 {
        let draw = |augment| Change::draw(7, 2, sample, augment);
        let change = draw(all);
        let one = draw(Augment { scale: all.scale, ..Augment::NOTHING });
        assert_eq!((one.zoom, one.tone, one.turn), (change.zoom, None, Turn::default()));
        assert_eq!(
            draw(Augment { blur: 1.0, ..Augment::default() }),
            Change { blur_px: change.blur_px, turn: change.turn, ..Change::default() }
        );
        let tone = Augment { scale: None, blur: 0.0, hflip: false, ..all };
        assert_eq!(draw(tone).tone, change.tone);
        assert_ne!(Change::draw(7, 3, sample, all), change, "another epoch");
        assert_ne!(Change::draw(8, 2, sample, all), change, "another seed");
    }
}

/// A change of them is a change of every training.
#[test]
fn draws_are_the_same_for_ever() {
    let all =
        "scale = [0.8, 1.25]\nblur = 1\nbrightness = 0.2\ncontrast = 0.2\nnoise = 0.02\nchannel_drop = 0.5";
    let augment: Augment = toml::from_str(all).unwrap();
    assert_eq!(format!("{:?}", Change::draw(7, 3, 1, augment)), FROZEN);
    let spec = spec(
        "bands = 2\naugment = { scale = [0.8, 1.25], blur = 1, brightness = 0.2, contrast = 0.2, noise = 0.02 }",
    );
    let (pixels, _) = given(&stripes(), &spec, 4);
    let few: Vec<f32> = pixels.iter().step_by(301).copied().collect();
    assert!(few.iter().zip(FROZEN_PIXELS).all(|(got, wanted)| (got - wanted).abs() < 1e-6), "{few:?}");
}

const FROZEN: &str = "Change { turn: Turn { right_angles: 3, hflip: true, vflip: false }, \
     zoom: Some(Zoom { factor: 0.9855343133318952, place: [0.5204109158437349, 0.45475553516100964] }), \
     blur_px: Some(0.4880629700896023), \
     tone: Some(Tone { brightness: 0.8589335, contrast: 1.023323, \
     noise: Some(Noise { draws: Draws(10603698313672540702), strength: 0.02 }), dropped: None }) }";
const FROZEN_PIXELS: [f32; 4] = [0.82631034, 0.0014821384, 0.0, 0.39376062];

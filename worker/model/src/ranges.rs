//! Between which numbers the values inside a network lie, on images that it is meant for: what has to be known to
//! compute it in 8 bits.

use serde::{Deserialize, Serialize};
use swath_proto::item::ModelRef;
use tch::Tensor;

use crate::{
    conv::Conv,
    error::{ModelError, Result},
    group_norm::GroupNorm,
    network::{Home, Network, Pass},
    ops::Ops,
    predictor::{Files, network},
    torch::{Eager, use_threads},
};

/// The smallest and the largest number of each value, in the order in which they are computed; the images come first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(f32, f32)>);

impl Ranges {
    /// As they are kept in files.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers")
    }

    pub fn from_json(json: &[u8]) -> Result<Self> {
        let wrong = |why: String| ModelError::config(format!("ranges: {why}"));
        let ranges: Self = serde_json::from_slice(json).map_err(|error| wrong(error.to_string()))?;
        let is_range = |(low, high): &(f32, f32)| low.is_finite() && high.is_finite() && low <= high;
        match ranges.0.iter().position(|range| !is_range(range)) {
            None => Ok(ranges),
            Some(at) => Err(wrong(format!("that of value {at} is none"))),
        }
    }

    pub(crate) fn of(&self, value: usize) -> Option<(f32, f32)> {
        self.0.get(value).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<Ranges> for Vec<(f32, f32)> {
    fn from(ranges: Ranges) -> Self {
        ranges.0
    }
}

/// Finds the ranges of a network.
pub struct Calibration {
    network: Box<dyn Network>,
    bands: i64,
    ranges: Ranges,
}

impl Calibration {
    pub fn new(model: &ModelRef, files: &Files, threads: u32) -> Result<Self> {
        use_threads(threads);
        let network = tch::no_grad(|| network(model, files.weights.as_deref(), Home::PROCESSOR))?;
        Ok(Self { network, bands: model.bands.into(), ranges: Ranges::default() })
    }

    /// Images of one size: pixels row by row, bands side by side.
    pub fn see(&mut self, pixels: &[f32], (width, height): (u32, u32)) -> Result<()> {
        tch::no_grad(|| {
            let shape = [-1, i64::from(height), i64::from(width), self.bands];
            let images = Tensor::f_from_slice(pixels)?.f_view(shape)?.f_permute([0, 3, 1, 2])?;
            self.network.widen(&mut self.ranges, &images)
        })
    }

    pub fn ranges(self) -> Ranges {
        self.ranges
    }
}

/// Computes a network and widens the ranges by what it sees.
pub(crate) struct Watch<'a> {
    eager: Eager<'static>,
    ranges: &'a mut Ranges,
    values: usize,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(ranges: &'a mut Ranges) -> Self {
        Self { eager: Eager { pass: Pass::Predict }, ranges, values: 0 }
    }

    pub(crate) fn see(&mut self, value: Tensor) -> Result<Tensor> {
        let (low, high) = (value.f_min()?, value.f_max()?);
        let (low, high) = (f64::try_from(low)? as f32, f64::try_from(high)? as f32);
        if !(low.is_finite() && high.is_finite()) {
            let text = format!("value {} of the network is no number on these images", self.values);
            return Err(ModelError::data(text));
        }
        match self.ranges.0.get_mut(self.values) {
            Some(range) => *range = (range.0.min(low), range.1.max(high)),
            None => self.ranges.0.push((low, high)),
        }
        self.values += 1;
        Ok(value)
    }
}

impl Ops for Watch<'_> {
    type Value = Tensor;

    fn conv(&mut self, conv: &Conv, input: &Tensor) -> Result<Tensor> {
        let output = self.eager.conv(conv, input)?;
        self.see(output)
    }

    fn group_norm(&mut self, norm: &GroupNorm, input: &Tensor) -> Result<Tensor> {
        let output = self.eager.group_norm(norm, input)?;
        self.see(output)
    }

    fn relu(&mut self, input: Tensor) -> Result<Tensor> {
        let output = self.eager.relu(input)?;
        self.see(output)
    }

    fn add(&mut self, left: Tensor, right: &Tensor) -> Result<Tensor> {
        let output = self.eager.add(left, right)?;
        self.see(output)
    }

    fn concat(&mut self, parts: &[&Tensor]) -> Result<Tensor> {
        let output = self.eager.concat(parts)?;
        self.see(output)
    }

    fn max_pool(&mut self, input: &Tensor) -> Result<Tensor> {
        let output = self.eager.max_pool(input)?;
        self.see(output)
    }

    fn double(&mut self, input: &Tensor) -> Result<Tensor> {
        let output = self.eager.double(input)?;
        self.see(output)
    }

    fn mean(&mut self, input: &Tensor) -> Result<Tensor> {
        let output = self.eager.mean(input)?;
        self.see(output)
    }

    fn spread(&mut self, pixel: &Tensor, like: &Tensor) -> Result<Tensor> {
        let output = self.eager.spread(pixel, like)?;
        self.see(output)
    }

    fn enlarge(&mut self, input: &Tensor, times: i64) -> Result<Tensor> {
        let output = self.eager.enlarge(input, times)?;
        self.see(output)
    }

    fn resize(&mut self, input: &Tensor, like: &Tensor) -> Result<Tensor> {
        let output = self.eager.resize(input, like)?;
        self.see(output)
    }

    fn dropout(&mut self, input: Tensor) -> Result<Tensor> {
        let output = self.eager.dropout(input)?;
        self.see(output)
    }

    fn drop_channels(&mut self, input: Tensor) -> Result<Tensor> {
        let output = self.eager.drop_channels(input)?;
        self.see(output)
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::{
        ids::Digest,
        item::{Architecture, EngineName, Precision, WindowShape},
    };

    use super::*;
    use crate::{Predictor, drawn, load, weights::Stream};

    const WINDOW: WindowShape = WindowShape { core_px: 64, margin_px: 0 };

    fn model(architecture: Architecture, precision: Precision) -> ModelRef {
        ModelRef { precision, ..drawn(architecture, EngineName::Openvino) }
    }

    fn images(n: usize) -> Vec<f32> {
        let mut stream = Stream::new(2, "images");
        (0..n * 64 * 64 * 3).map(|_| stream.uniform()).collect()
    }

    fn small(architecture: Architecture, ranges: &Ranges) -> Result<Box<dyn Predictor>> {
        let again = Ranges::from_json(&ranges.to_json()).unwrap();
        assert_eq!(again, *ranges);
        let files = [Files { weights: None, ranges: Some(again) }];
        load(&model(architecture, Precision::Int8(Digest::of(&ranges.to_json()))), &files, WINDOW, 2, 1)
    }

    /// Near what 32 bits give, and not the same. The drawn head of a U-Net sums to zero, so that it cancels most of what it
    /// is given and leaves the rounding.
    #[test]
    fn in_eight_bits_a_network_says_nearly_the_same() {
        for (architecture, most) in [
            (Architecture::Tiny, 0.1),
            (Architecture::UnetResnet18, 0.35),
            (Architecture::Deeplabv3Resnet50, 0.1),
            (Architecture::FpnResnet18, 0.1),
            (Architecture::Deeplabv3plusResnet18, 0.2),
        ] {
            let mut calibration =
                Calibration::new(&model(architecture, Precision::Fp32), &Files::default(), 1).unwrap();
            calibration.see(&images(2), (64, 64)).unwrap();
            let ranges = calibration.ranges();
            let mut small = small(architecture, &ranges).unwrap();
            assert_eq!(small.class().precision, "int8");
            let mut whole =
                load(&model(architecture, Precision::Fp32), &[Files::default()], WINDOW, 2, 1).unwrap();
            let images = images(2);
            let (found, wanted) = (small.forward(&images, 2).unwrap(), whole.forward(&images, 2).unwrap());
            let power =
                |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
            let apart = power(&mut found.iter().zip(wanted).map(|(found, wanted)| found - wanted));
            let share = (apart / power(&mut wanted.iter().copied())).sqrt();
            assert!(share > 0.0 && share < most, "{architecture:?}: {share}");
            places_do_not_matter(&mut *small, &images);
        }
    }

    /// On processors that have it; the others say that they have not.
    #[test]
    fn in_bf16_a_network_says_nearly_the_same_or_is_refused_in_words() {
        let load = |precision| {
            load(&model(Architecture::UnetResnet18, precision), &[Files::default()], WINDOW, 2, 1)
        };
        let mut half = match load(Precision::Bf16) {
            Ok(half) => half,
            Err(error) => {
                assert_eq!(error.kind, crate::Kind::Unfit);
                assert!(error.to_string().contains("no instructions for bf16"), "{error}");
                return;
            }
        };
        let (mut whole, images) = (load(Precision::Fp32).unwrap(), images(2));
        let found = half.forward(&images, 2).unwrap().to_vec();
        let wanted = whole.forward(&images, 2).unwrap();
        let largest = wanted.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        let apart = found.iter().zip(wanted).fold(0.0_f32, |apart, (a, b)| apart.max((a - b).abs()));
        assert!(apart > 0.0 && apart < 0.05 * largest, "{apart} of {largest}");
        places_do_not_matter(&mut *half, &images);
    }

    /// Two images, each in the other's place, and each beside nothing.
    fn places_do_not_matter(predictor: &mut dyn Predictor, images: &[f32]) {
        let (first, second) = images.split_at(images.len() / 2);
        let found = predictor.forward(images, 2).unwrap().to_vec();
        let (before, behind) = found.split_at(found.len() / 2);
        let turned = predictor.forward(&[second, first].concat(), 2).unwrap();
        assert!(turned == [behind, before].concat(), "the place in a batch moves bits");
        assert!(predictor.forward(second, 1).unwrap() == behind, "what stands beside moves bits");
    }

    #[test]
    fn ranges_of_another_network_are_refused() {
        let mut calibration =
            Calibration::new(&model(Architecture::Tiny, Precision::Fp32), &Files::default(), 1).unwrap();
        calibration.see(&images(1), (64, 64)).unwrap();
        let error = small(Architecture::UnetResnet18, &calibration.ranges()).err().unwrap();
        assert_eq!(error.kind, crate::Kind::Config, "{error}");
        let why = Ranges::from_json(b"[[0.0, 1.0], [2.0, 1.0]]").unwrap_err();
        assert!(why.to_string().contains("value 1"), "{why}");
    }
}

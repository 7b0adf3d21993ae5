//! U-Net on a ResNet-18 encoder. The encoder's tensors have torchvision's names under `encoder.`;
//! the decoder's five stages are `d0` to `d4`, from the deepest up.

use tch::Tensor;

use crate::{
    conv::{Conv, Spec},
    error::Result,
    predictor::Network,
    weights::Weights,
};

/// Channels and stride of the encoder's four layers.
const LAYERS: [(i64, i64, i64); 4] = [(64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)];
/// Channels of the decoder's stages; what comes in is what was below and the skip beside it.
const STAGES: [(i64, i64); 5] = [(768, 256), (384, 128), (192, 64), (128, 32), (32, 16)];

pub(crate) struct Unet {
    stem: Conv,
    layers: Vec<[Block; 2]>,
    stages: Vec<[Conv; 2]>,
    head: Conv,
}

/// Two convolutions and a way around them.
struct Block {
    first: Conv,
    second: Conv,
    shortcut: Option<Conv>,
}

impl Unet {
    pub(crate) fn load(weights: &mut dyn Weights, bands: i64, classes: i64) -> Result<Self> {
        let stem = Spec {
            name: "encoder.conv1",
            norm: Some("encoder.bn1"),
            channels: (bands, 64),
            kernel: 7,
            stride: 2,
        };
        let stem = Conv::load(weights, &stem)?;
        let mut layers = Vec::new();
        for ((from, to, stride), number) in LAYERS.into_iter().zip(1..) {
            let name = |block| format!("encoder.layer{number}.{block}");
            layers.push([
                Block::load(weights, &name(0), (from, to), stride)?,
                Block::load(weights, &name(1), (to, to), 1)?,
            ]);
        }
        let mut stages = Vec::new();
        for ((from, to), number) in STAGES.into_iter().zip(0..) {
            let mut conv = |which: i64, channels| {
                let (name, norm) = (format!("d{number}.conv{which}"), format!("d{number}.bn{which}"));
                Conv::load(weights, &Spec { name: &name, norm: Some(&norm), channels, kernel: 3, stride: 1 })
            };
            stages.push([conv(1, (from, to))?, conv(2, (to, to))?]);
        }
        let head = Spec { name: "head", norm: None, channels: (16, classes), kernel: 3, stride: 1 };
        Ok(Self { stem, layers, stages, head: Conv::load(weights, &head)? })
    }
}

impl Block {
    fn load(weights: &mut dyn Weights, name: &str, channels: (i64, i64), stride: i64) -> Result<Self> {
        let (from, to) = channels;
        let mut conv = |conv: &str, norm: &str, channels, kernel, stride| {
            let (conv, norm) = (format!("{name}.{conv}"), format!("{name}.{norm}"));
            Conv::load(weights, &Spec { name: &conv, norm: Some(&norm), channels, kernel, stride })
        };
        let first = conv("conv1", "bn1", (from, to), 3, stride)?;
        let second = conv("conv2", "bn2", (to, to), 3, 1)?;
        let changes = stride != 1 || from != to;
        let shortcut =
            if changes { Some(conv("downsample.0", "downsample.1", (from, to), 1, stride)?) } else { None };
        Ok(Self { first, second, shortcut })
    }

    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut output = self.second.forward(&self.first.forward_relu(input)?)?;
        let mut sum = match &self.shortcut {
            Some(shortcut) => output.f_add_(&shortcut.forward(input)?)?,
            None => output.f_add_(input)?,
        };
        Ok(sum.f_relu_()?)
    }
}

impl Network for Unet {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let stem = self.stem.forward_relu(input)?;
        let mut output = stem.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?;
        let mut skips = vec![stem];
        for [first, second] in &self.layers {
            output = second.forward(&first.forward(&output)?)?;
            skips.push(output.shallow_clone());
        }
        // The deepest level is where the decoder begins; the others come back as skips.
        skips.pop();
        for [first, second] in &self.stages {
            let (_, _, height, width) = output.size4()?;
            output = output.f_upsample_nearest2d([height * 2, width * 2], None, None)?;
            if let Some(skip) = skips.pop() {
                output = Tensor::f_cat(&[&output, &skip], 1)?;
            }
            output = second.forward_relu(&first.forward_relu(&output)?)?;
        }
        self.head.forward(&output)
    }
}

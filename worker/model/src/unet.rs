//! U-Net on a ResNet: the encoder's tensors have torchvision's names under `encoder.`; the decoder's
//! five stages are `d0` to `d4`, from the deepest up.

use swath_proto::item::Depth;

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::{Layered, Ops},
    resnet::{Deep, Levels, Resnet, channels},
};

/// Channels that the decoder's stages give, whatever the encoder; what a stage takes is what was
/// below and the skip beside it.
const STAGES: [i64; 5] = [256, 128, 64, 32, 16];

pub(crate) struct Unet {
    encoder: Resnet,
    stages: Vec<[Conv; 2]>,
    head: Conv,
}

impl Unet {
    pub(crate) fn load(layers: &mut Layers<'_>, depth: Depth, bands: i64, classes: i64) -> Result<Self> {
        let encoder = Resnet::load(layers, "encoder", (depth, Deep::Strided), bands)?;
        let mut levels = channels(depth).to_vec();
        let mut below = levels.pop().unwrap_or_default();
        let mut stages = Vec::new();
        for (number, to) in STAGES.into_iter().enumerate() {
            let from = below + levels.pop().unwrap_or(0);
            let mut conv = |which: i64, channels| {
                let (name, norm) = (format!("d{number}.conv{which}"), format!("d{number}.bn{which}"));
                Conv::load(layers, &Spec::new(&name, Then::Norm(&norm), channels, 3))
            };
            stages.push([conv(1, (from, to))?, conv(2, (to, to))?]);
            below = to;
        }
        let head = Spec::new("head", Then::Bias, (below, classes), 3);
        Ok(Self { encoder, stages, head: Conv::load(layers, &head)? })
    }
}

impl Layered for Unet {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let Levels { mut shallow, deepest: mut output } = self.encoder.levels(ops, input)?;
        for [first, second] in &self.stages {
            output = ops.double(&output)?;
            if let Some(skip) = shallow.pop() {
                output = ops.concat(&[&output, &skip])?;
            }
            output = ops.conv_relu(first, &output)?;
            output = ops.conv_relu(second, &output)?;
        }
        ops.conv(&self.head, &output)
    }
}

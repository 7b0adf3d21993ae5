//! A feature pyramid on a ResNet, as segmentation-models-pytorch defines it and names its layers: each level of the
//! encoder joins what is below it, and what all levels say, made as large as the first, is added up.

use swath_proto::item::Depth;

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    group_norm::GroupNorm,
    network::Layers,
    ops::{Layered, Ops},
    resnet::{Deep, Levels, Resnet, channels},
};

/// Channels of levels.
const PYRAMID: i64 = 256;
/// Channels of what they say.
const SAID: i64 = 128;
/// Of the first layer, up to the image.
const TIMES: i64 = 4;

pub(crate) struct Fpn {
    encoder: Resnet,
    deepest: Level,
    /// The deepest first.
    others: Vec<Level>,
    head: Conv,
}

struct Level {
    /// From what the encoder gives.
    lateral: Conv,
    /// The first, and what follows it.
    layers: (Layer, Vec<Layer>),
    /// Whether each of its layers doubles the image; the first level is as large as all shall be.
    doubles: bool,
}

struct Layer {
    conv: Conv,
    norm: GroupNorm,
}

impl Fpn {
    pub(crate) fn load(layers: &mut Layers<'_>, depth: Depth, bands: i64, classes: i64) -> Result<Self> {
        let [_, first, second, third, deepest] = channels(depth);
        let encoder = Resnet::load(layers, "encoder", (depth, Deep::Strided), bands)?;
        let mut level = |lateral, from, doublings| Level::load(layers, lateral, from, doublings);
        Ok(Self {
            encoder,
            deepest: level("decoder.p5", deepest, 3)?,
            others: vec![
                level("decoder.p4.skip_conv", third, 2)?,
                level("decoder.p3.skip_conv", second, 1)?,
                level("decoder.p2.skip_conv", first, 0)?,
            ],
            head: Conv::load(layers, &Spec::new("head", Then::Bias, (SAID, classes), 1))?,
        })
    }
}

impl Level {
    fn load(layers: &mut Layers<'_>, lateral: &str, from: i64, doublings: usize) -> Result<Self> {
        let lateral = Conv::load(layers, &Spec::new(lateral, Then::Bias, (from, PYRAMID), 1))?;
        // The deepest, which doubles three times, is number 0.
        let block = format!("decoder.seg_blocks.{}.block", 3 - doublings);
        let mut layer = |number: usize, from| -> Result<Layer> {
            let [conv, norm] = [0, 1].map(|part| format!("{block}.{number}.block.{part}"));
            let conv = Conv::load(layers, &Spec::new(&conv, Then::Nothing, (from, SAID), 3))?;
            Ok(Layer { conv, norm: GroupNorm::load(layers, &norm, SAID)? })
        };
        let first = layer(0, PYRAMID)?;
        let others = (1..doublings).map(|number| layer(number, SAID)).collect::<Result<_>>()?;
        Ok(Self { lateral, layers: (first, others), doubles: doublings > 0 })
    }

    fn say<O: Ops>(&self, ops: &mut O, level: &O::Value) -> Result<O::Value> {
        let (first, others) = &self.layers;
        let mut output = self.layer(ops, first, level)?;
        for layer in others {
            output = self.layer(ops, layer, &output)?;
        }
        Ok(output)
    }

    fn layer<O: Ops>(&self, ops: &mut O, layer: &Layer, input: &O::Value) -> Result<O::Value> {
        let output = ops.conv(&layer.conv, input)?;
        let output = ops.group_norm(&layer.norm, &output)?;
        let output = ops.relu(output)?;
        if self.doubles { ops.enlarge(&output, 2) } else { Ok(output) }
    }
}

impl Layered for Fpn {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let Levels { shallow, deepest } = self.encoder.levels(ops, input)?;
        let mut level = ops.conv(&self.deepest.lateral, &deepest)?;
        let mut sum = self.deepest.say(ops, &level)?;
        for (other, skip) in self.others.iter().zip(shallow.iter().rev()) {
            let lateral = ops.conv(&other.lateral, skip)?;
            let below = ops.double(&level)?;
            level = ops.add(below, &lateral)?;
            let said = other.say(ops, &level)?;
            sum = ops.add(sum, &said)?;
        }
        let kept = ops.drop_channels(sum)?;
        let logits = ops.conv(&self.head, &kept)?;
        ops.enlarge(&logits, TIMES)
    }
}

//! DeepLabV3+ on a ResNet, as segmentation-models-pytorch defines it and names its layers: the last layer of the encoder
//! is dilated, and what the atrous pyramid gives is joined with what the first layer has seen.

use swath_proto::item::Depth;

use crate::{
    conv::{Conv, Spec, Then},
    error::{ModelError, Result},
    network::Layers,
    ops::{Layered, Ops},
    pyramid::{Pyramid, WIDTH, Wide},
    resnet::{Deep, Levels, Resnet, channels},
    separable::Separable,
};

/// What is left of the first layer's channels.
const FINE: i64 = 48;
/// Of what the first layer sees, from the pyramid to there and from there to the image.
const TIMES: i64 = 4;

pub(crate) struct DeeplabPlus {
    encoder: Resnet,
    pyramid: Pyramid,
    coarse: Separable,
    fine: Conv,
    joined: Separable,
    head: Conv,
}

impl DeeplabPlus {
    pub(crate) fn load(layers: &mut Layers<'_>, depth: Depth, bands: i64, classes: i64) -> Result<Self> {
        let [_, first, .., deepest] = channels(depth);
        let encoder = Resnet::load(layers, "encoder", (depth, Deep::DilatedFrom(4)), bands)?;
        let pyramid = Pyramid::load(layers, "decoder.aspp.0", deepest, Wide::Separable)?;
        let mut separable = |names, from| Separable::load(layers, names, (from, WIDTH), 1);
        let coarse = separable(("decoder.aspp.1", "decoder.aspp.2"), WIDTH)?;
        let joined = separable(("decoder.block2.0", "decoder.block2.1"), FINE + WIDTH)?;
        let fine = Spec::new("decoder.block1.0", Then::Norm("decoder.block1.1"), (first, FINE), 1);
        let fine = Conv::load(layers, &fine)?;
        let head = Conv::load(layers, &Spec::new("head", Then::Bias, (WIDTH, classes), 1))?;
        Ok(Self { encoder, pyramid, coarse, fine, joined, head })
    }
}

impl Layered for DeeplabPlus {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let Levels { shallow, deepest } = self.encoder.levels(ops, input)?;
        let [_, first, ..] = &shallow[..] else {
            return Err(ModelError::internal("a ResNet without a first layer"));
        };
        let seen = self.pyramid.pass(ops, &deepest)?;
        let coarse = self.coarse.conv_relu(ops, &seen)?;
        let coarse = ops.enlarge(&coarse, TIMES)?;
        let fine = ops.conv_relu(&self.fine, first)?;
        let joined = ops.concat(&[&coarse, &fine])?;
        let joined = self.joined.conv_relu(ops, &joined)?;
        let logits = ops.conv(&self.head, &joined)?;
        ops.enlarge(&logits, TIMES)
    }
}

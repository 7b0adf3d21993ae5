//! DeepLabV3: a ResNet whose last two layers are dilated, under `backbone.`, and an atrous pyramid, under `classifier.`:
//! torchvision's names. On ResNet-50 and 101 it is torchvision's, without its auxiliary classifier. Blocks without
//! bottlenecks can't be dilated there: on those it is that of segmentation-models-pytorch.

use swath_proto::item::Depth;

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::{Layered, Ops},
    pyramid::{Pyramid, WIDTH, Wide},
    resnet::{Deep, Resnet, channels},
};

/// How often logits fit into the image, on either side.
const SMALLER: i64 = 8;

pub(crate) struct Deeplab {
    backbone: Resnet,
    pyramid: Pyramid,
    last: Conv,
    head: Conv,
    is_torchvisions: bool,
}

impl Deeplab {
    pub(crate) fn load(layers: &mut Layers<'_>, depth: Depth, bands: i64, classes: i64) -> Result<Self> {
        let is_torchvisions = depth.has_bottlenecks();
        let deep = if is_torchvisions { Deep::DilatedLate } else { Deep::DilatedFrom(3) };
        let [.., deepest] = channels(depth);
        let last = Spec::new("classifier.1", Then::Norm("classifier.2"), (WIDTH, WIDTH), 3);
        let head = Spec::new("classifier.4", Then::Bias, (WIDTH, classes), 1);
        Ok(Self {
            backbone: Resnet::load(layers, "backbone", (depth, deep), bands)?,
            pyramid: Pyramid::load(layers, "classifier.0", deepest, Wide::Whole)?,
            last: Conv::load(layers, &last)?,
            head: Conv::load(layers, &head)?,
            is_torchvisions,
        })
    }
}

impl Layered for Deeplab {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let deepest = self.backbone.levels(ops, input)?.deepest;
        let seen = self.pyramid.pass(ops, &deepest)?;
        let last = ops.conv_relu(&self.last, &seen)?;
        let logits = ops.conv(&self.head, &last)?;
        if self.is_torchvisions { ops.resize(&logits, input) } else { ops.enlarge(&logits, SMALLER) }
    }
}

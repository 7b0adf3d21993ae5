//! torchvision's DeepLabV3: a ResNet whose last two layers are dilated, under `backbone.`, and an
//! atrous pyramid, under `classifier.`. Its auxiliary classifier is neither computed nor learnt.

use crate::{
    conv::{Conv, Spec},
    error::Result,
    network::Layers,
    ops::{Layered, Ops},
    resnet::{Deep, Depth, Resnet},
};

const WIDTH: i64 = 256;
/// Kernel and dilation of the pyramid's convolutions.
const PYRAMID: [(i64, i64); 4] = [(1, 1), (3, 12), (3, 24), (3, 36)];

pub(crate) struct Deeplab {
    backbone: Resnet,
    pyramid: Vec<Conv>,
    pooled: Conv,
    project: Conv,
    last: Conv,
    head: Conv,
}

impl Deeplab {
    pub(crate) fn load(layers: &mut Layers<'_>, depth: Depth, bands: i64, classes: i64) -> Result<Self> {
        let backbone = Resnet::load(layers, "backbone", (depth, Deep::Dilated), bands)?;
        let [.., deepest] = depth.channels();
        let mut conv = |name: String, norm: Option<String>, channels, kernel, dilation| {
            let (name, norm) = (format!("classifier.{name}"), norm.map(|norm| format!("classifier.{norm}")));
            let norm = norm.as_deref();
            Conv::load(layers, &Spec { name: &name, norm, channels, kernel, stride: 1, dilation })
        };
        let mut pyramid = Vec::new();
        for (number, (kernel, dilation)) in PYRAMID.into_iter().enumerate() {
            let [name, norm] = [0, 1].map(|part| format!("0.convs.{number}.{part}"));
            pyramid.push(conv(name, Some(norm), (deepest, WIDTH), kernel, dilation)?);
        }
        let joined = WIDTH * (PYRAMID.len() as i64 + 1);
        Ok(Self {
            backbone,
            pyramid,
            pooled: conv("0.convs.4.1".into(), Some("0.convs.4.2".into()), (deepest, WIDTH), 1, 1)?,
            project: conv("0.project.0".into(), Some("0.project.1".into()), (joined, WIDTH), 1, 1)?,
            last: conv("1".into(), Some("2".into()), (WIDTH, WIDTH), 3, 1)?,
            head: conv("4".into(), None, (WIDTH, classes), 1, 1)?,
        })
    }
}

impl Layered for Deeplab {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let deepest = self.backbone.levels(ops, input)?.deepest;
        let mut parts = Vec::new();
        for conv in &self.pyramid {
            parts.push(ops.conv_relu(conv, &deepest)?);
        }
        let mean = ops.mean(&deepest)?;
        let pooled = ops.conv_relu(&self.pooled, &mean)?;
        // What torchvision interpolates from a single pixel is that pixel everywhere.
        parts.push(ops.spread(&pooled, &deepest)?);
        let joined = ops.concat(&parts.iter().collect::<Vec<_>>())?;
        let project = ops.conv_relu(&self.project, &joined)?;
        let project = ops.dropout(project)?;
        let last = ops.conv_relu(&self.last, &project)?;
        let logits = ops.conv(&self.head, &last)?;
        ops.resize(&logits, input)
    }
}

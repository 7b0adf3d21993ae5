//! The atrous pyramid of DeepLab: what a ResNet gives, seen through ever wider convolutions and as one mean, side by
//! side. Names are torchvision's, which segmentation-models-pytorch has too.

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::Ops,
    separable::Separable,
};

/// Channels that it gives.
pub(crate) const WIDTH: i64 = 256;
const DILATIONS: [i64; 3] = [12, 24, 36];

/// What the wide convolutions are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wide {
    Whole,
    Separable,
}

pub(crate) struct Pyramid {
    narrow: Conv,
    wide: Vec<Branch>,
    pooled: Conv,
    project: Conv,
}

enum Branch {
    Whole(Conv),
    Separable(Separable),
}

impl Branch {
    fn load(
        layers: &mut Layers<'_>,
        wide: Wide,
        [name, norm]: [String; 2],
        channels: (i64, i64),
        dilation: i64,
    ) -> Result<Self> {
        match wide {
            Wide::Whole => {
                let spec = Spec { dilation, ..Spec::new(&name, Then::Norm(&norm), channels, 3) };
                Conv::load(layers, &spec).map(Self::Whole)
            }
            Wide::Separable => {
                Separable::load(layers, (&name, &norm), channels, dilation).map(Self::Separable)
            }
        }
    }

    fn conv_relu<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        match self {
            Self::Whole(conv) => ops.conv_relu(conv, input),
            Self::Separable(separable) => separable.conv_relu(ops, input),
        }
    }
}

impl Pyramid {
    pub(crate) fn load(layers: &mut Layers<'_>, prefix: &str, from: i64, wide: Wide) -> Result<Self> {
        let channels = (from, WIDTH);
        let joined = WIDTH * (DILATIONS.len() as i64 + 2);
        let pixelwise = |layers: &mut Layers<'_>, name: &str, norm: &str, channels| {
            let (name, norm) = (format!("{prefix}.{name}"), format!("{prefix}.{norm}"));
            Conv::load(layers, &Spec::new(&name, Then::Norm(&norm), channels, 1))
        };
        Ok(Self {
            narrow: pixelwise(layers, "convs.0.0", "convs.0.1", channels)?,
            wide: (1..)
                .zip(DILATIONS)
                .map(|(number, dilation)| {
                    let names = [0, 1].map(|part| format!("{prefix}.convs.{number}.{part}"));
                    Branch::load(layers, wide, names, channels, dilation)
                })
                .collect::<Result<_>>()?,
            pooled: pixelwise(layers, "convs.4.1", "convs.4.2", channels)?,
            project: pixelwise(layers, "project.0", "project.1", (joined, WIDTH))?,
        })
    }

    pub(crate) fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let mut parts = vec![ops.conv_relu(&self.narrow, input)?];
        for branch in &self.wide {
            parts.push(branch.conv_relu(ops, input)?);
        }
        let mean = ops.mean(input)?;
        let pooled = ops.conv_relu(&self.pooled, &mean)?;
        // What is interpolated from a single pixel is that pixel everywhere.
        parts.push(ops.spread(&pooled, input)?);
        let joined = ops.concat(&parts.iter().collect::<Vec<_>>())?;
        let project = ops.conv_relu(&self.project, &joined)?;
        ops.dropout(project)
    }
}

//! torchvision's ResNets without their classifier: tensors have its names under a prefix.

use swath_proto::item::Depth;

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::Ops,
};

/// Blocks of the four layers.
const fn blocks(depth: Depth) -> [usize; 4] {
    match depth {
        Depth::D18 => [2, 2, 2, 2],
        Depth::D34 | Depth::D50 => [3, 4, 6, 3],
        Depth::D101 => [3, 4, 23, 3],
    }
}

/// Channels of the stem and of the four layers. A bottleneck's output has four times those of what is inside.
pub(crate) const fn channels(depth: Depth) -> [i64; 5] {
    if depth.has_bottlenecks() { [64, 256, 512, 1024, 2048] } else { [64, 64, 128, 256, 512] }
}

/// Whether the last layers halve the image, or look further instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deep {
    Strided,
    /// Layers 3 and 4 look further, but the first block of each only as far as the layer before: torchvision's way.
    DilatedLate,
    /// All of each layer from this one on: the way of segmentation-models-pytorch.
    DilatedFrom(usize),
}

pub(crate) struct Resnet {
    stem: Conv,
    layers: Vec<Vec<Block>>,
}

/// Convolutions and a way around them.
struct Block {
    /// The first, and what follows it.
    convs: (Conv, Vec<Conv>),
    shortcut: Option<Conv>,
}

#[derive(Clone, Copy)]
struct Size {
    from: i64,
    to: i64,
    stride: i64,
    dilation: i64,
}

impl Resnet {
    pub(crate) fn load(
        layers: &mut Layers<'_>,
        prefix: &str,
        (depth, deep): (Depth, Deep),
        bands: i64,
    ) -> Result<Self> {
        let (conv1, bn1) = (format!("{prefix}.conv1"), format!("{prefix}.bn1"));
        let stem = Spec { stride: 2, ..Spec::new(&conv1, Then::Norm(&bn1), (bands, 64), 7) };
        let stem = Conv::load(layers, &stem)?;
        let (mut from, mut dilation) = (64, 1);
        let mut built = Vec::new();
        for (number, blocks) in (1..).zip(blocks(depth)) {
            let to = channels(depth)[number];
            let (mut stride, before) = (if number == 1 { 1 } else { 2 }, dilation);
            let looks_further = match deep {
                Deep::Strided => false,
                Deep::DilatedLate => number >= 3,
                Deep::DilatedFrom(first) => number >= first,
            };
            if looks_further {
                (stride, dilation) = (1, dilation * stride);
            }
            let at_first = if deep == Deep::DilatedLate { before } else { dilation };
            let layer = (0..blocks).map(|block| {
                let name = format!("{prefix}.layer{number}.{block}");
                let size = match block {
                    0 => Size { from, to, stride, dilation: at_first },
                    _ => Size { from: to, to, stride: 1, dilation },
                };
                Block::load(layers, &name, depth, size)
            });
            built.push(layer.collect::<Result<_>>()?);
            from = to;
        }
        Ok(Self { stem, layers: built })
    }

    pub(crate) fn levels<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<Levels<O::Value>> {
        let stem = ops.conv_relu(&self.stem, input)?;
        let mut deepest = ops.max_pool(&stem)?;
        let mut shallow = vec![stem];
        for (number, layer) in self.layers.iter().enumerate() {
            for (block, of_layer) in layer.iter().zip(0..) {
                let output = block.forward(ops, &deepest)?;
                let before = std::mem::replace(&mut deepest, output);
                // What the pooling gave is no level of its own.
                if of_layer == 0 && number > 0 {
                    shallow.push(before);
                }
            }
        }
        Ok(Levels { shallow, deepest })
    }
}

/// What the stem and the four layers give.
pub(crate) struct Levels<V> {
    /// All but the deepest, the shallowest first.
    pub(crate) shallow: Vec<V>,
    pub(crate) deepest: V,
}

impl Block {
    fn load(layers: &mut Layers<'_>, name: &str, depth: Depth, size: Size) -> Result<Self> {
        let Size { from, to, stride, dilation } = size;
        let mut conv = |conv: &str, norm: &str, channels, kernel, stride, dilation| {
            let (conv, norm) = (format!("{name}.{conv}"), format!("{name}.{norm}"));
            let spec = Spec { stride, dilation, ..Spec::new(&conv, Then::Norm(&norm), channels, kernel) };
            Conv::load(layers, &spec)
        };
        let inside = to / 4;
        let convs = if depth.has_bottlenecks() {
            let first = conv("conv1", "bn1", (from, inside), 1, 1, 1)?;
            let second = conv("conv2", "bn2", (inside, inside), 3, stride, dilation)?;
            (first, vec![second, conv("conv3", "bn3", (inside, to), 1, 1, 1)?])
        } else {
            let first = conv("conv1", "bn1", (from, to), 3, stride, dilation)?;
            (first, vec![conv("conv2", "bn2", (to, to), 3, 1, dilation)?])
        };
        let changes = stride != 1 || from != to;
        let shortcut = if changes {
            Some(conv("downsample.0", "downsample.1", (from, to), 1, stride, 1)?)
        } else {
            None
        };
        Ok(Self { convs, shortcut })
    }

    fn forward<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let (first, others) = &self.convs;
        let mut output = ops.conv(first, input)?;
        for conv in others {
            let active = ops.relu(output)?;
            output = ops.conv(conv, &active)?;
        }
        let sum = match &self.shortcut {
            Some(shortcut) => {
                let shortcut = ops.conv(shortcut, input)?;
                ops.add(output, &shortcut)?
            }
            None => ops.add(output, input)?,
        };
        ops.relu(sum)
    }
}

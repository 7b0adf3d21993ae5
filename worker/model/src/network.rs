//! What a network is inside this crate, and which there are. Each has one definition, for predicting
//! and for learning: [`Layers`] folds its batch norms away for the one and keeps them for the other.

use swath_proto::{
    item::{Architecture, Decoder, Made},
    train::BatchNorm,
};
use tch::{Device, Kind, Tensor};

use crate::{
    deeplab::Deeplab,
    deeplab_plus::DeeplabPlus,
    error::{ModelError, Result},
    fpn::Fpn,
    gang::Gang,
    onnx::{Graph, Node},
    ops::Layered,
    ranges::{Ranges, Watch},
    tiny::Tiny,
    torch::Eager,
    unet::Unet,
    weights::{Weights, tensor},
};

pub(crate) trait Network: Send {
    fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor>;

    /// For an engine that takes networks as files.
    fn write_down(&self, graph: &mut Graph, input: &Node) -> Result<Node>;

    /// Widens the ranges of its values by what these images make of them.
    fn widen(&self, ranges: &mut Ranges, input: &Tensor) -> Result<()>;
}

impl<N: Layered + Send> Network for N {
    fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        self.pass(&mut Eager { pass }, input)
    }

    fn write_down(&self, graph: &mut Graph, input: &Node) -> Result<Node> {
        self.pass(graph, input)
    }

    fn widen(&self, ranges: &mut Ranges, input: &Tensor) -> Result<()> {
        let mut watch = Watch::new(ranges);
        let input = watch.see(input.shallow_clone())?;
        self.pass(&mut watch, &input).map(drop)
    }
}

/// What a forward pass is for.
#[derive(Clone, Copy)]
pub(crate) enum Pass<'a> {
    /// Batch norms go by these statistics, and ask the other ranks for theirs; dropout drops.
    Learn(BatchNorm, &'a Gang),
    Predict,
}

/// Where a network has its tensors, in which numbers, and in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Home {
    pub(crate) device: Device,
    pub(crate) kind: Kind,
    /// Whether kernels have their channels innermost, as whoever computes with them here wants them.
    pub(crate) channels_last: bool,
}

impl Home {
    pub(crate) const PROCESSOR: Self = Self { device: Device::Cpu, kind: Kind::Float, channels_last: true };
    /// Of a network that is only written down: kernels stay as files have them.
    pub(crate) const PAPER: Self = Self { channels_last: false, ..Self::PROCESSOR };

    /// A tensor of these elements; a kernel, which has four dimensions, in the order that it is wanted in.
    pub(crate) fn tensor(self, values: &[f32], shape: &[i64]) -> Result<Tensor> {
        let mut tensor = tensor(values, shape)?;
        if self.channels_last && shape.len() == 4 {
            tensor = channels_last(&tensor)?;
        }
        Ok(tensor.f_to_device_(self.device, self.kind, false, false)?)
    }
}

/// Gives a network its tensors, one by one and by name.
pub(crate) struct Layers<'a> {
    pub(crate) weights: &'a mut dyn Weights,
    pub(crate) home: Home,
    /// What can be learnt is noted here; without it, the network only predicts.
    pub(crate) learnt: Option<&'a mut Learnt>,
}

/// Tensors of a network, shared with its layers.
#[derive(Default)]
pub(crate) struct Learnt {
    pub(crate) parameters: Vec<(String, Tensor)>,
    /// Means and variances of batch norms.
    pub(crate) statistics: Vec<(String, Tensor)>,
}

impl Learnt {
    /// Parameters that are not frozen.
    pub(crate) fn learning(&self) -> Vec<&Tensor> {
        self.parameters.iter().map(|(_, tensor)| tensor).filter(|tensor| tensor.requires_grad()).collect()
    }
}

pub(crate) fn build(
    architecture: Architecture,
    layers: &mut Layers<'_>,
    (bands, classes): (i64, i64),
) -> Result<Box<dyn Network>> {
    let network: Box<dyn Network> = match architecture.made() {
        Made::Tiny => Box::new(Tiny::load(layers, bands, classes)?),
        Made::OnResnet(Decoder::Unet, depth) => Box::new(Unet::load(layers, depth, bands, classes)?),
        Made::OnResnet(Decoder::Fpn, depth) => Box::new(Fpn::load(layers, depth, bands, classes)?),
        Made::OnResnet(Decoder::Deeplabv3, depth) => Box::new(Deeplab::load(layers, depth, bands, classes)?),
        Made::OnResnet(Decoder::Deeplabv3plus, depth) => {
            Box::new(DeeplabPlus::load(layers, depth, bands, classes)?)
        }
        Made::Program => {
            return Err(ModelError::config(format!(
                "{}: what its file computes can't be drawn from a seed, nor trained: give weights = \"FILE.{}\"",
                architecture.name(),
                architecture.endings()[0]
            )));
        }
    };
    layers.weights.finish()?;
    Ok(network)
}

impl Layers<'_> {
    /// A tensor that is learnt, or that predicts as it is: convolutions fold theirs.
    pub(crate) fn parameter(&mut self, name: String, shape: &[i64]) -> Result<Tensor> {
        let tensor = self.home.tensor(&self.weights.take(&name, shape)?, shape)?;
        let Some(learnt) = &mut self.learnt else { return Ok(tensor) };
        let tensor = tensor.f_set_requires_grad(true)?;
        learnt.parameters.push((name, tensor.shallow_clone()));
        Ok(tensor)
    }

    /// A tensor that passes of learning update by themselves.
    pub(crate) fn statistic(&mut self, name: String, shape: &[i64]) -> Result<Tensor> {
        let tensor = self.home.tensor(&self.weights.take(&name, shape)?, shape)?;
        if let Some(learnt) = &mut self.learnt {
            learnt.statistics.push((name, tensor.shallow_clone()));
        }
        Ok(tensor)
    }
}

/// The same tensor with its channels innermost in memory.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}

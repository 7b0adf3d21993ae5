//! libtorch as an engine: a network computed layer by layer, or a TorchScript module. On processors here, on cards in
//! [`cuda`].

mod blocks;
mod cuda;
mod eager;
mod library;
mod limits;
mod process;
mod script;

use tch::{Device, Tensor};

use crate::{
    engine::{Described, Engine, Shape},
    error::{ModelError, Result},
    network::{Network, Pass},
};

pub(crate) use blocks::Keep;
pub(crate) use cuda::Cuda;
pub(crate) use cuda::learns_on;
pub use cuda::{card, card_memory};
pub(crate) use eager::Eager;
pub(crate) use library::{engine, instruction_set};
pub use limits::{Rates, rates};
pub use process::init_process;
pub(crate) use process::{drawing_from, use_threads};
pub(crate) use script::Module;

pub(crate) struct Torch {
    network: Box<dyn Network>,
    shape: Shape,
    threads: u32,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Torch {
    pub(crate) fn new(network: Box<dyn Network>, shape: Shape, threads: u32) -> Result<Self> {
        let (input, output) = (shape.room(shape.bands)?, shape.room(shape.classes)?);
        Ok(Self { network, shape, threads, input, output })
    }
}

impl Engine for Torch {
    fn describe(&self) -> Result<Described> {
        Ok(Described { engine: engine(), precision: "fp32".into(), instruction_set: instruction_set() })
    }

    fn input(&mut self) -> Result<&mut [f32]> {
        Ok(&mut self.input)
    }

    fn run(&mut self) -> Result<&[f32]> {
        let [batch, edge, bands, classes] = self.shape.sizes();
        use_threads(self.threads);
        let output = tch::no_grad(|| -> Result<Tensor> {
            let bytes = self.input.as_mut_ptr().cast_const().cast();
            // Pixels with their bands side by side are a channels-last tensor as they lie.
            let strides = [edge * edge * bands, 1, edge * bands, bands];
            let shape = [batch, bands, edge, edge];
            // SAFETY: the buffer holds a full batch and outlives the tensors that look into it. A network
            // may write to its input: nobody else looks at the buffer, and who runs it again fills it before.
            let input =
                unsafe { Tensor::f_from_blob(bytes, &shape, &strides, tch::Kind::Float, Device::Cpu)? };
            let output = self.network.forward(&input, Pass::Predict)?;
            let (size, kind) = (output.size(), output.f_kind()?);
            if size != [batch, classes, edge, edge] || kind != tch::Kind::Float {
                return Err(ModelError::config(format!(
                    "the network gives {size:?} of {kind:?} where {:?} (batch, classes, height, width) of Float \
                     belongs",
                    [batch, classes, edge, edge]
                )));
            }
            // A copy only where the network did not compute channels-last.
            Ok(output.f_permute([0, 2, 3, 1])?.f_contiguous()?)
        })?;
        let values = self.output.len();
        output.f_view([-1])?.f_copy_data(&mut self.output, values)?;
        Ok(&self.output)
    }
}

//! A TorchScript module: its file says what it computes. Takes N, bands, H, W and gives N, classes, H, W.

use std::path::Path;

use tch::{CModule, Device, Tensor};

use crate::{
    error::{ModelError, Result},
    network::{Network, Pass},
    onnx::{Graph, Node},
    ranges::Ranges,
};

pub(crate) struct Module(CModule);

impl Module {
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let mut module = CModule::load_on_device(path, Device::Cpu).map_err(|error| {
            ModelError::config(format!(
                "{} is not a TorchScript module: {}",
                path.display(),
                ModelError::from(error)
            ))
        })?;
        module.f_set_eval()?;
        Ok(Self(module))
    }
}

impl Network for Module {
    fn forward(&self, input: &Tensor, _: Pass) -> Result<Tensor> {
        Ok(self.0.forward_ts(&[input])?)
    }

    fn write_down(&self, _: &mut Graph, _: &Node) -> Result<Node> {
        Err(ModelError::config("a TorchScript module runs in libtorch alone: give engine = \"libtorch\""))
    }

    fn widen(&self, _: &mut Ranges, _: &Tensor) -> Result<()> {
        Err(ModelError::config(
            "of a TorchScript module nothing is known but what it gives: it has no 8 bits",
        ))
    }
}

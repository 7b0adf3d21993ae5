//! The seam: windows of floats in, logits out, always in batches of one shape, so that bits do not
//! depend on how many windows there happened to be.

use std::path::Path;

use swath_proto::{
    ids::ItemId,
    item::{Architecture, ModelRef, Weights as WeightsRef, WindowShape},
    numeric::NumericClass,
};
use tch::{Device, Kind, Tensor};

use crate::{
    engine,
    error::{ModelError, Result},
    tiny::Tiny,
    torchscript::Module,
    unet::Unet,
    weights::{File, Seeded, Stream, Weights},
};

pub trait Predictor: Send {
    /// `input` holds `n` windows of edge x edge pixels, bands side by side, from 0 to 1; `n` is at
    /// most the batch, and short batches are padded inside. Returns `n` windows of logits, classes
    /// side by side.
    fn forward(&mut self, input: &[f32], n: usize) -> Result<&[f32]>;

    fn class(&self) -> &NumericClass;
}

/// What a network is inside this crate.
pub(crate) trait Network: Send {
    fn forward(&self, input: &Tensor) -> Result<Tensor>;
}

/// Loads a network and finds its numeric class by running it once.
pub fn load(
    model: &ModelRef,
    file: Option<&Path>,
    window: WindowShape,
    batch: u32,
    threads: u32,
) -> Result<Box<dyn Predictor>> {
    let network = tch::no_grad(|| network(model, file))?;
    let edge = window.edge_px() as usize;
    let values = batch as usize * edge * edge;
    let mut predictor = TchPredictor {
        network,
        input: vec![0.0; values * model.bands as usize],
        output: vec![0.0; values * model.classes as usize],
        class: NumericClass {
            engine: engine::engine(),
            precision: "fp32".into(),
            instruction_set: engine::instruction_set(),
            model: model.clone(),
            window,
            batch,
            threads,
            fingerprint: ItemId::of(&[]),
        },
    };
    predictor.class.fingerprint = predictor.fingerprint()?;
    Ok(Box::new(predictor))
}

fn network(model: &ModelRef, file: Option<&Path>) -> Result<Box<dyn Network>> {
    let (bands, classes) = (i64::from(model.bands), i64::from(model.classes));
    let mut weights: Box<dyn Weights> = match (&model.weights, file) {
        (WeightsRef::File { .. }, Some(path)) if model.architecture == Architecture::Torchscript => {
            return Ok(Box::new(Module::load(path)?));
        }
        (WeightsRef::File { .. }, Some(path)) => Box::new(File::open(path)?),
        (WeightsRef::Seed(seed), _) => Box::new(Seeded { seed: *seed }),
        (WeightsRef::File { sha256, .. }, None) => {
            return Err(ModelError::config(format!("the file of the weights {sha256} was not given")));
        }
    };
    let network: Box<dyn Network> = match model.architecture {
        Architecture::Tiny => Box::new(Tiny::load(&mut *weights, bands, classes)?),
        Architecture::UnetResnet18 => Box::new(Unet::load(&mut *weights, bands, classes)?),
        Architecture::Torchscript => {
            return Err(ModelError::config("a TorchScript module can't be drawn from a seed"));
        }
    };
    weights.finish()?;
    Ok(network)
}

struct TchPredictor {
    network: Box<dyn Network>,
    /// A full batch; its tail stays zero where a batch is short.
    input: Vec<f32>,
    output: Vec<f32>,
    class: NumericClass,
}

impl TchPredictor {
    fn shape(&self) -> [i64; 3] {
        let edge = i64::from(self.class.window.edge_px());
        [i64::from(self.class.batch), edge, i64::from(self.class.model.bands)]
    }

    /// Other models of this process may have set another number.
    fn use_threads(&self) {
        let threads = self.class.threads.max(1) as i32;
        if tch::get_num_threads() != threads {
            tch::set_num_threads(threads);
        }
    }

    /// Hash of the logits of one full batch of fixed noise.
    fn fingerprint(&mut self) -> Result<ItemId> {
        let mut noise = Stream::new(0, "fingerprint");
        let input: Vec<f32> = (0..self.input.len()).map(|_| noise.uniform()).collect();
        let batch = self.class.batch as usize;
        let logits = self.forward(&input, batch)?;
        let bytes: Vec<u8> = logits.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(ItemId::of(&bytes))
    }
}

impl Predictor for TchPredictor {
    fn forward(&mut self, input: &[f32], n: usize) -> Result<&[f32]> {
        let [batch, edge, bands] = self.shape();
        let per_window = (edge * edge * bands) as usize;
        if n > batch as usize || input.len() != n * per_window {
            let text = format!("{} values do not make {n} windows of a batch of {batch}", input.len());
            return Err(ModelError::internal(text));
        }
        self.input[..input.len()].copy_from_slice(input);
        self.input[input.len()..].fill(0.0);
        let classes = i64::from(self.class.model.classes);
        self.use_threads();
        let output = tch::no_grad(|| -> Result<Tensor> {
            let bytes = self.input.as_ptr().cast();
            // Pixels with their bands side by side are a channels-last tensor as they lie.
            let strides = [edge * edge * bands, 1, edge * bands, bands];
            // SAFETY: the buffer holds a full batch and outlives the tensor, which is gone at the end of
            // this closure; networks do not write to their input.
            let input = unsafe {
                Tensor::f_from_blob(bytes, &[batch, bands, edge, edge], &strides, Kind::Float, Device::Cpu)?
            };
            let output = self.network.forward(&input)?;
            if output.size() != [batch, classes, edge, edge] {
                return Err(ModelError::config(format!(
                    "the network gives {:?} where {:?} (batch, classes, height, width) belongs",
                    output.size(),
                    [batch, classes, edge, edge]
                )));
            }
            // A copy only where the network did not compute channels-last.
            Ok(output.f_permute([0, 2, 3, 1])?.f_contiguous()?)
        })?;
        let wanted = n * (edge * edge * classes) as usize;
        output.f_view([-1])?.f_copy_data(&mut self.output[..wanted], wanted)?;
        Ok(&self.output[..wanted])
    }

    fn class(&self) -> &NumericClass {
        &self.class
    }
}

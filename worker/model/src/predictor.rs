//! The seam: windows of floats in, logits out, always in batches of one shape, so that bits do not
//! depend on how many windows there happened to be.

use std::path::Path;

use swath_proto::{
    ids::ItemId,
    item::{Architecture, ModelRef, Weights as WeightsRef, WindowShape},
    numeric::NumericClass,
};
use tch::{Device, Tensor};

use crate::{
    engine,
    error::{Kind, ModelError, Result},
    network::{Layers, Network, Pass, build},
    process::use_threads,
    torchscript::Module,
    weights::{File, Seeded, Stream, Weights},
};

pub trait Predictor: Send {
    /// `input` holds `n` windows of edge x edge pixels, bands side by side, from 0 to 1; `n` is at
    /// most the batch, and short batches are padded inside. Returns `n` windows of logits, classes
    /// side by side; all are finite.
    fn forward(&mut self, input: &[f32], n: usize) -> Result<&[f32]>;

    fn class(&self) -> &NumericClass;
}

/// Loads a network and finds its numeric class by running it once.
pub fn load(
    model: &ModelRef,
    file: Option<&Path>,
    window: WindowShape,
    batch: u32,
    threads: u32,
) -> Result<Box<dyn Predictor>> {
    let input = room(batch, window, model.bands)?;
    let output = room(batch, window, model.classes)?;
    let network = tch::no_grad(|| network(model, file))?;
    let mut predictor = TchPredictor {
        network,
        input,
        output,
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
    predictor.class.fingerprint = predictor.fingerprint().map_err(|error| match error.kind {
        Kind::Config | Kind::Capacity => error,
        // What fails on noise fails on every image.
        Kind::Data | Kind::Internal => ModelError::config(format!(
            "the network can't be used on {batch} windows of {} px with {} bands: {error}",
            window.edge_px(),
            model.bands
        )),
    })?;
    Ok(Box::new(predictor))
}

/// A buffer for a full batch.
fn room(batch: u32, window: WindowShape, channels: u32) -> Result<Vec<f32>> {
    let edge = u64::from(window.core_px) + 2 * u64::from(window.margin_px);
    let values = [edge, edge, u64::from(channels)].into_iter().try_fold(u64::from(batch), u64::checked_mul);
    let described = || format!("{batch} windows of {edge} px with {channels} channels");
    let too_many = || ModelError::capacity(format!("there is no memory for {}", described()));
    let values = usize::try_from(values.ok_or_else(too_many)?).map_err(|_| too_many())?;
    if values == 0 {
        return Err(ModelError::config(format!("{} are nothing to compute", described())));
    }
    let mut room = Vec::new();
    room.try_reserve_exact(values).map_err(|_| too_many())?;
    room.resize(values, 0.0);
    Ok(room)
}

fn network(model: &ModelRef, file: Option<&Path>) -> Result<Box<dyn Network>> {
    let (bands, classes) = (i64::from(model.bands), i64::from(model.classes));
    let mut weights: Box<dyn Weights> = match (&model.weights, file) {
        (WeightsRef::File { .. }, Some(path)) if model.architecture == Architecture::Torchscript => {
            return Ok(Box::new(Module::load(path)?));
        }
        (WeightsRef::File { .. }, Some(path)) => Box::new(File::open(path)?),
        (WeightsRef::Seed(seed), _) => Box::new(Seeded { seed: *seed }),
        (WeightsRef::Trained, _) => {
            return Err(ModelError::config("the weights are not trained yet"));
        }
        (WeightsRef::File { sha256, .. }, None) => {
            return Err(ModelError::config(format!("the file of the weights {sha256} was not given")));
        }
    };
    build(model.architecture, &mut Layers { weights: &mut *weights, learnt: None }, (bands, classes))
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
        use_threads(self.class.threads);
        let output = tch::no_grad(|| -> Result<Tensor> {
            let bytes = self.input.as_mut_ptr().cast_const().cast();
            // Pixels with their bands side by side are a channels-last tensor as they lie.
            let strides = [edge * edge * bands, 1, edge * bands, bands];
            let shape = [batch, bands, edge, edge];
            // SAFETY: the buffer holds a full batch and outlives the tensors that look into it. A network
            // may write to its input: nobody else looks at the buffer, and it is filled anew each time.
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
        let per_window = (edge * edge * classes) as usize;
        let wanted = n * per_window;
        output.f_view([-1])?.f_copy_data(&mut self.output[..wanted], wanted)?;
        let logits = &self.output[..wanted];
        match logits.iter().position(|logit| !logit.is_finite()) {
            None => Ok(logits),
            Some(at) => Err(ModelError::data(format!(
                "a logit of window {} of {n} is {}: its pixels are no numbers, or too large for this network",
                at / per_window + 1,
                logits[at]
            ))),
        }
    }

    fn class(&self) -> &NumericClass {
        &self.class
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::ids::Digest;

    use super::*;

    fn tiny() -> ModelRef {
        ModelRef { architecture: Architecture::Tiny, weights: WeightsRef::Seed(3), bands: 3, classes: 2 }
    }

    fn kind(model: &ModelRef, core_px: u32, batch: u32) -> Option<Kind> {
        load(model, None, WindowShape { core_px, margin_px: 0 }, batch, 1).err().map(|error| error.kind)
    }

    #[test]
    fn pixels_that_are_no_numbers_fail_their_item_and_no_other() {
        let mut predictor = load(&tiny(), None, WindowShape { core_px: 8, margin_px: 0 }, 2, 1).unwrap();
        let good = vec![0.5; 8 * 8 * 3];
        for bad in [f32::NAN, f32::INFINITY] {
            let mut windows = [good.clone(), good.clone()].concat();
            windows[8 * 8 * 3 + 100] = bad;
            let error = predictor.forward(&windows, 2).unwrap_err();
            assert_eq!(error.kind, Kind::Data);
            assert!(error.to_string().contains("window 2 of 2"), "{error}");
            assert!(predictor.forward(&good, 1).is_ok());
        }
    }

    #[test]
    fn what_does_not_fit_the_batch_is_refused() {
        let mut predictor = load(&tiny(), None, WindowShape { core_px: 8, margin_px: 0 }, 2, 1).unwrap();
        for (values, n) in [(8 * 8 * 3, 2), (3 * 8 * 8 * 3, 3), (8 * 8 * 3 - 1, 1)] {
            assert_eq!(predictor.forward(&vec![0.5; values], n).unwrap_err().kind, Kind::Internal);
        }
        assert!(predictor.forward(&[], 0).unwrap().is_empty());
    }

    #[test]
    fn sizes_out_of_all_reason_are_errors_and_not_aborts() {
        assert_eq!(kind(&tiny(), 8, 1), None);
        assert_eq!(kind(&tiny(), 100_000, 256), Some(Kind::Capacity));
        assert_eq!(kind(&tiny(), u32::MAX, u32::MAX), Some(Kind::Capacity));
        assert_eq!(kind(&tiny(), 0, 1), Some(Kind::Config));
        assert_eq!(kind(&tiny(), 8, 0), Some(Kind::Config));
    }

    #[test]
    fn a_network_that_can_not_take_the_window_is_a_wrong_setup() {
        let unet = ModelRef { architecture: Architecture::UnetResnet18, ..tiny() };
        assert_eq!(kind(&unet, 40, 1), Some(Kind::Config));
        let missing = WeightsRef::File { sha256: Digest::of(b""), extension: "pt".into() };
        let module = ModelRef { architecture: Architecture::Torchscript, weights: missing, ..tiny() };
        assert_eq!(kind(&module, 8, 1), Some(Kind::Config));
    }
}

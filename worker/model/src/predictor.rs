//! The seam: windows of floats in, logits out, always in batches of one shape, so that bits do not
//! depend on how many windows there happened to be.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use swath_proto::{
    item::{Architecture, DeviceName, EngineName, ModelRef, Precision, Weights as WeightsRef, WindowShape},
    numeric::NumericClass,
};

use crate::{
    batches::Batches,
    engine::{Engine, Shape},
    ensemble::Ensemble,
    error::{Kind, ModelError, Result},
    network::{Home, Layers, Network, build},
    onnx,
    openvino::Openvino,
    ranges::Ranges,
    resized::Resized,
    torch::{Cuda, Module, Torch},
    weights::{File, Seeded, Weights},
};

pub trait Predictor: Send {
    /// Room for `n` windows of edge x edge pixels, bands side by side, from 0 to 1; `n` is at most the batch. What it
    /// holds means nothing.
    fn input(&mut self, n: usize) -> Result<&mut [f32]>;

    /// Computes the `n` windows that were put there, and may overwrite them; short batches are padded inside. Returns
    /// `n` windows of logits, classes side by side; all are finite.
    fn run(&mut self, n: usize) -> Result<&[f32]>;

    /// The same of windows that lie elsewhere.
    fn forward(&mut self, windows: &[f32], n: usize) -> Result<&[f32]> {
        let input = self.input(n)?;
        if input.len() != windows.len() {
            let text =
                format!("{} values do not make {n} windows, which have {}", windows.len(), input.len());
            return Err(ModelError::internal(text));
        }
        input.copy_from_slice(windows);
        self.run(n)
    }

    fn class(&self) -> &NumericClass;

    /// What its first pass took, over a full batch.
    fn first_pass(&self) -> Duration;

    /// What threads that called `run` have computed in the network so far; not other threads, nor a card.
    fn computed(&self) -> Duration;
}

/// What one network names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Files {
    /// None of weights that come from a seed.
    pub weights: Option<PathBuf>,
    /// Where it computes in 8 bits.
    pub ranges: Option<Ranges>,
}

/// Loads a network, or several as one, and finds its numeric class by running it once. `files`: of each network.
pub fn load(
    model: &ModelRef,
    files: &[Files],
    window: WindowShape,
    batch: u32,
    threads: u32,
) -> Result<Box<dyn Predictor>> {
    let shape = Shape::new(model, window, batch);
    // What is too large is told before a network is built for it.
    shape.values(model.bands)?;
    shape.values(model.classes)?;
    let predictor = of_windows(model, files, model.seen(window), batch, threads)?;
    match model.seen_px {
        Some(_) => Ok(Box::new(Resized::new(predictor, model, window, batch)?)),
        None => Ok(predictor),
    }
}

/// One that sees windows as they are.
fn of_windows(
    model: &ModelRef,
    files: &[Files],
    window: WindowShape,
    batch: u32,
    threads: u32,
) -> Result<Box<dyn Predictor>> {
    let shape = Shape::new(model, window, batch);
    shape.values(model.bands)?;
    shape.values(model.classes)?;
    let networks = model.networks();
    if networks.len() != files.len() {
        let text = format!("{} networks and the files of {}", networks.len(), files.len());
        return Err(ModelError::internal(text));
    }
    let engines = networks.iter().zip(files).map(|(network, files)| engine(network, files, shape, threads));
    let mut engines: Vec<_> = tch::no_grad(|| engines.collect::<Result<_>>())?;
    let engine = match engines.len() {
        1 => engines.remove(0),
        _ => Box::new(Ensemble::new(engines, shape)?),
    };
    Ok(Box::new(Batches::new(engine, shape, model, threads)?))
}

/// Of one network.
fn engine(model: &ModelRef, files: &Files, shape: Shape, threads: u32) -> Result<Box<dyn Engine>> {
    if model.device == DeviceName::Cuda {
        return on_a_card(model, files, shape);
    }
    if model.architecture == Architecture::Onnx {
        let path = files
            .weights
            .as_ref()
            .ok_or_else(|| ModelError::config("the file of the ONNX model was not given"))?;
        let bytes = std::fs::read(path)
            .map_err(|error| ModelError::new(Kind::Unfit, format!("reading {}: {error}", path.display())))?;
        return Ok(Box::new(Openvino::foreign(&bytes, model.precision, shape, threads)?));
    }
    let home = if model.engine == EngineName::Openvino { Home::PAPER } else { Home::PROCESSOR };
    let network = network(model, files.weights.as_deref(), home)?;
    Ok(match model.engine {
        EngineName::Libtorch if model.precision != Precision::Fp32 => {
            let text =
                format!("on processors libtorch computes in 32 bits, and not in {}", model.precision.name());
            return Err(ModelError::config(text));
        }
        EngineName::Libtorch => Box::new(Torch::new(network, shape, threads)?),
        EngineName::Openvino => {
            let ranges = match (model.precision, &files.ranges) {
                (Precision::Fp32 | Precision::Bf16 | Precision::Fp16, _) => None,
                (Precision::Int8(_), Some(ranges)) => Some(ranges),
                (Precision::Int8(content), None) => {
                    return Err(ModelError::config(format!("the ranges {content} were not given")));
                }
            };
            let file = onnx::write(&*network, shape.sizes(), ranges)?;
            drop(network);
            Box::new(Openvino::own(&file, model.precision, shape, threads)?)
        }
    })
}

fn on_a_card(model: &ModelRef, files: &Files, shape: Shape) -> Result<Box<dyn Engine>> {
    if model.engine != EngineName::Libtorch || model.architecture.is_program() {
        return Err(ModelError::config(
            "on cards libtorch alone computes, and only networks whose layers are known here",
        ));
    }
    let home = Cuda::home(model.precision)?;
    let network = network(model, files.weights.as_deref(), home)?;
    Ok(Box::new(Cuda::new(network, model.precision, shape)?))
}

/// How often a window's pass multiplies.
pub fn multiplications(model: &ModelRef, window: WindowShape) -> Result<u64> {
    let network = tch::no_grad(|| network(model, None, Home::PAPER))?;
    onnx::multiplications(&*network, Shape::new(model, model.seen(window), 1).sizes())
}

pub(crate) fn network(model: &ModelRef, file: Option<&Path>, home: Home) -> Result<Box<dyn Network>> {
    let (bands, classes) = (i64::from(model.bands), i64::from(model.classes));
    let mut weights: Box<dyn Weights> = match (&model.weights, file) {
        (WeightsRef::File { .. }, Some(path)) if model.architecture == Architecture::Torchscript => {
            return Ok(Box::new(Module::load(path)?));
        }
        (WeightsRef::File { .. }, Some(path)) => {
            Box::new(File::of(model.architecture, swath_weights::open(path)?)?)
        }
        (WeightsRef::Seed(seed), _) => Box::new(Seeded { seed: *seed }),
        (WeightsRef::Trained, _) => {
            return Err(ModelError::config("the weights are not trained yet"));
        }
        (WeightsRef::File { sha256, .. }, None) => {
            return Err(ModelError::config(format!("the file of the weights {sha256} was not given")));
        }
    };
    let mut layers = Layers { weights: &mut *weights, home, learnt: None };
    build(model.architecture, &mut layers, (bands, classes))
}

#[cfg(test)]
mod tests {
    use swath_proto::ids::Digest;

    use super::*;
    use crate::drawn;

    const ENGINES: [EngineName; 2] = [EngineName::Libtorch, EngineName::Openvino];

    fn tiny(engine: EngineName) -> ModelRef {
        drawn(Architecture::Tiny, engine)
    }

    fn kind(model: &ModelRef, core_px: u32, batch: u32) -> Option<Kind> {
        load(model, &[Files::default()], WindowShape { core_px, margin_px: 0 }, batch, 1)
            .err()
            .map(|error| error.kind)
    }

    #[test]
    fn pixels_that_are_no_numbers_fail_their_item_and_no_other() {
        for engine in ENGINES {
            let mut predictor =
                load(&tiny(engine), &[Files::default()], WindowShape { core_px: 8, margin_px: 0 }, 2, 1)
                    .unwrap();
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
    }

    #[test]
    fn what_the_network_computes_is_counted() {
        for engine in ENGINES {
            let shape = WindowShape { core_px: 64, margin_px: 0 };
            let mut predictor = load(&tiny(engine), &[Files::default()], shape, 1, 1).unwrap();
            let before = predictor.computed();
            predictor.forward(&vec![0.5; 64 * 64 * 3], 1).unwrap();
            assert!(predictor.computed() > before, "{engine:?}");
        }
    }

    #[test]
    fn convolutions_are_counted_by_what_they_multiply() {
        let window = WindowShape { core_px: 8, margin_px: 0 };
        // 3 x 3 kernels from 3 bands to 8 channels, and from those to 2 classes.
        assert_eq!(multiplications(&tiny(EngineName::Libtorch), window).unwrap(), 64 * (27 * 8 + 8 * 2));
    }

    #[test]
    fn what_does_not_fit_the_batch_is_refused() {
        for engine in ENGINES {
            let mut predictor =
                load(&tiny(engine), &[Files::default()], WindowShape { core_px: 8, margin_px: 0 }, 2, 1)
                    .unwrap();
            for (values, n) in [(8 * 8 * 3, 2), (3 * 8 * 8 * 3, 3), (8 * 8 * 3 - 1, 1)] {
                assert_eq!(predictor.forward(&vec![0.5; values], n).unwrap_err().kind, Kind::Internal);
            }
            assert!(predictor.forward(&[], 0).unwrap().is_empty());
        }
    }

    #[test]
    fn sizes_out_of_all_reason_are_errors_and_not_aborts() {
        for engine in ENGINES {
            assert_eq!(kind(&tiny(engine), 8, 1), None);
            assert_eq!(kind(&tiny(engine), 100_000, 256), Some(Kind::Capacity));
            assert_eq!(kind(&tiny(engine), u32::MAX, u32::MAX), Some(Kind::Capacity));
            assert_eq!(kind(&tiny(engine), 0, 1), Some(Kind::Config));
            assert_eq!(kind(&tiny(engine), 8, 0), Some(Kind::Config));
        }
    }

    #[test]
    fn a_network_that_can_not_take_the_window_is_a_wrong_setup() {
        let missing = WeightsRef::File { sha256: Digest::of(b""), extension: "pt".into() };
        for engine in ENGINES {
            let unet = ModelRef { architecture: Architecture::UnetResnet18, ..tiny(engine) };
            assert_eq!(kind(&unet, 40, 1), Some(Kind::Config));
            let module = ModelRef {
                architecture: Architecture::Torchscript,
                weights: missing.clone(),
                ..tiny(engine)
            };
            assert_eq!(kind(&module, 8, 1), Some(Kind::Config));
        }
    }

    #[test]
    fn a_file_that_can_not_be_read_here_may_be_read_by_another_worker() {
        let weights = WeightsRef::File { sha256: Digest::of(b""), extension: "onnx".into() };
        let nowhere = Files { weights: Some("/nowhere/weights".into()), ranges: None };
        for architecture in [Architecture::Tiny, Architecture::Onnx] {
            let model = ModelRef { architecture, weights: weights.clone(), ..tiny(EngineName::Openvino) };
            let shape = WindowShape { core_px: 8, margin_px: 0 };
            let error = load(&model, std::slice::from_ref(&nowhere), shape, 2, 1).err().unwrap();
            assert_eq!(error.kind, Kind::Unfit, "{error}");
            assert!(error.to_string().contains("/nowhere/weights"), "{error}");
        }
    }

    /// A file of our own making is one of other origin too, but for the way in which its images lie.
    #[test]
    fn an_onnx_model_that_is_none_or_does_not_fit_is_a_wrong_setup() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        let weights = WeightsRef::File { sha256: Digest::of(b""), extension: "onnx".into() };
        let model = ModelRef { architecture: Architecture::Onnx, weights, ..tiny(EngineName::Openvino) };
        let error = || {
            let shape = WindowShape { core_px: 8, margin_px: 0 };
            load(&model, &[Files { weights: Some(file.clone()), ranges: None }], shape, 2, 1).err().unwrap()
        };
        std::fs::write(&file, b"not a model").unwrap();
        assert_eq!(error().kind, Kind::Config, "{}", error());
        let network = network(&tiny(EngineName::Openvino), None, Home::PROCESSOR).unwrap();
        std::fs::write(&file, onnx::write(&*network, [2, 8, 3, 2], None).unwrap()).unwrap();
        assert_eq!(error().kind, Kind::Config, "{}", error());
    }
}

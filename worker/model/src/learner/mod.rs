//! A network that learns: batches of plain numbers in, losses out. All that the next step depends on
//! can be written down and read back by name, so that learning goes on where it ended.

mod optimizer;
mod snapshot;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::Write};

use swath_proto::{
    item::{Architecture, Decoder, Made},
    train::{self, BatchNorm},
};
use swath_weights::{Dtype, TensorFile, TensorInfo};
use tch::{Kind, Reduction, Tensor};

use crate::{
    error::{ModelError, Result},
    gang::{Gang, Overlap, Reducer},
    network::{Home, Layers, Learnt, Network, Pass, build},
    torch::{drawing_from, use_threads},
    weights::{Backbone, File, FreshHead, Seeded, Weights},
};

use optimizer::{Optimizer, forget_gradients};
pub use snapshot::Snapshot;

/// The label of a pixel that trains nothing.
const IGNORED: u8 = 255;

/// What learns, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    pub architecture: Architecture,
    pub bands: u32,
    /// How much a pixel of each class counts: one number a class.
    pub class_weights: Vec<f32>,
    pub optimizer: train::Optimizer,
    pub weight_decay: f64,
    pub batch_norm: BatchNorm,
    /// What is drawn is drawn from this.
    pub seed: u64,
    pub threads: u32,
}

/// The weights at the beginning.
#[derive(Debug)]
pub enum Start {
    Drawn,
    /// The encoder as torchvision publishes it, the rest drawn.
    Backbone(TensorFile),
    /// `fresh_head`: the last convolution is drawn nevertheless.
    Weights {
        file: TensorFile,
        fresh_head: bool,
    },
}

/// Images of one size: pixels row by row, bands side by side; and the class of each pixel, 255 where
/// it trains nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<f32>,
    pub labels: Vec<u8>,
}

/// Cross-entropy summed over pixels, each times the weight of its class, and the sum of those weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    pub sum: f64,
    pub weight: f64,
}

impl Loss {
    /// `None` where every pixel was ignored.
    pub fn mean(self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    fn checked(self) -> Result<Self> {
        if self.sum.is_finite() {
            return Ok(self);
        }
        Err(ModelError::data(format!(
            "the loss is {}: lower the learning rate, or look for pixels that are no numbers",
            self.sum
        )))
    }
}

impl std::ops::AddAssign for Loss {
    fn add_assign(&mut self, other: Self) {
        *self = Self { sum: self.sum + other.sum, weight: self.weight + other.weight };
    }
}

pub struct Learner {
    setup: Setup,
    network: Box<dyn Network>,
    learnt: Learnt,
    optimizer: Optimizer,
    class_weights: Tensor,
    reducer: Option<Reducer>,
    gang: Gang,
}

impl Learner {
    /// Of this process alone, or of one rank of several, which then all have what the first one has.
    pub fn new(setup: Setup, start: Start, gang: Gang) -> Result<Self> {
        let wrong = |text: &str| Err(ModelError::config(format!("{}: {text}", setup.architecture.name())));
        let Some((encoder, head)) = parts(setup.architecture) else {
            return wrong("only networks whose layers are known here can be trained");
        };
        let seed = setup.seed;
        let mut weights: Box<dyn Weights> = match (start, encoder) {
            (Start::Drawn, _) => Box::new(Seeded { seed }),
            (Start::Backbone(file), Some(encoder)) => Box::new(Backbone::new(File::new(file), encoder, seed)),
            (Start::Backbone(_), None) => return wrong("this network has no encoder to be given weights"),
            (Start::Weights { file, fresh_head: true }, _) => {
                Box::new(FreshHead::new(File::of(setup.architecture, file)?, head, seed))
            }
            (Start::Weights { file, fresh_head: false }, _) => Box::new(File::of(setup.architecture, file)?),
        };
        let mut learnt = Learnt::default();
        let size = (i64::from(setup.bands), setup.class_weights.len() as i64);
        let mut layers = Layers { weights: &mut *weights, home: Home::PROCESSOR, learnt: Some(&mut learnt) };
        let network = build(setup.architecture, &mut layers, size)?;
        let optimizer = Optimizer::new(setup.optimizer, setup.weight_decay, &learnt.parameters)?;
        let class_weights = Tensor::f_from_slice(&setup.class_weights)?;
        let parameters: Vec<&Tensor> = learnt.parameters.iter().map(|(_, tensor)| tensor).collect();
        let reducer = gang.reducer(&parameters)?;
        Ok(Self { setup, network, learnt, optimizer, class_weights, reducer, gang })
    }

    pub const fn gang(&self) -> &Gang {
        &self.gang
    }

    pub const fn gang_mut(&mut self) -> &mut Gang {
        &mut self.gang
    }

    /// Takes over all of the first rank's state.
    pub fn follow_first(&mut self) -> Result<()> {
        let all: Vec<&Tensor> = self.all().map(|(_, tensor)| tensor).collect();
        self.gang.hand_out(&all)?;
        let mut n_updates = [if self.gang.leads() { self.optimizer.n_updates as f64 } else { 0.0 }];
        self.gang.sum(&mut n_updates)?;
        self.optimizer.n_updates = n_updates[0] as u64;
        Ok(())
    }

    /// Where batch norms go by each rank's own images: from here on all have the mean of what they have found. To be
    /// done before the state is written down or evaluated; steps in between do not change what comes of it, but for
    /// rounding.
    pub fn agree_on_statistics(&mut self) -> Result<()> {
        if self.setup.batch_norm != BatchNorm::Local {
            return Ok(());
        }
        let statistics: Vec<&Tensor> = self.learnt.statistics.iter().map(|(_, tensor)| tensor).collect();
        self.gang.average(&statistics)
    }

    /// How much of the summing of gradients was hidden behind the computing of others, so far.
    pub fn overlap(&self) -> Option<Overlap> {
        self.reducer.as_ref().map(Reducer::overlap)
    }

    /// One step, at this learning rate, of all ranks together: each has its part of the batch, and all are told the
    /// loss of the whole. `seed` decides what dropout drops. A batch whose pixels are all ignored has no gradient, but
    /// is a step.
    pub fn step(&mut self, batch: &Batch, rate: f64, seed: u64) -> Result<Loss> {
        if self.setup.architecture.least_images() > 1 && self.n_images(batch) == 1 {
            return Err(ModelError::config(
                "DeepLabV3 norms the mean of each image over its batch: that must be two images at least",
            ));
        }
        use_threads(self.setup.threads);
        forget_gradients(&mut self.learnt.parameters);
        let weight = self.gang.begin_sum(self.weight(batch))?;
        if let Some(reducer) = &self.reducer {
            reducer.before_forward()?;
        }
        let images = self.images(batch)?;
        let forward = || self.network.forward(&images, Pass::Learn(self.setup.batch_norm, &self.gang));
        // Others draw nothing, and wait for nobody.
        let drops = self.setup.architecture.drops();
        let logits = if drops { drawing_from(seed, forward) } else { forward() }?;
        let sum = self.cross_entropy(&logits, batch)?;
        let weight = weight.end()?;
        let whole = self.gang.begin_sum(f64::try_from(&sum)?)?;
        if let Some(reducer) = &self.reducer {
            reducer.before_backward()?;
        }
        sum.f_div_scalar(if weight > 0.0 { weight } else { 1.0 })?.f_backward()?;
        // Before the weights follow it.
        let loss = Loss { sum: whole.end()?, weight }.checked()?;
        tch::no_grad(|| self.optimizer.update(&mut self.learnt.parameters, rate))?;
        Ok(loss)
    }

    /// The loss, and the likeliest class of each pixel (of equals, the first).
    pub fn evaluate(&self, batch: &Batch) -> Result<(Loss, Vec<u8>)> {
        use_threads(self.setup.threads);
        tch::no_grad(|| {
            let logits = self.network.forward(&self.images(batch)?, Pass::Predict)?;
            let sum = f64::try_from(self.cross_entropy(&logits, batch)?)?;
            let loss = Loss { sum, weight: self.weight(batch) }.checked()?;
            let classes = self.setup.class_weights.len();
            let mut values = vec![0.0_f32; batch.labels.len() * classes];
            let flat = logits.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view([-1])?;
            flat.f_copy_data(&mut values, batch.labels.len() * classes)?;
            Ok((loss, values.chunks_exact(classes).map(likeliest).collect()))
        })
    }

    fn n_images(&self, batch: &Batch) -> usize {
        batch.labels.len() / (batch.width as usize * batch.height as usize).max(1)
    }

    fn images(&self, batch: &Batch) -> Result<Tensor> {
        let [n, height, width, bands] =
            [self.n_images(batch) as i64, batch.height.into(), batch.width.into(), self.setup.bands.into()];
        if n == 0
            || n * height * width != batch.labels.len() as i64
            || n * height * width * bands != batch.pixels.len() as i64
        {
            return Err(ModelError::internal(format!(
                "{} values and {} labels are no images of {width} x {height} px with {bands} bands",
                batch.pixels.len(),
                batch.labels.len()
            )));
        }
        let multiple = self.setup.architecture.edge_multiple_px();
        if !(batch.width.is_multiple_of(multiple) && batch.height.is_multiple_of(multiple)) {
            return Err(ModelError::config(format!(
                "this network takes images whose edges are multiples of {multiple} px, not {width} x {height}"
            )));
        }
        // Pixels with their bands side by side are a channels-last tensor as they lie.
        Ok(Tensor::f_from_slice(&batch.pixels)?.f_view([n, height, width, bands])?.f_permute([0, 3, 1, 2])?)
    }

    fn cross_entropy(&self, logits: &Tensor, batch: &Batch) -> Result<Tensor> {
        let (n, _, height, width) = logits.size4()?;
        let labels =
            Tensor::f_from_slice(&batch.labels)?.f_view([n, height, width])?.f_to_kind(Kind::Int64)?;
        let weights = Some(&self.class_weights);
        Ok(logits.f_cross_entropy_loss(&labels, weights, Reduction::Sum, IGNORED.into(), 0.0)?)
    }

    /// What its pixels weigh: known from the labels alone, so that ranks can sum it before they divide.
    fn weight(&self, batch: &Batch) -> f64 {
        let mut counts = [0_u64; 256];
        batch.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        let pairs = counts.iter().zip(&self.setup.class_weights);
        pairs.map(|(&count, &weight)| count as f64 * f64::from(weight)).sum()
    }

    /// All that the next step depends on: weights and statistics of batch norms under their own names,
    /// the optimizer's moments beside them.
    pub fn state(&self) -> BTreeMap<String, TensorInfo> {
        self.all().map(|(name, tensor)| (name, info(tensor))).collect()
    }

    /// What a predictor loads.
    pub fn weights(&self) -> BTreeMap<String, TensorInfo> {
        self.network_tensors().map(|(name, tensor)| (name.to_owned(), info(tensor))).collect()
    }

    /// Steps that the optimizer has taken: part of the state.
    pub const fn n_updates(&self) -> u64 {
        self.optimizer.n_updates
    }

    /// The elements of a tensor of the state, little-endian. NaN and infinities are an error.
    pub fn write(&self, name: &str, into: &mut dyn Write) -> Result<()> {
        let tensor = self.all().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let values = snapshot::values(tensor.ok_or_else(|| snapshot::no_tensor(name))?)?;
        snapshot::write(name, &values, into)
    }

    /// Reads back what [`Self::state`] names; nothing is changed where anything is missing or wrong.
    pub fn restore(&mut self, file: TensorFile, n_updates: u64) -> Result<()> {
        let mut file = File::new(file);
        let read: Vec<Tensor> =
            self.all().map(|(name, tensor)| file.take(&name, &tensor.size())).collect::<Result<_>>()?;
        file.finish()?;
        tch::no_grad(|| {
            for ((_, tensor), values) in self.all().zip(&read) {
                tensor.shallow_clone().f_copy_(values)?;
            }
            Ok::<_, ModelError>(())
        })?;
        self.optimizer.n_updates = n_updates;
        Ok(())
    }

    fn network_tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let Learnt { parameters, statistics } = &self.learnt;
        parameters.iter().chain(statistics).map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn all(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let names = self.learnt.parameters.iter().map(|(name, _)| name);
        let moments = names.zip(&self.optimizer.moments).flat_map(|(name, moments)| {
            let of = optimizer::names(self.setup.optimizer).iter().zip(moments);
            of.map(move |(moment, tensor)| (format!("optimizer.{moment}.{name}"), tensor))
        });
        self.network_tensors().map(|(name, tensor)| (name.to_owned(), tensor)).chain(moments)
    }
}

/// What the encoder's and the last convolution's tensors begin with; `None` for what can't learn.
fn parts(architecture: Architecture) -> Option<(Option<&'static str>, &'static str)> {
    match architecture.made() {
        Made::Tiny => Some((None, "head.")),
        Made::OnResnet(Decoder::Deeplabv3, _) => Some((Some("backbone."), "classifier.4.")),
        Made::OnResnet(Decoder::Unet | Decoder::Fpn | Decoder::Deeplabv3plus, _) => {
            Some((Some("encoder."), "head."))
        }
        Made::Program => None,
    }
}

fn info(tensor: &Tensor) -> TensorInfo {
    TensorInfo { dtype: Dtype::F32, shape: tensor.size().iter().map(|&n| n as u64).collect() }
}

/// Of equals, the first.
pub fn likeliest(logits: &[f32]) -> u8 {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best as u8
}

//! A network that learns: batches of plain numbers in, losses out. All that the next step depends on
//! can be written down and read back by name, so that learning goes on where it ended.

mod autocast;
mod average;
mod batch;
mod counts;
mod gradient;
mod loss;
mod optimizer;
mod scale;
mod snapshot;
mod step;
#[cfg(test)]
mod step_tests;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io::Write};

use swath_proto::{
    item::{Architecture, Decoder, Made},
    train::{self, BatchNorm, LossTerms, Precision},
};
use swath_weights::{Dtype, TensorFile, TensorInfo};
use tch::Tensor;

use crate::{
    error::{ModelError, Result},
    gang::{Gang, Overlap, Reducer},
    network::{Home, Layers, Learnt, Network, Pass, build},
    place::Place,
    torch::{Keep, use_threads},
    weights::{Backbone, File, FreshHead, Seeded, Weights, tensor, values},
};

use average::{Average, pairs};
pub use batch::{Batch, Pixels};
pub use counts::Counts;
use loss::Losses;
use optimizer::Optimizer;
pub use scale::Scale;
pub use snapshot::Snapshot;

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
    pub loss: LossTerms,
    pub precision: Precision,
    /// How long the gradient of all weights together may be.
    pub clip: Option<f64>,
    /// How much of the mean of weights stays in a step, where there is to be one.
    pub ema: Option<f64>,
    /// What is drawn is drawn from this.
    pub seed: u64,
    pub threads: u32,
    /// On what.
    pub place: Place,
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

/// The loss of some pixels, times what their classes weigh together; and that weight.
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
    home: Home,
    network: Box<dyn Network>,
    learnt: Learnt,
    /// What the names of the encoder's tensors begin with.
    encoder: Option<&'static str>,
    losses: Losses,
    optimizer: Optimizer,
    /// In fp16 alone.
    scale: Option<Scale>,
    average: Option<Average>,
    reducer: Option<Reducer>,
    /// Of reducers before that one.
    overlap_before: Overlap,
    gang: Gang,
    /// The last to go.
    _memory: Keep,
}

impl Learner {
    /// Of this process alone, or of one rank of several, which then all have what the first one has.
    pub fn new(setup: Setup, start: Start, gang: Gang) -> Result<Self> {
        let wrong = |text: &str| Err(ModelError::config(format!("{}: {text}", setup.architecture.name())));
        let Some((encoder, head)) = parts(setup.architecture) else {
            return wrong("only networks whose layers are known here can be trained");
        };
        let home = setup.place.home()?;
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
        let mut layers = Layers { weights: &mut *weights, home, learnt: Some(&mut learnt) };
        let network = build(setup.architecture, &mut layers, size)?;
        let optimizer = Optimizer::new(setup.optimizer, setup.weight_decay, &learnt.parameters, encoder)?;
        let losses = Losses::new(setup.loss, &setup.class_weights, home.device)?;
        let scale = (setup.precision == Precision::Fp16).then(Scale::first);
        let average = |decay| Average::new(decay, setup.architecture, size, &learnt, home);
        let average = setup.ema.map(average).transpose()?;
        let reducer = gang.reducer(&learnt.learning())?;
        let overlap_before = Overlap::default();
        Ok(Self {
            setup,
            home,
            network,
            learnt,
            encoder,
            losses,
            optimizer,
            scale,
            average,
            reducer,
            overlap_before,
            gang,
            _memory: Keep::all(),
        })
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
        let mut counts = self.counts();
        let mut numbers = if self.gang.leads() { counts.numbers() } else { Default::default() };
        self.gang.sum(&mut numbers)?;
        counts.follow(numbers);
        self.set_counts(counts);
        Ok(())
    }

    /// Where batch norms go by each rank's own images: from here on all have the mean of what they have found. To be
    /// done before the state is written down or evaluated; steps in between do not change what comes of it, but for
    /// rounding.
    pub fn agree_on_statistics(&mut self) -> Result<()> {
        if self.setup.batch_norm != BatchNorm::Local {
            return Ok(());
        }
        let of_average = self.average.iter().flat_map(|average| &average.means.statistics);
        let statistics = self.learnt.statistics.iter().chain(of_average);
        let statistics: Vec<&Tensor> = statistics.map(|(_, tensor)| tensor).collect();
        self.gang.average(&statistics)
    }

    /// How much of the summing of gradients was hidden behind the computing of others, so far; not known of cards, which
    /// do not say when they are done.
    pub fn overlap(&self) -> Option<Overlap> {
        if self.setup.place != Place::Processor {
            return None;
        }
        let Overlap { summing_s, exposed_s } = self.overlap_before;
        let now = self.reducer.as_ref()?.overlap();
        Some(Overlap { summing_s: summing_s + now.summing_s, exposed_s: exposed_s + now.exposed_s })
    }

    /// The loss, and the likeliest class of each pixel (of equals, the first), as a predictor finds them in fp32: by the
    /// mean of the weights, where there is one.
    pub fn evaluate(&self, batch: &Batch) -> Result<(Loss, Vec<u8>)> {
        use_threads(self.setup.threads);
        tch::no_grad(|| {
            let network = self.average.as_ref().map_or(&self.network, |average| &average.network);
            let logits = network.forward(&self.images(batch)?, Pass::Predict)?;
            let weight = self.losses.weight(batch);
            let sums = self.losses.of(&logits, batch, weight, &Gang::alone())?;
            let loss = Loss { sum: sums.own + sums.shared, weight }.checked()?;
            let classes = self.setup.class_weights.len();
            let mut values = vec![0.0_f32; batch.labels.len() * classes];
            let flat = logits.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view([-1])?;
            flat.f_copy_data(&mut values, batch.labels.len() * classes)?;
            Ok((loss, values.chunks_exact(classes).map(likeliest).collect()))
        })
    }

    fn images(&self, batch: &Batch) -> Result<Tensor> {
        let [n, height, width, bands] =
            [batch.n_images() as i64, batch.height.into(), batch.width.into(), self.setup.bands.into()];
        if n == 0
            || n * height * width != batch.labels.len() as i64
            || n * height * width * bands != batch.pixels.n_samples() as i64
        {
            return Err(ModelError::internal(format!(
                "{} values and {} labels are no images of {width} x {height} px with {bands} bands",
                batch.pixels.n_samples(),
                batch.labels.len()
            )));
        }
        let multiple = self.setup.architecture.edge_multiple_px();
        if !(batch.width.is_multiple_of(multiple) && batch.height.is_multiple_of(multiple)) {
            return Err(ModelError::config(format!(
                "this network takes images whose edges are multiples of {multiple} px, not {width} x {height}"
            )));
        }
        batch.pixels.tensor([n, height, width, bands], self.home.device)
    }

    /// Puts the mean of the weights into their place, where there is one: it is what comes out.
    pub fn take_average(&mut self) -> Result<()> {
        let Some(average) = &self.average else { return Ok(()) };
        tch::no_grad(|| average.replace(&self.learnt))
    }

    /// All that the next step depends on: weights and statistics of batch norms under their own names,
    /// the optimizer's moments and the mean of the weights beside them; and [`Self::counts`].
    pub fn state(&self) -> BTreeMap<String, TensorInfo> {
        self.all().map(|(name, tensor)| (name, info(tensor))).collect()
    }

    /// What a predictor loads.
    pub fn weights(&self) -> BTreeMap<String, TensorInfo> {
        self.network_tensors().map(|(name, tensor)| (name.to_owned(), info(tensor))).collect()
    }

    pub const fn counts(&self) -> Counts {
        let Optimizer { n_updates: updates, n_frozen: frozen, .. } = self.optimizer;
        Counts { updates, frozen, scale: self.scale }
    }

    fn set_counts(&mut self, counts: Counts) {
        let Counts { updates, frozen, scale } = counts;
        (self.optimizer.n_updates, self.optimizer.n_frozen, self.scale) = (updates, frozen, scale);
    }

    /// The elements of a tensor of the state, little-endian. NaN and infinities are an error.
    pub fn write(&self, name: &str, into: &mut dyn Write) -> Result<()> {
        let tensor = self.all().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let values = values(tensor.ok_or_else(|| snapshot::no_tensor(name))?)?;
        snapshot::write(name, &values, into)
    }

    /// Reads back what [`Self::state`] names; nothing is changed where anything is missing or wrong.
    pub fn restore(&mut self, file: TensorFile, counts: Counts) -> Result<()> {
        let mut file = File::new(file);
        let read: Vec<Tensor> = self
            .all()
            .map(|(name, of)| tensor(&file.take(&name, &of.size())?, &of.size()))
            .collect::<Result<_>>()?;
        file.finish()?;
        tch::no_grad(|| {
            for ((_, tensor), values) in self.all().zip(&read) {
                tensor.shallow_clone().f_copy_(values)?;
            }
            Ok::<_, ModelError>(())
        })?;
        self.set_counts(counts);
        Ok(())
    }

    fn network_tensors(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        pairs(&self.learnt).map(|(name, tensor)| (name.as_str(), tensor))
    }

    fn all(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let names = self.learnt.parameters.iter().map(|(name, _)| name);
        let moments = names.zip(&self.optimizer.moments).flat_map(|(name, moments)| {
            let of = optimizer::names(self.setup.optimizer).iter().zip(moments);
            of.map(move |(moment, tensor)| (format!("optimizer.{moment}.{name}"), tensor))
        });
        let means = self.average.iter().flat_map(|average| pairs(&average.means));
        let means = means.map(|(name, tensor)| (format!("ema.{name}"), tensor));
        self.network_tensors().map(|(name, tensor)| (name.to_owned(), tensor)).chain(moments).chain(means)
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

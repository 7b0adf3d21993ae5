//! Where a training begins: at its last checkpoint, or at weights that others have left, or at none.

use swath_model::{Gang, Learner, Setup, Start};
use swath_proto::{
    keys,
    train::{Backbone, Checkpoint},
};
use swath_weights::TensorFile;

use crate::{
    backbone::backbone,
    checkpoint::Position,
    error::{Kind, Result, TrainError},
    saver::Saver,
    shelf::Shelf,
    train::{Job, Run},
};

impl Run<'_> {
    /// From the last checkpoint that is whole, or from the start. The first rank looks, and all others begin where it
    /// does.
    pub(crate) fn begin(&self, gang: Gang) -> Result<(Learner, Position, Saver)> {
        let Job { spec, store, output, .. } = self.job;
        let leads = gang.leads();
        let mut shelf = if leads { Some(Shelf::look(store, output)?) } else { None };
        let found = shelf.as_mut().map(|shelf| shelf.newest_whole(store, self.digest)).transpose()?.flatten();
        // What a checkpoint replaces, or the first rank hands out, need not be fetched.
        let start = if leads && found.is_none() { self.start()? } else { Start::Drawn };
        let mut learner = self.learner(start, gang)?;
        let mut position = Position::begin(self.digest);
        if let Some(found) = found {
            position = found.restore(&mut learner)?;
        }
        // Before any tensor goes from one to another: they may be of other sizes.
        let wrong = |error| TrainError::new(Kind::Internal, format!("where the training stands: {error}"));
        let words = serde_json::to_string(&(&position, self.job.spec.checkpoint)).map_err(wrong)?;
        let heard = learner.gang_mut().hear(leads.then_some(words))?;
        if !leads {
            let (first, checkpoint): (Position, Checkpoint) = serde_json::from_str(&heard).map_err(wrong)?;
            if first.training != self.digest || checkpoint != self.job.spec.checkpoint {
                return Err(TrainError::config(
                    "this rank has other options or chips than the first one: give all of them the same",
                ));
            }
            position = first;
        }
        learner.follow_first()?;
        let shelf = shelf.unwrap_or_else(|| Shelf::empty(output));
        let saver = Saver::new(leads.then(|| store.clone()), shelf, spec.checkpoint);
        Ok((learner, position, saver))
    }

    fn learner(&self, start: Start, gang: Gang) -> Result<Learner> {
        let spec = &self.job.spec;
        let classes = spec.classes as usize;
        let mut class_weights = spec.class_weights.clone().unwrap_or_else(|| vec![1.0; classes]);
        if let Some(ignored) = spec.ignore_class {
            class_weights[usize::from(ignored)] = 0.0;
        }
        let setup = Setup {
            architecture: spec.architecture,
            bands: spec.bands,
            class_weights,
            optimizer: spec.optimizer,
            weight_decay: spec.weight_decay,
            batch_norm: spec.batch_norm,
            loss: spec.loss,
            precision: spec.precision,
            clip: spec.clip,
            ema: spec.ema,
            seed: spec.seed,
            threads: self.job.machine.threads,
            place: self.job.machine.place,
        };
        Ok(Learner::new(setup, start, gang)?)
    }

    fn start(&self) -> Result<Start> {
        let Job { spec, store, machine, .. } = self.job;
        if let Some(weights) = &spec.weights {
            let key = keys::model(weights).ok_or_else(|| TrainError::config("weights: must name a file"))?;
            let missing = || TrainError::data(format!("{key} is not there: put the weights under the root"));
            let bytes = store.get(&key)?.ok_or_else(missing)?;
            let file = TensorFile::from_bytes(&key, bytes.into())?;
            return Ok(Start::Weights { file, fresh_head: spec.fresh_head });
        }
        match (spec.backbone, spec.architecture.backbone()) {
            (Backbone::Imagenet, Some(model)) => {
                let path = backbone(model, &machine.cache, machine.mirror.as_deref())?;
                Ok(Start::Backbone(swath_weights::open(path)?))
            }
            _ => Ok(Start::Drawn),
        }
    }
}

//! Whether what a person asks for can be trained with.

use super::{Backbone, BatchNorm, Normalize, Schedule, Start, Subset, TrainSpec};
use crate::item::Weights;

/// A value that can't be trained with, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTrainSpec(pub(super) String);

impl TrainSpec {
    /// Whether each value is possible, and they go together.
    pub fn check(&self) -> Result<(), BadTrainSpec> {
        let bad = |text: String| Err(BadTrainSpec(text));
        let whole = [
            ("bands", self.bands, 64),
            ("epochs", self.epochs, 100_000),
            ("batch", self.batch, 4096),
            ("checkpoint.epochs", self.checkpoint.epochs, u32::MAX),
            ("patience", self.patience.unwrap_or(1), 100_000),
            ("checkpoint.steps", self.checkpoint.steps.unwrap_or(1), u32::MAX),
            ("checkpoint.minutes", self.checkpoint.minutes.unwrap_or(1), 100_000),
            ("checkpoint.keep", self.checkpoint.keep, 1000),
        ];
        for (key, value, most) in whole {
            if !(1..=most).contains(&value) {
                return bad(format!("{key} = {value}: must be 1 to {most}"));
            }
        }
        if !(2..=255).contains(&self.classes) {
            return bad(format!("classes = {}: must be 2 to 255", self.classes));
        }
        if self.architecture.is_program() {
            return bad(
                "architecture: what a file computes can't be trained; export it after training instead"
                    .into(),
            );
        }
        if !(self.lr > 0.0 && self.lr <= 10.0) {
            return bad(format!("lr = {}: must be above 0, 10 at most", self.lr));
        }
        if !(0.0..=1.0).contains(&self.weight_decay) {
            return bad(format!("weight_decay = {}: must be 0 to 1", self.weight_decay));
        }
        if !(0.0..=1.0).contains(&self.bad_chips) {
            return bad(format!("bad_chips = {}: must be 0 to 1, a share of the chips", self.bad_chips));
        }
        self.check_milestones()?;
        if self.backbone == Backbone::Imagenet && self.architecture.backbone().is_none() {
            return bad("backbone = \"imagenet\": this network has no encoder to be given weights".into());
        }
        if self.backbone == Backbone::Imagenet && self.weights.is_some() {
            return bad("backbone, weights: give one of them; `weights` has the encoder's too".into());
        }
        if matches!(self.weights, Some(Weights::Seed(_))) {
            return bad("weights: must name a file; what is drawn is drawn from `seed`".into());
        }
        if self.fresh_head && self.weights.is_none() {
            return bad("fresh_head = true: means the head of `weights`, which names no file".into());
        }
        if self.batch_norm == BatchNorm::Frozen && self.backbone == Backbone::None && self.weights.is_none() {
            return bad(
                "batch_norm = \"frozen\": nothing was learnt before that could stay; begin with a backbone's weights or \
                 with a network's"
                    .into(),
            );
        }
        if let Some(ignored) = self.ignore_class
            && u32::from(ignored) >= self.classes
        {
            return bad(format!("ignore_class = {ignored}: must be below classes ({})", self.classes));
        }
        self.check_start()?;
        self.check_step()?;
        self.check_class_weights()?;
        self.augment.check(self.bands)?;
        self.subset.map_or(Ok(()), Subset::check)?;
        self.oversample.as_ref().map_or(Ok(()), |rule| rule.check(self.classes))?;
        self.check_normalize()
    }

    fn check_milestones(&self) -> Result<(), BadTrainSpec> {
        let epochs = self.epochs;
        let bad = |text: &str| Err(BadTrainSpec(format!("milestones = {:?}: {text}", self.milestones)));
        match (self.schedule, &self.milestones[..]) {
            (Schedule::MultiStep, []) => bad("a multi-step schedule needs the epochs after which it falls"),
            (Schedule::MultiStep, all) if !all.is_sorted_by(|one, next| one < next) => {
                bad("must rise from one to the next")
            }
            (Schedule::MultiStep, all) if all.iter().any(|after| !(1..epochs).contains(after)) => {
                bad(&format!("must be 1 to {}, since there are {epochs} epochs", epochs.saturating_sub(1)))
            }
            (Schedule::MultiStep, _) | (_, []) => Ok(()),
            _ => bad("only a multi-step schedule has them"),
        }
    }

    fn check_start(&self) -> Result<(), BadTrainSpec> {
        let by_all = [
            ("balanced", self.balanced),
            ("subset", self.subset.is_some()),
            ("oversample", self.oversample.is_some()),
        ];
        match by_all.iter().find(|(_, is_set)| *is_set && self.start == Start::WithChips) {
            None => Ok(()),
            Some((key, _)) => Err(BadTrainSpec(format!(
                "{key}: goes by all chips, and start = \"with-chips\" does not wait for them: leave one of both out"
            ))),
        }
    }

    fn check_class_weights(&self) -> Result<(), BadTrainSpec> {
        let Some(weights) = &self.class_weights else { return Ok(()) };
        if self.balanced {
            return Err(BadTrainSpec(
                "class_weights: balanced = true finds them: give just one of both".into(),
            ));
        }
        let fits = weights.len() == self.classes as usize
            && weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
            && weights.iter().any(|weight| *weight > 0.0);
        let text = || {
            format!(
                "class_weights = {weights:?}: must be {} numbers, none below 0 and one above",
                self.classes
            )
        };
        fits.then_some(()).ok_or_else(|| BadTrainSpec(text()))
    }

    fn check_normalize(&self) -> Result<(), BadTrainSpec> {
        let Some(Normalize { mean, std }) = &self.normalize else { return Ok(()) };
        let fits = [mean, std].iter().all(|numbers| numbers.len() == self.bands as usize)
            && mean.iter().all(|number| number.is_finite())
            && std.iter().all(|number| number.is_finite() && *number > 0.0);
        let text =
            || format!("normalize: mean and std must be {} numbers each, those of std above 0", self.bands);
        fits.then_some(()).ok_or_else(|| BadTrainSpec(text()))
    }
}

#[cfg(test)]
mod tests {
    use crate::train::{TrainSpec, tests::parse};

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        for (more, key) in [
            ("epoch = 3", "epoch"),
            ("epochs = 0", "epochs"),
            ("batch = 0", "batch"),
            ("lr = 0", "lr"),
            ("lr = nan", "lr"),
            ("weight_decay = -1", "weight_decay"),
            ("patience = 0", "patience"),
            ("bad_chips = -0.1", "bad_chips"),
            ("bad_chips = 1.5", "bad_chips"),
            ("schedule = \"multi-step\"", "milestones"),
            ("schedule = \"multi-step\"\nmilestones = [3, 3]", "milestones"),
            ("schedule = \"multi-step\"\nmilestones = [5]", "milestones"),
            ("milestones = [2]", "milestones"),
            ("class_weights = [1]", "class_weights"),
            ("class_weights = [0, 0]", "class_weights"),
            ("class_weights = [1, -1]", "class_weights"),
            ("ignore_class = 2", "ignore_class"),
            ("fresh_head = true", "fresh_head"),
            ("batch_norm = \"frozen\"", "batch_norm"),
            ("normalize = { mean = [0, 0, 0], std = [1, 0, 1] }", "normalize"),
            ("augment = { flip = true }", "flip"),
            ("start = \"with-chips\"\nbalanced = true", "balanced: goes by all chips"),
            ("start = \"with-chips\"\nsubset = { chips = 8 }", "subset: goes by all chips"),
            ("start = \"with-chips\"\noversample = \"balanced\"", "oversample: goes by all chips"),
            ("checkpoint = { steps = 0 }", "checkpoint.steps"),
            ("checkpoint = { minutes = 0 }", "checkpoint.minutes"),
            ("checkpoint = { keep = 0 }", "checkpoint.keep"),
            ("optimizer = \"lion\"", "lion"),
        ] {
            let error = parse(more).unwrap_err();
            assert!(error.contains(key), "{more}: {error}");
        }
        let module = "architecture = \"torchscript\"\nclasses = 2";
        assert!(toml::from_str::<TrainSpec>(module).unwrap().check().is_err());
    }
}

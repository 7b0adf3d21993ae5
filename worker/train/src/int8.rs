//! Whether 8 bits will do: the ranges of a network's values on chips to train on, and how much of its F1 is left on
//! chips for validation.

use swath_geo::confusion::Confusion;
use swath_model::{Batch, Calibration, Files, Predictor, Ranges};
use swath_proto::{
    ids::Digest,
    item::{ModelRef, Precision, WindowShape},
    numeric::Int8,
    train::TrainSpec,
};

use crate::{
    augment::Change,
    data::{Chips, Shard},
    error::{Kind, Result, TrainError},
    order::order,
    store::Store,
};

/// Pixels that ranges are found on: more widen them no further to speak of.
const CALIBRATED_PX: usize = 4 << 20;
/// Pixels that are judged by, about: F1 moves by far less than half a point beyond, and a large network is not to take
/// hours over it.
const JUDGED_PX: usize = 32 << 20;
const BATCH: usize = 8;

/// A network in 32 bits, and what to try it on.
pub struct Calibrated<'a> {
    /// Names no ranges.
    pub model: &'a ModelRef,
    pub files: &'a Files,
    /// What its chips were read by.
    pub spec: &'a TrainSpec,
    pub train: &'a [Shard],
    pub validation: &'a [Shard],
    pub store: &'a Store,
    pub threads: u32,
}

impl Calibrated<'_> {
    pub fn run(&self) -> Result<(Ranges, Int8)> {
        let ranges = self.ranges()?;
        let content = Digest::of(&ranges.to_json());
        let small = ModelRef { precision: Precision::Int8(content), ..self.model.clone() };
        let files = Files { ranges: Some(ranges.clone()), ..self.files.clone() };
        let (chips, f1_fp32) = self.judge(self.model, self.files)?;
        let (_, f1_int8) = self.judge(&small, &files)?;
        Ok((ranges, Int8 { ranges: content, chips, f1_fp32, f1_int8 }))
    }

    fn ranges(&self) -> Result<Ranges> {
        let mut calibration = Calibration::new(self.model, self.files, self.threads)?;
        self.each(self.train, CALIBRATED_PX, |batch| {
            Ok(calibration.see(&batch.pixels.floats(), (batch.width, batch.height))?)
        })?;
        Ok(calibration.ranges())
    }

    /// How many chips there were, and the F1 of each class.
    fn judge(&self, model: &ModelRef, files: &Files) -> Result<(u64, Vec<Option<f64>>)> {
        let internal =
            |error: swath_geo::confusion::BadConfusion| TrainError::new(Kind::Internal, error.to_string());
        let mut table = Confusion::new(model.classes).map_err(internal)?;
        let mut predictor: Option<Box<dyn Predictor>> = None;
        let mut chips = 0;
        self.each(self.validation, JUDGED_PX, |batch| {
            let Batch { width, height, pixels, labels } = batch;
            if width != height {
                let text = format!("chips of {width} x {height} px: 8 bits are judged by square ones");
                return Err(TrainError::config(text));
            }
            let n = batch.n_images();
            let predictor = match &mut predictor {
                Some(predictor) => predictor,
                none => none.insert(swath_model::load(
                    model,
                    std::slice::from_ref(files),
                    WindowShape { core_px: *width, margin_px: 0 },
                    BATCH as u32,
                    self.threads,
                )?),
            };
            let logits = predictor.forward(&pixels.floats(), n)?;
            let found: Vec<u8> =
                logits.chunks_exact(model.classes as usize).map(swath_model::likeliest).collect();
            table.add(labels, &found).map_err(internal)?;
            chips += n as u64;
            Ok(())
        })?;
        Ok((chips, (0..model.classes).map(|class| table.measures(class).f1).collect()))
    }

    /// Some chips of these shards, in an order that is always the same and mixes scenes.
    fn each(
        &self,
        shards: &[Shard],
        most_px: usize,
        mut see: impl FnMut(&Batch) -> Result<()>,
    ) -> Result<()> {
        let chips = Chips::new(self.spec, shards)?;
        let mut order = order(0, 0, chips.len());
        let chip_px = chips.shape().map_or(1, |shape| shape.pixels() as usize);
        order.truncate((most_px / chip_px).max(BATCH));
        for numbers in order.chunks(BATCH) {
            let which: Vec<_> = numbers.iter().map(|number| (*number, Change::default())).collect();
            see(&chips.batch(self.store, &which)?)?;
        }
        Ok(())
    }
}

//! Pictures of a training: its first batch as the network is given it, and after each epoch what the network makes of
//! some validation chips. They cost a few chips, and are always drawn: a wrong band or a shifted label is seen in
//! them, and in no number.

use std::time::{SystemTime, UNIX_EPOCH};

use swath_model::{Batch, Learner, Pixels};

use crate::{
    augment::Change,
    error::{Result, TrainError},
    events::{Picture, picture_file},
    order::Purpose,
    pieces::batch_size,
    samples::drawn,
    sheet::Sheet,
    train::{Job, Run},
};

const MOST_CHIPS: usize = 8;
/// Epochs of which TensorBoard is given a picture: it shows about as many.
const TOLD: u64 = 10;
/// A folder, which TensorBoard shows as a run of its own: one file is written for each picture, and of one folder it
/// reads them in turn and comes back to none.
const FOLDER: &str = "debug/";

impl Run<'_> {
    /// The first chips of it: the same ones for any number of ranks.
    pub(crate) fn picture_first_batch(&self) -> Result<()> {
        let Job { spec, store, .. } = self.job;
        let n = batch_size(spec, self.train.len()).min(MOST_CHIPS);
        let samples = self.order(0).into_iter().take(n);
        let changed: Vec<_> = samples.map(|sample| self.train.sample(0, sample)).collect();
        let batch = self.train.batch(store, &changed)?;
        self.publish("first-batch", 0, &self.sheet(&batch, None))
    }

    /// Of the same chips each time; nothing where there are none.
    pub(crate) fn picture_epoch(&self, learner: &Learner, epoch: u32) -> Result<()> {
        let Job { spec, store, .. } = self.job;
        let numbers = drawn(spec.seed, Purpose::Pictures, MOST_CHIPS, self.validation.len());
        let (mut size, mut samples, mut labels, mut found) = (None, Vec::new(), Vec::new(), Vec::new());
        for some in numbers.chunks(spec.batch as usize) {
            let unchanged: Vec<_> = some.iter().map(|&number| (number, Change::default())).collect();
            let batch = self.validation.batch(store, &unchanged)?;
            let evaluated = learner.evaluate(&batch);
            let place = || format!("picture of epoch {epoch}");
            found.extend(evaluated.map_err(|error| TrainError::from(error).at(place()))?.1);
            size = Some((batch.width, batch.height));
            samples.extend_from_slice(&batch.pixels.floats());
            labels.extend(batch.labels);
        }
        let Some((width, height)) = size else { return Ok(()) };
        let batch = Batch { width, height, pixels: Pixels::Floats(samples), labels };
        self.publish("validation", epoch, &self.sheet(&batch, Some(&found)))
    }

    fn sheet(&self, batch: &Batch, found: Option<&[u8]>) -> Sheet {
        let spec = &self.job.spec;
        Sheet::new(batch, spec.bands as usize, spec.normalize.as_ref(), found)
    }

    fn publish(&self, name: &str, epoch: u32, sheet: &Sheet) -> Result<()> {
        let png = match sheet.png() {
            Ok(png) => png,
            // Nothing that is learnt depends on it.
            Err(error) => {
                tracing::warn!(picture = name, epoch, %error, "a picture can't be drawn");
                return Ok(());
            }
        };
        let store = &self.job.store;
        if is_told(epoch, self.job.spec.epochs) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let (width, height, step) = (sheet.width, sheet.height, epoch.into());
            let picture = Picture { tag: name, wall_time: now.as_secs_f64(), step, width, height, png: &png };
            let key = self.key(&format!("{FOLDER}events.out.tfevents.swath.{epoch:06}"));
            store.put(&key, picture_file(&picture))?;
        }
        store.put(&self.key(&format!("{FOLDER}{name}.png")), png)
    }
}

/// The first one, and as many as are wanted from there to the last.
fn is_told(epoch: u32, epochs: u32) -> bool {
    let part = |epoch: u32| u64::from(epoch) * TOLD / u64::from(epochs);
    epoch <= 1 || part(epoch) > part(epoch - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_few_however_long_it_takes() {
        let told = |epochs| (0..=epochs).filter(|&epoch| is_told(epoch, epochs)).collect::<Vec<_>>();
        assert_eq!(told(1), [0, 1]);
        assert_eq!(told(4), [0, 1, 2, 3, 4]);
        assert_eq!(told(20), [0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20]);
        assert_eq!((told(100_000).len(), told(100_000).last()), (12, Some(&100_000)));
    }
}

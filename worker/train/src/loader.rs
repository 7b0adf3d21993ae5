//! What comes before the first batch, and batches without a training, to see what they cost.

use std::sync::Arc;

use swath_backends::blobs::Meta;
use swath_model::{Batch, Gang};
use tokio_util::sync::CancellationToken;

use crate::{
    Job,
    ahead::ahead,
    cache::{Cache, Room},
    data::{Chips, Shard},
    error::{Result, TrainError},
    train::Run,
};

/// Shards that an error names.
const NAMED: usize = 20;

/// Holds every tar against its index before any chip is fetched, and finds places for chips in the cache.
pub(crate) fn look_at_shards(job: &Job, train: &mut Chips<'_>, validation: &mut Chips<'_>) -> Result<()> {
    let Job { spec, store, machine, .. } = job;
    // Those that are trained on are validated on too.
    let of_validation: &[Shard] = if spec.overfits() { &[] } else { &job.validation };
    let shards = || job.train.iter().chain(of_validation);
    let tars = store.look(shards().map(|shard| shard.key.clone()))?;
    let wrong: Vec<String> =
        shards().zip(&tars).filter_map(|(shard, tar)| fault(shard, tar.as_ref())).collect();
    if !wrong.is_empty() {
        let more = wrong.len().saturating_sub(NAMED);
        let named = wrong[..wrong.len() - more].join("; ");
        let named = if more > 0 { format!("{named}; and {more} more") } else { named };
        if spec.bad_chips == 0.0 {
            return Err(TrainError::data(format!(
                "{} of {} shards are not as their index says: {named}; put them back, or let bad_chips say which \
                 share of the chips may be left out",
                wrong.len(),
                tars.len()
            )));
        }
        tracing::warn!("{} of {} shards are not as their index says: {named}", wrong.len(), tars.len());
    }
    if machine.chip_cache > 0 {
        let (tars_of_train, tars_of_validation) = tars.split_at(job.train.len());
        let of_both = [(&job.train[..], tars_of_train), (of_validation, tars_of_validation)];
        match keep(job, of_both) {
            Ok([of_train, of_validation]) => {
                (train.cache, validation.cache) = (Some(of_train), Some(of_validation))
            }
            // It would only spare time.
            Err(error) => tracing::warn!("{error}; chips are fetched each time"),
        }
    }
    Ok(())
}

fn keep(job: &Job, of_both: [(&[Shard], &[Option<Meta>]); 2]) -> Result<[Arc<Cache>; 2]> {
    let mut room = Room::open(&job.machine.cache, job.machine.chip_cache)?;
    let [of_train, of_validation] = of_both.map(|(shards, tars)| room.keep(&job.store, shards, tars));
    let caches = [Arc::new(of_train?), Arc::new(of_validation?)];
    room.clear()?;
    Ok(caches)
}

fn fault(shard: &Shard, tar: Option<&Meta>) -> Option<String> {
    let key = &shard.key;
    match tar {
        None => Some(format!("{key} is not there")),
        Some(tar) => shard.index.check_tar(tar.len).err().map(|error| format!("{key}: {error}")),
    }
}

/// Gives `see` all batches of an epoch, from 0, as the training would get them.
pub fn load_epoch(job: &Job, epoch: u32, see: &mut dyn FnMut(&Batch)) -> Result<()> {
    let (stop, gang) = (CancellationToken::new(), Gang::alone());
    let run = Run::new(job, &stop, &gang)?;
    let share = run.share(epoch, &gang);
    ahead(
        job.machine.loaders,
        0..run.steps_per_epoch,
        |step| run.load(&share, step),
        |next| {
            for _ in 0..run.steps_per_epoch {
                let batch = next()?;
                see(&batch);
                run.train.spare.give(batch);
            }
            Ok(())
        },
    )
}

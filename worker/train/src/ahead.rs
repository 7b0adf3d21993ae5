//! Batches that are fetched and decoded while others are computed.

use std::{
    ops::Range,
    sync::mpsc::{Receiver, sync_channel},
    thread,
};

use swath_model::Batch;

use crate::error::{Kind, Result, TrainError};

/// Gives `consume` what `load` makes of each step, in the order of steps. Each thread has its own
/// steps and holds one batch ready beside the one that it makes: memory is bounded by threads.
pub(crate) fn ahead<T>(
    n_threads: u32,
    steps: Range<u64>,
    load: impl Fn(u64) -> Result<Batch> + Sync,
    consume: impl FnOnce(&mut dyn FnMut() -> Result<Batch>) -> T,
) -> T {
    let n_threads = n_threads.max(1) as usize;
    let load = &load;
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..n_threads)
            .map(|lane| {
                let (sender, receiver) = sync_channel(0);
                let mine = steps.clone().skip(lane).step_by(n_threads);
                let work = move || {
                    // Nobody listens any more where the consumer has enough.
                    for step in mine {
                        if sender.send(load(step)).is_err() {
                            break;
                        }
                    }
                };
                thread::Builder::new().spawn_scoped(scope, work).map(|_| receiver)
            })
            .collect();
        let mut next = lanes.iter().cycle();
        consume(&mut || match next.next().map(|lane| lane.as_ref().map(Receiver::recv)) {
            Some(Ok(Ok(batch))) => batch,
            Some(Err(error)) => Err(TrainError::no_thread(error)),
            _ => Err(TrainError::new(Kind::Internal, "there is no further batch")),
        })
    })
}

#[cfg(test)]
mod tests {
    use swath_model::Pixels;

    use super::*;

    fn batch(step: u64) -> Batch {
        Batch { width: 1, height: 1, pixels: Pixels::Floats(vec![step as f32]), labels: vec![0] }
    }

    #[test]
    fn batches_come_in_order_whatever_they_take() {
        for n_threads in [1, 3, 8] {
            let load = |step: u64| {
                thread::sleep(std::time::Duration::from_millis(7 * (step % 3)));
                Ok(batch(step))
            };
            ahead(n_threads, 4..21, load, |next| {
                (4..21).for_each(|step| assert_eq!(next().unwrap(), batch(step)));
                assert!(next().is_err());
            });
        }
    }

    #[test]
    fn a_consumer_that_has_enough_leaves_nobody_waiting() {
        let first = ahead(2, 0..u64::MAX, |step| Ok(batch(step)), |next| next().unwrap());
        assert_eq!(first, batch(0));
        let error = ahead(2, 0..9, |_| Err(TrainError::data("broken")), |next| next().unwrap_err());
        assert_eq!(error.to_string(), "broken");
    }
}

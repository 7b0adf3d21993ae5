//! How far a training has come, and how long it will go on.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use swath_model::{Batch, Overlap};
use swath_proto::learn::Training;

use crate::error::Result;

/// Epochs count from 1; `step` is what is done of `steps` in this phase of it. No steps: how many it has is not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub epoch: u32,
    pub epochs: u32,
    pub validates: bool,
    pub step: u64,
    pub steps: u64,
    /// Chips that an epoch trains on.
    pub samples: u64,
    /// Of the epoch so far.
    pub loss: Option<f64>,
    /// On the validation chips, after the epoch before this one.
    pub mean_iou: Option<f64>,
    pub samples_per_s: f64,
    /// The share of this phase's time so far in which the next batch was waited for.
    pub waiting: f64,
    /// Seconds so far for which gradients were summed over all ranks, and those of them in which nothing else was left
    /// to compute: of this rank, since it began.
    pub summing_s: f64,
    pub exposed_s: f64,
    /// To the end of the last epoch.
    pub eta_s: Option<f64>,
}

impl From<&Progress> for Training {
    fn from(now: &Progress) -> Self {
        Self {
            epoch: now.epoch,
            epochs: now.epochs,
            validates: now.validates,
            step: now.step,
            steps: now.steps,
            images: now.samples,
            loss: now.loss,
            mean_iou: now.mean_iou,
            images_per_second: now.samples_per_s,
            eta_seconds: now.eta_s,
            waits_for: None,
        }
    }
}

/// What there is to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub(crate) epochs: u32,
    pub(crate) steps: u64,
    pub(crate) validation_steps: u64,
    pub(crate) batch: u32,
    /// Of an epoch: as many as there are chips.
    pub(crate) samples: u64,
    /// More chips are being cut: nobody knows how many steps there will be.
    pub(crate) is_open: bool,
}

/// Where it stands; epochs count from 0 here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    pub(crate) epoch: u32,
    pub(crate) validates: bool,
    pub(crate) step: u64,
    pub(crate) loss: Option<f64>,
}

/// Tells of every step, and measures on the way.
pub(crate) struct Teller<'a> {
    tell: &'a mut dyn FnMut(Progress),
    course: Course,
    train: Pace,
    validate: Pace,
    validates: bool,
    pub(crate) mean_iou: Option<f64>,
    pub(crate) overlap: Overlap,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(tell: &'a mut dyn FnMut(Progress), course: Course, mean_iou: Option<f64>) -> Self {
        let (train, validate) = <(Pace, Pace)>::default();
        let overlap = Overlap::default();
        Self { tell, course, train, validate, validates: false, mean_iou, overlap }
    }

    /// A phase of an epoch begins.
    pub(crate) fn begin(&mut self, validates: bool) {
        self.validates = validates;
        self.pace().begin(Instant::now());
    }

    fn pace(&mut self) -> &mut Pace {
        if self.validates { &mut self.validate } else { &mut self.train }
    }

    /// The next batch, and how long it took to come.
    pub(crate) fn wait(&mut self, next: &mut dyn FnMut() -> Result<Batch>) -> Result<Batch> {
        let began = Instant::now();
        let batch = next();
        self.pace().waited += began.elapsed();
        batch
    }

    /// For the log: whether the rank computes or waits for its chips.
    pub(crate) fn tell_waiting(&mut self, rank: u32) {
        let waiting = self.pace().waiting(Instant::now());
        tracing::info!(rank, waiting, "the share of the epoch's time that went into waiting for chips");
    }

    pub(crate) fn stepped(&mut self, point: Point) {
        let (now, course, pace) = (Instant::now(), self.course, self.pace());
        pace.stepped(now);
        let (step_s, waiting) = (pace.step_s, pace.waiting(now));
        let steps = match point.validates {
            true => course.validation_steps,
            // Those of this part are not those of the epoch.
            false if course.is_open => 0,
            false => course.steps,
        };
        (self.tell)(Progress {
            epoch: point.epoch + 1,
            epochs: course.epochs,
            validates: point.validates,
            step: point.step,
            steps,
            samples: course.samples,
            loss: point.loss,
            mean_iou: self.mean_iou,
            samples_per_s: step_s.map_or(0.0, |step_s| f64::from(course.batch) / step_s.max(1e-9)),
            waiting,
            summing_s: self.overlap.summing_s,
            exposed_s: self.overlap.exposed_s,
            eta_s: eta_s(course, point, self.train.step_s, self.validate.step_s),
        });
    }
}

/// Before any validation was timed, a step of it counts as a third: it goes forward and not back.
fn eta_s(course: Course, point: Point, step_s: Option<f64>, validation_s: Option<f64>) -> Option<f64> {
    if course.is_open {
        return None;
    }
    let epochs_left = u64::from(course.epochs.saturating_sub(point.epoch));
    let (mut steps, mut validation) = (epochs_left * course.steps, epochs_left * course.validation_steps);
    if point.validates {
        steps -= course.steps.min(steps);
        validation -= point.step.min(validation);
    } else {
        steps -= point.step.min(steps);
    }
    let seconds = |n: u64, each: Option<f64>| if n == 0 { Some(0.0) } else { Some(n as f64 * each?) };
    let validation_s = validation_s.or_else(|| Some(step_s? / 3.0));
    Some(seconds(steps, step_s)? + seconds(validation, validation_s)?)
}

/// Seconds a step, over the phase at hand. Its first step loads kernels and waits for the first batch: it
/// counts only until there is a second.
#[derive(Default)]
struct Pace {
    began: Option<Instant>,
    first: Option<Instant>,
    n: u32,
    step_s: Option<f64>,
    waited: Duration,
}

impl Pace {
    fn begin(&mut self, now: Instant) {
        *self = Self { began: Some(now), step_s: self.step_s, ..Self::default() };
    }

    fn waiting(&self, now: Instant) -> f64 {
        let all = self.began.map_or(Duration::ZERO, |began| now.duration_since(began));
        self.waited.as_secs_f64() / all.as_secs_f64().max(1e-9)
    }

    fn stepped(&mut self, now: Instant) {
        self.n += 1;
        let first = *self.first.get_or_insert(now);
        if self.n > 1 {
            self.step_s = Some(now.duration_since(first).as_secs_f64() / f64::from(self.n - 1));
        } else if self.step_s.is_none() {
            self.step_s = self.began.map(|began| now.duration_since(began).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COURSE: Course =
        Course { epochs: 3, steps: 10, validation_steps: 4, batch: 8, samples: 80, is_open: false };

    fn at(epoch: u32, validates: bool, step: u64) -> Point {
        Point { epoch, validates, step, loss: None }
    }

    #[test]
    fn the_time_left_is_that_of_all_steps_that_are_not_done() {
        // Four steps of this epoch, ten of the next, and two validations.
        assert_eq!(eta_s(COURSE, at(1, false, 6), Some(2.0), Some(0.5)), Some(28.0 + 4.0));
        assert_eq!(eta_s(COURSE, at(1, true, 3), Some(2.0), Some(0.5)), Some(20.0 + 2.5));
        assert_eq!(eta_s(COURSE, at(2, true, 4), Some(2.0), None), Some(0.0));
        assert_eq!(eta_s(COURSE, at(2, false, 10), Some(3.0), None), Some(4.0));
        assert_eq!(eta_s(COURSE, at(0, true, 1), None, Some(1.0)), None);
        let open = Course { is_open: true, ..COURSE };
        assert_eq!(eta_s(open, at(0, false, 6), Some(2.0), Some(0.5)), None, "more chips may come");
    }

    #[test]
    fn as_long_as_more_chips_may_come_no_steps_are_told_but_those_that_are_done() {
        let told = |is_open| {
            let mut told = Vec::new();
            let mut tell = |now: Progress| told.push((now.step, now.steps, now.eta_s.is_some()));
            let mut teller = Teller::new(&mut tell, Course { is_open, ..COURSE }, None);
            teller.begin(false);
            teller.stepped(at(0, false, 10));
            told
        };
        assert_eq!((told(true), told(false)), (vec![(10, 0, false)], vec![(10, 10, true)]));
    }

    #[test]
    fn a_first_step_counts_only_until_there_is_a_second() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.begin(start);
        pace.stepped(after(20));
        assert_eq!(pace.step_s, Some(20.0));
        pace.stepped(after(22));
        pace.stepped(after(24));
        assert_eq!(pace.step_s, Some(2.0));
        pace.begin(after(100));
        pace.stepped(after(130));
        assert_eq!(pace.step_s, Some(2.0), "the phase before it still tells more");
    }

    #[test]
    fn waiting_is_a_share_of_the_phase_and_begins_anew_with_it() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pace = Pace::default();
        pace.begin(start);
        pace.waited += Duration::from_secs(3);
        pace.waited += Duration::from_secs(2);
        assert_eq!((pace.waiting(after(10)), pace.waiting(after(20))), (0.5, 0.25));
        pace.begin(after(20));
        assert_eq!(pace.waiting(after(30)), 0.0);
    }
}

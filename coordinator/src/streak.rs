//! Whether a run fails, and not its items: when item after item fails with the same error at every worker,
//! there is one thing to mend, and burying ten thousand items would hide it.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use swath_backends::ledger::Event;
use swath_proto::{
    ids::{SceneId, WorkerId},
    item::Place,
    outcome::{Failure, FailureClass},
};

/// Different items (of bad data: different scenes, since one bad scene never stops the others) that have
/// failed in a row. Fewer than make a worker doubt itself, so that the run's word comes first.
const TOO_MANY: usize = 8;

/// A worker that fails at once is not to speak for those that have not even begun.
const AT_LEAST: Duration = Duration::from_secs(5);

/// Failures since the last item that was finished, as long as they are the same.
#[derive(Default)]
pub struct Streak {
    last: Option<Failure>,
    since: Option<Instant>,
    places: HashSet<Place>,
    scenes: HashSet<SceneId>,
    workers: HashSet<WorkerId>,
}

impl Streak {
    pub fn hear(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Finished { .. } | Event::Reset { .. } => *self = Self::default(),
            Event::Released { place, failure: Some(failure), .. } | Event::Buried { place, failure, .. } => {
                self.add(*place, failure, now);
            }
            Event::Released { failure: None, .. } | Event::Lost { .. } => {}
        }
    }

    fn add(&mut self, place: Place, failure: &Failure, now: Instant) {
        // Nothing went wrong, or the run ends of it anyway.
        if matches!(failure.class, FailureClass::Preempted | FailureClass::Dropped | FailureClass::Config) {
            return;
        }
        let is_same =
            |last: &Failure| last.class == failure.class && shape(&last.message) == shape(&failure.message);
        if !self.last.as_ref().is_some_and(is_same) {
            *self = Self::default();
        }
        self.last = Some(failure.clone());
        self.since.get_or_insert(now);
        self.places.insert(place);
        self.scenes.extend(failure.scene.clone());
        self.workers.insert(failure.worker.clone());
    }

    /// The one error that the run fails with. `at_work` are the workers that hold items now: as long as one
    /// of them has not failed too, it may be the others that are not fit.
    pub fn verdict<'a>(
        &self,
        mut at_work: impl Iterator<Item = &'a WorkerId>,
        now: Instant,
    ) -> Option<String> {
        let last = self.last.as_ref()?;
        let is_lasting = now.duration_since(self.since?) >= AT_LEAST;
        let (n, of) = match last.class {
            FailureClass::Data => (self.scenes.len(), "scenes"),
            _ => (self.places.len(), "items"),
        };
        let everywhere = at_work.all(|worker| self.workers.contains(worker));
        (n >= TOO_MANY && is_lasting && everywhere).then(|| {
            format!(
                "{n} different {of} have failed in a row with the same error, and nothing was finished in between: {}",
                last.message
            )
        })
    }
}

/// What two messages have in common that differ in names and numbers alone.
fn shape(message: &str) -> String {
    let is_word = |word: &&str| {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        !word.is_empty() && word.chars().all(|c| c.is_alphabetic() || matches!(c, '\'' | '-'))
    };
    message
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .filter(is_word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::{item::Stage, outcome::Report};

    struct Told {
        streak: Streak,
        start: Instant,
    }

    impl Told {
        fn nothing() -> Self {
            Self { streak: Streak::default(), start: Instant::now() }
        }

        fn fails(&mut self, index: u32, class: FailureClass, message: &str, worker: &str) {
            let failure = Failure {
                class,
                message: message.into(),
                scene: Some(format!("scene-{}", index / 2).parse().unwrap()),
                rect: None,
                worker: worker.parse().unwrap(),
            };
            let place = Place::new(Stage::Predict, 0, index);
            self.streak.hear(&Event::Released { place, failures: 1, failure: Some(failure) }, self.start);
        }

        fn verdict(&self, at_work: &[&str]) -> Option<String> {
            let at_work: Vec<WorkerId> = at_work.iter().map(|name| name.parse().unwrap()).collect();
            self.streak.verdict(at_work.iter(), self.start + AT_LEAST)
        }
    }

    fn full(index: u32) -> String {
        format!("writing /mnt/items/{index:02x}/predict: No space left on device (os error 28)")
    }

    #[test]
    fn the_same_error_of_many_items_is_the_runs() {
        let mut told = Told::nothing();
        for index in 0..7 {
            told.fails(index, FailureClass::Capacity, &full(index), "w");
        }
        assert_eq!(told.verdict(&["w"]), None);
        told.fails(6, FailureClass::Capacity, &full(6), "w");
        assert_eq!(told.verdict(&["w"]), None, "one item again and again is the item's fault");
        told.fails(7, FailureClass::Capacity, &full(7), "w");
        let verdict = told.verdict(&["w"]).expect("a verdict");
        assert!(verdict.starts_with("8 different items") && verdict.contains("No space left"), "{verdict}");
        assert_eq!(told.verdict(&[]), Some(verdict));
        assert_eq!(told.streak.verdict([].iter(), told.start), None, "others may not even have begun");
    }

    #[test]
    fn as_long_as_one_worker_has_not_failed_it_may_be_the_others() {
        let mut told = Told::nothing();
        (0..20).for_each(|index| told.fails(index, FailureClass::Fault, "no such file", "broken"));
        assert_eq!(told.verdict(&["broken", "healthy"]), None);
        told.fails(20, FailureClass::Fault, "no such file", "healthy");
        assert!(told.verdict(&["broken", "healthy"]).is_some());
    }

    #[test]
    fn other_errors_and_items_that_end_well_begin_the_count_anew() {
        let mut told = Told::nothing();
        (0..7).for_each(|index| told.fails(index, FailureClass::Fault, "no such file", "w"));
        told.fails(7, FailureClass::Fault, "permission denied", "w");
        assert_eq!(told.verdict(&["w"]), None);
        (8..14).for_each(|index| told.fails(index, FailureClass::Fault, "permission denied", "w"));
        let place = Place::new(Stage::Predict, 0, 99);
        told.streak.hear(&Event::Finished { place, report: Report::default() }, told.start);
        told.fails(15, FailureClass::Fault, "permission denied", "w");
        assert_eq!(told.verdict(&["w"]), None);
    }

    #[test]
    fn one_bad_scene_stops_nobody() {
        let mut told = Told::nothing();
        (0..14).for_each(|index| told.fails(index, FailureClass::Data, "it is torn", "w"));
        assert_eq!(told.verdict(&["w"]), None, "of seven scenes");
        told.fails(14, FailureClass::Data, "it is torn", "w");
        assert!(told.verdict(&["w"]).is_some());
        let mut dropped = Told::nothing();
        (0..40).for_each(|index| dropped.fails(index, FailureClass::Dropped, "dropped by command", "c"));
        assert_eq!(dropped.verdict(&[]), None);
    }
}

//! The holds of a worker, extended together: one call a run and tick, however many items are in hand.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use swath_backends::Result;
use swath_proto::{ids::RunId, item::Place};
use tokio::time::Instant;

#[derive(Default)]
pub struct Holds(Mutex<HashMap<RunId, Weak<OfRun>>>);

/// The holds of one run.
#[derive(Default)]
pub struct OfRun {
    places: Mutex<BTreeSet<Place>>,
    /// Of these, what others may have by now.
    lost: Mutex<BTreeSet<Place>>,
    /// When all of them were extended; locked while they are, so that whoever is cut off leaves it to the next.
    extended: tokio::sync::Mutex<Option<Instant>>,
}

impl Holds {
    pub fn of(&self, run: &RunId) -> Arc<OfRun> {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_run) = runs.get(run).and_then(Weak::upgrade) {
            return of_run;
        }
        runs.retain(|_, of_run| of_run.strong_count() > 0);
        let of_run = Arc::new(OfRun::default());
        runs.insert(run.clone(), Arc::downgrade(&of_run));
        of_run
    }
}

impl OfRun {
    /// Until what is returned is dropped.
    pub fn keep(&self, place: Place) -> Kept<'_> {
        self.places().insert(place);
        Kept { of_run: self, place }
    }

    /// Extends all that is kept, unless another has done so within `every`. Returns what is held no more, and when
    /// to ask again.
    pub async fn extend<F>(
        &self,
        every: Duration,
        extend: impl FnOnce(Vec<Place>) -> F,
    ) -> Result<(Vec<Place>, Instant)>
    where
        F: Future<Output = Result<Vec<Place>>>,
    {
        let mut extended = self.extended.lock().await;
        let now = Instant::now();
        // Whatever came after that is not far from its claim.
        if let Some(next) = extended.map(|at| at + every).filter(|next| now < *next) {
            return Ok((Vec::new(), next));
        }
        let places: Vec<Place> = self.places().iter().copied().collect();
        let mut lost = extend(places).await?;
        *extended = Some(now);
        // What was finished meanwhile is not held, as it should be.
        let kept = self.places();
        lost.retain(|place| kept.contains(place));
        self.lost().extend(&lost);
        Ok((lost, now + every))
    }

    pub fn has_lost(&self, place: Place) -> bool {
        self.lost().contains(&place)
    }

    /// It was claimed once more.
    pub fn regain(&self, place: Place) {
        self.lost().remove(&place);
    }

    fn lost(&self) -> std::sync::MutexGuard<'_, BTreeSet<Place>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> std::sync::MutexGuard<'_, BTreeSet<Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Kept<'a> {
    of_run: &'a OfRun,
    place: Place,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.of_run.places().remove(&self.place);
        self.of_run.regain(self.place);
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use swath_backends::{Error, Kind};
    use swath_proto::item::Stage;

    use super::*;

    /// Longer than this test takes.
    const TICK: Duration = Duration::from_secs(3600);

    fn run(name: &str) -> RunId {
        name.parse().expect("a run's name")
    }

    fn place(index: u32) -> Place {
        Place::new(Stage::Predict, 0, index)
    }

    async fn asked(of_run: &OfRun, every: Duration) -> Option<Vec<Place>> {
        let mut asked = None;
        let extend = |places| {
            asked = Some(places);
            async { Ok(Vec::new()) }
        };
        of_run.extend(every, extend).await.expect("extending");
        asked
    }

    #[tokio::test]
    async fn one_call_a_run_and_tick_extends_all_that_is_held() {
        let holds = Holds::default();
        let (one, same, other) = (holds.of(&run("a")), holds.of(&run("a")), holds.of(&run("b")));
        let (first, _second) = (one.keep(place(1)), same.keep(place(2)));
        let _others = other.keep(place(3));
        assert_eq!(asked(&one, TICK).await, Some(vec![place(1), place(2)]));
        assert_eq!(asked(&same, TICK).await, None, "it was called twice within a tick");
        assert_eq!(asked(&other, TICK).await, Some(vec![place(3)]));
        drop(first);
        assert_eq!(asked(&one, Duration::ZERO).await, Some(vec![place(2)]), "what is done was extended");
    }

    #[tokio::test]
    async fn what_failed_or_was_cut_off_is_left_to_the_next() {
        let holds = Holds::default();
        let of_run = holds.of(&run("a"));
        let _kept = of_run.keep(place(1));
        let away = |_| async { Err(Error::new(Kind::Transient, "extending", anyhow!("away"))) };
        of_run.extend(TICK, away).await.expect_err("it was away");
        let cut_off = of_run.extend(TICK, |_| std::future::pending());
        tokio::time::timeout(Duration::from_millis(10), cut_off).await.expect_err("it never ends");
        assert_eq!(asked(&of_run, TICK).await, Some(vec![place(1)]));
    }

    #[tokio::test]
    async fn a_hold_is_lost_only_while_it_is_kept() {
        let holds = Holds::default();
        let of_run = holds.of(&run("a"));
        let (kept, gone) = (of_run.keep(place(1)), of_run.keep(place(2)));
        let extend = |places| {
            drop(gone);
            async { Ok(places) }
        };
        let (lost, next) = of_run.extend(TICK, extend).await.expect("extending");
        assert_eq!(lost, [place(1)]);
        assert!(of_run.has_lost(place(1)) && !of_run.has_lost(place(2)));
        assert!(next > Instant::now(), "the next call is due at once");
        drop(kept);
        assert!(of_run.places().is_empty() && !of_run.has_lost(place(1)));
        drop(of_run);
        let _other = holds.of(&run("b"));
        assert_eq!(holds.0.lock().expect("the runs").len(), 1, "runs that are over stay for ever");
    }
}

//! Runs that are served in this process, for those in it who watch: they hear ten times a second what `status.json`
//! tells every ten seconds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use swath_proto::{ids::RunId, status::RunStatus};
use tokio::sync::watch;

/// What a run tells of itself while it is served.
pub type Teller = watch::Sender<Option<RunStatus>>;

/// Handle to what is known; clones share it.
#[derive(Clone, Default)]
pub struct Live(Arc<Mutex<HashMap<RunId, Teller>>>);

impl Live {
    fn known(&self) -> MutexGuard<'_, HashMap<RunId, Teller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run is served from now on. A run that nobody listens to tells nothing, and that costs nothing.
    pub fn begin(&self, run: &RunId, teller: Teller) {
        self.known().insert(run.clone(), teller);
    }

    pub fn end(&self, run: &RunId) {
        self.known().remove(run);
    }

    /// None where the run is not served here.
    pub fn listen(&self, run: &RunId) -> Option<watch::Receiver<Option<RunStatus>>> {
        Some(self.known().get(run)?.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_heard_while_it_is_served() {
        let (live, run) = (Live::default(), "a-1".parse().unwrap());
        assert!(live.listen(&run).is_none());
        let (teller, _) = watch::channel(None);
        live.begin(&run, teller.clone());
        assert_eq!(teller.receiver_count(), 0, "nobody listens, and nothing is made up to be told");
        let listener = live.listen(&run).unwrap();
        assert_eq!((teller.receiver_count(), listener.borrow().is_none()), (1, true));
        live.end(&run);
        assert!(live.listen(&run).is_none());
    }
}

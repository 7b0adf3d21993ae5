//! What is to go wrong, as a budget: each request takes the next of it, and when it is used up all is well.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It goes to the server, and the server's answer comes back.
    Pass,
    /// 500, and the server never hears of it.
    InternalError,
    /// 503 with S3's SlowDown.
    SlowDown,
    /// The connection is reset, and the server never hears of it.
    Reset,
    /// The server does it, and the connection is reset in the place of an answer.
    Lost,
    /// The server does it, and half of the answer's body comes back.
    Truncated,
}

impl Answer {
    const FAULTS: [Self; 5] = [Self::InternalError, Self::SlowDown, Self::Reset, Self::Lost, Self::Truncated];
}

/// What becomes of `n` requests of which about one in `one_in` goes wrong: the same for the same seed.
pub fn drawn(seed: u64, n: usize, one_in: u32) -> Vec<Answer> {
    let mut draw = StdRng::seed_from_u64(seed);
    let answer = |_| match draw.random_ratio(1, one_in) {
        true => Answer::FAULTS[draw.random_range(0..Answer::FAULTS.len())],
        false => Answer::Pass,
    };
    (0..n).map(answer).collect()
}

#[derive(Default)]
pub(super) struct Budget(Mutex<Left>);

#[derive(Default)]
struct Left {
    answers: VecDeque<Answer>,
    /// Connections, and the bytes after which each ends.
    tears: (usize, u64),
    n_struck: usize,
}

impl Budget {
    pub(super) fn answer(&self, answers: Vec<Answer>) {
        self.left().answers = answers.into();
    }

    pub(super) fn tear(&self, n: usize, after: u64) {
        self.left().tears = (n, after);
    }

    pub(super) fn n_struck(&self) -> usize {
        self.left().n_struck
    }

    /// For the next request.
    pub(super) fn take(&self) -> Answer {
        let mut left = self.left();
        let answer = left.answers.pop_front().unwrap_or(Answer::Pass);
        left.n_struck += usize::from(answer != Answer::Pass);
        answer
    }

    /// For the next connection: the bytes after which it is reset.
    pub(super) fn tear_one(&self) -> Option<u64> {
        let mut left = self.left();
        left.tears.0 = left.tears.0.checked_sub(1)?;
        left.n_struck += 1;
        Some(left.tears.1)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

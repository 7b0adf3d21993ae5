//! What is around a coordinator in simulated time: a queue, and machines that take a while to come.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use anyhow::anyhow;
use async_trait::async_trait;
use jiff::Timestamp;
use swath_backends::{
    Error, Kind, Result,
    queue::{Lane, Queue, Receiver},
};

use crate::fleet::provider::{Ending, Job, JobId, JobState, Order, Provider, ProviderError};

/// First in, first out. All is in one lane.
#[derive(Clone, Default)]
pub(super) struct Messages(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Messages {
    fn all(&self) -> MutexGuard<'_, VecDeque<Vec<u8>>> {
        self.0.lock().expect("no panic")
    }

    /// Workers take from here, in simulated time.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        self.all().pop_front()
    }

    pub(super) fn n(&self) -> usize {
        self.all().len()
    }
}

#[async_trait]
impl Queue for Messages {
    async fn publish(&self, lane: Lane, messages: Vec<Vec<u8>>) -> Result<()> {
        assert_eq!(lane, Lane::Cpu);
        self.all().extend(messages);
        Ok(())
    }

    async fn receive(&self, lane: Lane, _: usize) -> Result<Box<dyn Receiver>> {
        let why = anyhow!("workers of simulated time take what is next when their time has come");
        Err(Error::new(Kind::Config, format!("receiving from {}", lane.name()), why))
    }

    async fn waiting(&self, lane: Lane) -> Result<u64> {
        Ok(if lane == Lane::Cpu { self.n() as u64 } else { 0 })
    }

    async fn purge(&self, _: Lane) -> Result<()> {
        self.all().clear();
        Ok(())
    }
}

/// As many machines as anybody wants, each so long after its order.
pub(super) struct Machines {
    launch: Duration,
    state: Mutex<State>,
}

struct State {
    now: Timestamp,
    jobs: Vec<Job>,
}

impl Machines {
    pub(super) fn new(launch: Duration, now: Timestamp) -> Self {
        Self { launch, state: Mutex::new(State { now, jobs: Vec::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    /// It is so late now; returns those whose worker begins.
    pub(super) fn come(&self, now: Timestamp) -> Vec<JobId> {
        let mut state = self.state();
        state.now = now;
        let mut come = Vec::new();
        for job in &mut state.jobs {
            let is_there = now.duration_since(job.asked).as_secs_f64() >= self.launch.as_secs_f64();
            if job.state == JobState::Launching && is_there {
                job.state = JobState::Running;
                come.push(job.id.clone());
            }
        }
        come
    }

    /// Its worker has left, or is not wanted any more.
    pub(super) fn end(&self, id: &JobId) {
        let mut state = self.state();
        let now = state.now;
        if let Some(job) = state.jobs.iter_mut().find(|job| job.id == *id && !job.state.is_over()) {
            job.state = JobState::Ended(Ending::Done);
            job.ended = Some(now);
        }
    }

    /// How many are there or come, and how many there have been.
    pub(super) fn n(&self) -> (usize, usize) {
        let state = self.state();
        let there = state.jobs.iter().filter(|job| !job.state.is_over()).count();
        (there, state.jobs.len())
    }
}

#[async_trait]
impl Provider for Machines {
    async fn start(&self, order: &Order) -> std::result::Result<Vec<JobId>, ProviderError> {
        let mut state = self.state();
        let now = state.now;
        if !state.jobs.iter().any(|job| job.token == order.token) {
            let job = |n: u32| Job {
                id: JobId(format!("local:{}-{n}", order.token)),
                token: order.token.clone(),
                kind: order.kind,
                market: order.market,
                state: JobState::Launching,
                asked: now,
                began: Some(now),
                ended: None,
            };
            state.jobs.extend((0..order.n).map(job));
        }
        Ok(state.jobs.iter().filter(|job| job.token == order.token).map(|job| job.id.clone()).collect())
    }

    async fn jobs(&self) -> std::result::Result<Vec<Job>, ProviderError> {
        Ok(self.state().jobs.clone())
    }

    async fn cancel(&self, job: &JobId, _: &str) -> std::result::Result<(), ProviderError> {
        self.end(job);
        Ok(())
    }
}

//! Who serves a run holds its office, a lease in the ledger; whoever has lost it must not touch anything.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use swath_backends::{Kind, ledger::Ledger};
use swath_proto::ids::RunId;

use crate::{records, run::Me};

pub(crate) struct Office {
    run: RunId,
    name: String,
    me: Me,
    ledger: Arc<dyn Ledger>,
    /// By this machine's clock, counted from before the ledger was asked.
    until: Mutex<Option<Instant>>,
}

impl Office {
    pub(crate) fn new(run: &RunId, me: Me, ledger: Arc<dyn Ledger>) -> Self {
        Self { run: run.clone(), name: records::office(run), me, ledger, until: Mutex::default() }
    }

    /// Whether it is ours now.
    pub(crate) async fn take(&self) -> swath_backends::Result<bool> {
        let asked = Instant::now();
        let is_ours = self.ledger.lead(&self.name, &self.me.name, self.me.lease).await?;
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = is_ours.then(|| asked + self.me.lease);
        Ok(is_ours)
    }

    /// Keeps it, beside all else that is done; returns why it is lost. A ledger that is away may come back, and
    /// until then nobody can take the office.
    pub(crate) async fn keep(&self) -> anyhow::Error {
        let mut pause = self.me.lease / 3;
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.take().await {
                Ok(true) => self.me.lease / 3,
                Ok(false) => return anyhow!("another coordinator has taken over run {}", self.run),
                Err(error) if error.kind == Kind::Transient => {
                    let error = error.told();
                    tracing::debug!(run = %self.run, error, "the office can't be kept; trying again");
                    self.me.lease / 10
                }
                Err(error) => return error.into(),
            };
        }
    }

    /// Nobody else can have it yet.
    pub(crate) fn is_ours(&self) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) const fn wait(&self) -> Duration {
        self.me.lease
    }

    pub(crate) async fn resign(&self) {
        if let Err(error) = self.ledger.resign(&self.name, &self.me.name).await {
            let error = error.told();
            tracing::debug!(run = %self.run, error, "the office runs out by itself");
        }
    }
}

//! The device thread: one OS thread owns the models and runs them, so that no future ever blocks on
//! a forward pass and a broker's heartbeats go on meanwhile.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use swath_model::{Files, Predictor};
use swath_proto::item::{ModelRef, WindowShape};
use tokio::sync::{mpsc, oneshot};

use crate::{
    context::logged,
    failure::JobError,
    metrics,
    native::{Inside, Suspect},
    phases::Phases,
    tail::Tail,
};

type Task = Box<dyn FnOnce(&mut Models) + Send>;

/// Handle to the thread; the thread ends when the last handle is gone.
#[derive(Clone)]
pub struct Device {
    // One task waits while one runs: that keeps the device busy, and more would only hold memory.
    tasks: mpsc::Sender<(Instant, Task)>,
}

impl Device {
    pub fn start(phases: Arc<Phases>) -> std::io::Result<Self> {
        let (tasks, mut queue) = mpsc::channel::<(Instant, Task)>(1);
        std::thread::Builder::new().name("device".into()).spawn(move || {
            let mut models = Models::default();
            while let Some((asked, task)) = queue.blocking_recv() {
                phases.compute(asked, || task(&mut models));
                // Here, since the driver answers whoever has computed.
                swath_model::card_memory().into_iter().for_each(metrics::saw_card);
            }
        })?;
        Ok(Self { tasks })
    }

    /// Runs `work` on the device thread; a panic there fails the item and not the thread.
    pub async fn run<T: Send + 'static>(
        &self,
        suspect: Suspect,
        work: impl FnOnce(&mut Models) -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        let (reply, answer) = oneshot::channel();
        let tail = Tail::current();
        let task: Task = Box::new(move |models| {
            let _inside = Inside::enter(&suspect);
            let work = AssertUnwindSafe(|| tail.within(|| logged("the network's work", || work(models))));
            let result = std::panic::catch_unwind(work)
                .unwrap_or_else(|panic| Err(JobError::panicked(panic.as_ref())));
            // Nobody waits any more when the item was handed back.
            let _ = reply.send(result);
        });
        let gone = || JobError::internal(anyhow::anyhow!("the device thread is gone"));
        self.tasks.send((Instant::now(), task)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// Loaded models, the one used last at the end.
#[derive(Default)]
pub struct Models {
    loaded: Vec<(Key, Box<dyn Predictor>)>,
}

#[derive(Clone, PartialEq)]
pub struct Key {
    pub model: ModelRef,
    pub window: WindowShape,
    pub batch: u32,
    pub threads: u32,
}

/// Models that stay loaded: a run has few.
const KEEP: usize = 2;

impl Models {
    pub fn get(&mut self, key: &Key, files: &[Files]) -> Result<&mut dyn Predictor, JobError> {
        if let Some(at) = self.loaded.iter().position(|(loaded, _)| loaded == key) {
            let used = self.loaded.remove(at);
            self.loaded.push(used);
        } else {
            if self.loaded.len() == KEEP {
                self.loaded.remove(0);
            }
            let predictor = swath_model::load(&key.model, files, key.window, key.batch, key.threads)?;
            self.loaded.push((key.clone(), predictor));
        }
        let (_, predictor) =
            self.loaded.last_mut().ok_or_else(|| JobError::internal(anyhow::anyhow!("no model")))?;
        Ok(predictor.as_mut())
    }
}

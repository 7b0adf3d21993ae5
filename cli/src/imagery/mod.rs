//! Draws what the page shows of pixels. GDAL is met on threads of our own: what it has open stays on one, and a slow
//! store holds up nobody but those who wait for pictures.

mod layers;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::Context as _;
use swath_coordinator::http::imagery::{Imagery, Picture, Undrawn};
use tokio::sync::{mpsc, oneshot};

use self::layers::Easel;

/// Two draw while the run works: a page is filled in a moment, and workers keep their processors.
const THREADS: usize = 2;
/// What GDAL keeps of what was read, for all pictures.
const CACHE_MIB: usize = 64;

/// Whoever wants a picture waits until a thread takes it.
pub(crate) struct Painter {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    picture: Picture,
    answer: oneshot::Sender<Result<Vec<u8>, Undrawn>>,
}

impl Painter {
    pub(crate) fn start() -> anyhow::Result<Self> {
        swath_raster::configure(&swath_raster::Settings { cache_mib: CACHE_MIB });
        let (jobs, receiver) = mpsc::channel(THREADS);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 1..=THREADS {
            let receiver = receiver.clone();
            let thread = thread::Builder::new().name(format!("imagery-{number}"));
            thread.spawn(move || paint(&receiver)).context("starting a thread for pictures")?;
        }
        Ok(Self { jobs })
    }
}

#[async_trait::async_trait]
impl Imagery for Painter {
    async fn draw(&self, picture: Picture) -> Result<bytes::Bytes, Undrawn> {
        let gone = || Undrawn::Failed("whoever draws is gone".into());
        let (answer, drawn) = oneshot::channel();
        self.jobs.send(Job { picture, answer }).await.map_err(|_| gone())?;
        Ok(drawn.await.map_err(|_| gone())??.into())
    }
}

/// Until nobody is left who could ask. The threads take turns to listen.
fn paint(jobs: &Mutex<mpsc::Receiver<Job>>) {
    let mut easel = Easel::default();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(Job { picture, answer }) = next else { return };
        if answer.is_closed() {
            // Whoever wanted it has gone on.
            continue;
        }
        let drawn = catch_unwind(AssertUnwindSafe(|| easel.draw(picture)));
        let drawn = drawn.unwrap_or_else(|_| {
            easel = Easel::default();
            Err(Undrawn::Failed("it panicked: see above".into()))
        });
        // As above.
        drop(answer.send(drawn));
    }
}

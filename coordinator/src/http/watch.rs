//! Looks at runs for all who watch them, once for all: at its status every second, at the state of its parts every
//! other. Looks only while somebody watches.

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt as _;
use lru::LruCache;
use serde_json::json;
use swath_backends::blobs::SharedBlobs;
use swath_proto::{
    ids::RunId,
    item::Place,
    keys,
    status::{RunState, RunStatus},
};
use tokio::sync::{Mutex as AsyncMutex, broadcast::Sender};

use super::{
    cells::{self, Marks},
    events::{Topic, alive, frame},
    layout::Layout,
    listed::{self, Runs},
    site::Site,
};
use crate::records::read_status;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks after which a connection is shown to be alive.
const ALIVE_EVERY: u32 = 15;
/// Looks without a listener: who reloads the page is back at once.
const PATIENCE: u32 = 10;
/// The last look is to be over before connections are cut off.
const LAST_LOOK: Duration = Duration::from_secs(1);
/// Runs whose parts are kept for the next who asks.
const KEPT: usize = 8;

/// How a run stands: as it is heard here, or as it was written down, whichever is newer.
pub(super) async fn status_of(site: &Site, run: &RunId) -> anyhow::Result<Option<RunStatus>> {
    let heard = site.live().listen(run).and_then(|heard| heard.borrow().clone());
    let written = read_status(&site.doors().blobs, run).await?;
    let when = |status: &RunStatus| status.written.parse::<jiff::Timestamp>().ok();
    Ok(match (heard, written) {
        (Some(heard), Some(written)) if when(&written) > when(&heard) => Some(written),
        (heard, written) => heard.or(written),
    })
}

/// The states of a run's parts at one moment.
pub(super) struct Parts {
    pub(super) layout: Arc<Layout>,
    pub(super) marks: Marks,
    pub(super) cells: Vec<u8>,
}

/// Those that were looked at last: many who ask at once are answered by one look, and a run that takes long to look
/// at holds up nobody who asks for another.
pub(super) struct Looks(Mutex<LruCache<RunId, Arc<AsyncMutex<Option<Look>>>>>);

struct Look {
    at: Instant,
    parts: Arc<Parts>,
}

impl Default for Looks {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN))))
    }
}

impl Looks {
    /// None where there is no such run.
    pub(super) async fn of(&self, site: &Site, run: &RunId) -> anyhow::Result<Option<Arc<Parts>>> {
        let of_run = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert(run.clone(), Arc::default).clone()
        };
        let mut kept = of_run.lock().await;
        if let Some(look) =
            kept.as_ref().filter(|look| look.at.elapsed() < LOOK_EVERY && !site.stop().is_cancelled())
        {
            return Ok(Some(look.parts.clone()));
        }
        let doors = site.doors();
        let Some(layout) = site.layouts().of(run, &doors.blobs).await? else { return Ok(None) };
        let state = status_of(site, run).await?.map(|status| status.state);
        let is_done = matches!(state, Some(RunState::Done | RunState::DoneWithFailures));
        let snapshot = doors.ledger.snapshot(run).await?;
        let held: HashSet<_> = doors.ledger.held(run).await?.into_iter().map(|(place, _)| place).collect();
        let graves = if snapshot.known { Vec::new() } else { graves(&doors.blobs, run).await? };
        let marks = Marks::new(snapshot, held, is_done, graves);
        let cells = cells::paint(&layout, &marks);
        let parts = Arc::new(Parts { layout, marks, cells });
        *kept = Some(Look { at: Instant::now(), parts: parts.clone() });
        Ok(Some(parts))
    }
}

/// Where what was buried has stood.
async fn graves(blobs: &SharedBlobs, run: &RunId) -> anyhow::Result<Vec<Place>> {
    let folder = keys::buried_of(run);
    let listed: Vec<_> = blobs.list(&folder).try_collect().await?;
    let place = |key: &str| key.strip_prefix(&folder)?.strip_suffix(".json")?.parse().ok();
    Ok(listed.iter().filter_map(|object| place(&object.key)).collect())
}

/// Closes a topic when whoever speaks on it is gone, for whatever reason: who listens next begins anew.
struct Speaking<'a> {
    site: &'a Site,
    topic: &'a Topic,
    sender: &'a Sender<Bytes>,
}

impl Drop for Speaking<'_> {
    fn drop(&mut self) {
        self.site.channels().close(self.topic, self.sender);
    }
}

/// Speaks on a topic until nobody listens, or this process goes: then it looks once more, so that all hear how it ended.
pub(super) async fn tell(site: Site, topic: Topic, sender: Sender<Bytes>) {
    let _speaking = Speaking { site: &site, topic: &topic, sender: &sender };
    let mut told = Told::default();
    let mut unheard = 0;
    for look in 0_u32.. {
        let is_last = tokio::select! {
            () = site.stop().cancelled() => true,
            () = tokio::time::sleep(LOOK_EVERY) => false,
        };
        if is_last {
            let last = told.tell(&site, &topic, 0, &sender);
            if tokio::time::timeout(LAST_LOOK, last).await.is_err() {
                tracing::debug!("those who watch are not told of the end: the root or the ledger is silent");
            }
            return;
        }
        unheard = if sender.receiver_count() == 0 { unheard + 1 } else { 0 };
        if unheard >= PATIENCE && site.channels().close_if_idle(&topic) {
            return;
        }
        if unheard > 0 {
            continue;
        }
        told.tell(&site, &topic, look, &sender).await;
        if look % ALIVE_EVERY == 0 {
            say(&sender, alive());
        }
    }
}

/// Nobody may listen any more: that is seen the next time.
fn say(sender: &Sender<Bytes>, frame: Bytes) {
    drop(sender.send(frame));
}

/// What was told last: the same is not told again.
#[derive(Default)]
struct Told {
    status: Option<RunStatus>,
    parts: Option<Arc<Parts>>,
    runs: Option<Runs>,
    /// Held so that the run tells.
    heard: Option<tokio::sync::watch::Receiver<Option<RunStatus>>>,
}

impl Told {
    async fn tell(&mut self, site: &Site, topic: &Topic, look: u32, sender: &Sender<Bytes>) {
        let told = match topic {
            Topic::Runs => self.runs(site, look, sender).await,
            Topic::Run(run) => self.run(site, run, look, sender).await,
        };
        if let Err(error) = told {
            tracing::debug!(error = format!("{error:#}"), "those who watch are told nothing now");
        }
    }

    async fn runs(&mut self, site: &Site, look: u32, sender: &Sender<Bytes>) -> anyhow::Result<()> {
        if look % 2 == 1 {
            return Ok(());
        }
        let runs = listed::runs(site).await?;
        // Whoever has read the list before the first look may lack what has happened since.
        match self.runs.as_ref().map_or(listed::Told::ReadAgain, |before| listed::told(before, &runs)) {
            listed::Told::Nothing => {}
            listed::Told::Changes(changes) => say(sender, frame("runs", &changes)),
            listed::Told::ReadAgain => say(sender, frame("reload", &())),
        }
        self.runs = Some(runs);
        Ok(())
    }

    async fn run(
        &mut self,
        site: &Site,
        run: &RunId,
        look: u32,
        sender: &Sender<Bytes>,
    ) -> anyhow::Result<()> {
        if self.heard.as_ref().is_none_or(|heard| heard.has_changed().is_err()) {
            self.heard = site.live().listen(run);
        }
        if let Some(status) = status_of(site, run).await? {
            // When it was said says nothing.
            let said = RunStatus { written: String::new(), ..status.clone() };
            if self.status.as_ref() != Some(&said) {
                say(sender, frame("status", &status));
                self.status = Some(said);
            }
        }
        if look.is_multiple_of(2) {
            let Some(parts) = site.looks().of(site, run).await? else { return Ok(()) };
            let tag = &parts.layout.tag;
            let before = self.parts.as_ref().filter(|before| before.layout.tag == *tag);
            let changes = before.and_then(|before| cells::changes(&before.cells, &parts.cells));
            match changes {
                Some(changes) if changes.is_empty() => {}
                Some(changes) => say(sender, frame("parts", &json!({ "layout": tag, "changes": changes }))),
                None => say(sender, frame("parts", &json!({ "layout": tag, "changes": null }))),
            }
            self.parts = Some(parts);
        }
        Ok(())
    }
}

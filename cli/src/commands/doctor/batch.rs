//! AWS Batch, where a profile names it: its queues with the compute environments behind them, job definitions, and
//! the list of this fleet's jobs. Starts nothing.

use swath_backends::{Error, open::Urls};
use swath_coordinator::fleet::batch::{Batch, are_reachable, settings::Settings};

use super::Door;

pub(super) async fn check(door: &mut Door, settings: &Settings, urls: &Urls) {
    let reach = async {
        are_reachable(urls).map_err(Error::from)?;
        Ok(())
    };
    let what = "have root, queue and ledger where workers of other machines reach them";
    if door.tries(what, reach).await.is_none() {
        return door.leaves_out("credentials, region, queues and job definitions");
    }
    let open = async { Ok(Batch::open(settings, urls).await.map_err(Error::from)?) };
    let told = |batch: &Batch| format!("{}, jobs are called {}_...", batch.at(), batch.fleet());
    let Some(batch) = door.tries_and_tells("find credentials and region: ", open, told).await else { return };
    for queue in batch.queues() {
        let look = async { Ok(batch.try_queue(&queue).await.map_err(Error::from)?) };
        let what = format!("the job queue {queue}: ");
        let tried = door.tries_and_tells(&what, look, |tried| tried.told.clone()).await;
        for warning in tried.into_iter().flat_map(|tried| tried.warnings) {
            door.points_at(&warning);
        }
    }
    for section in batch.sections() {
        let look = async { Ok(batch.try_definition(section).await.map_err(Error::from)?) };
        door.tries_and_tells(&format!("the job definition of {section}: "), look, String::clone).await;
    }
    let list = async { Ok(batch.try_jobs().await.map_err(Error::from)?) };
    door.tries_and_tells("list this fleet's jobs, those that Batch remembers: ", list, usize::to_string)
        .await;
}

//! `swath pause|resume|cancel`: a wish under the root, for whichever coordinator serves the run.

use swath_backends::open::open_blobs;
use swath_coordinator::{
    commands::{self, Command},
    run::read_status,
};
use swath_proto::{ids::RunId, keys, status::RunState};

use crate::{
    args::DoorArgs,
    exit::{Exit, Usage},
};

pub(super) async fn run(run: RunId, wish: Command, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = open_blobs(&doors.root).await?;
    if root.head(&keys::run_record(&run)).await?.is_none() {
        return Err(Usage(format!("there is no run '{run}' under {}; see: swath status", doors.root)).into());
    }
    let state = read_status(&root, &run).await?.map(|status| status.state);
    let refusal = match (&wish, state) {
        (Command::Resume, Some(RunState::Done)) => Some("is done: there is nothing to resume"),
        (Command::Pause | Command::Cancel, Some(state)) if state.is_final() => Some("is over already"),
        _ => None,
    };
    if let Some(why) = refusal {
        return Err(Usage(format!("{run} {why}")).into());
    }
    commands::give(&root, &run, &wish).await?;
    println!("asked; the coordinator takes it within seconds. See: swath status {run}");
    Ok(Exit::Done)
}

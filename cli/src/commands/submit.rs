//! `swath submit`: puts a run under the root, where a coordinator finds it.

use swath_backends::{blobs::Put, open::open_blobs};
use swath_coordinator::{
    commands::{self, Command},
    freeze,
    records::read_status,
};
use swath_proto::status::RunState;

use crate::{
    args::{DoorArgs, FileArgs},
    config,
    exit::{Exit, as_usage},
};

pub(super) async fn run(args: FileArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let source = config::source(&args, &doors)?;
    let root = open_blobs(&doors.root).await?;
    let frozen = freeze::freeze(&source, &root).await.map_err(as_usage)?;
    super::tell_left_out(&frozen);
    let put = freeze::submit(&frozen, &source, &root).await?;
    let run = &frozen.record.run;
    say!("{run}");
    match put {
        Put::Created => note!("submitted; watch it with: swath status {run} --watch"),
        Put::Exists => match read_status(&root, run).await?.map(|status| status.state) {
            Some(RunState::Failed | RunState::Cancelled) => {
                commands::give(&root, run, &Command::Resume).await?;
                note!(
                    "the same run has ended early, and goes on now; watch it with: swath status {run} --watch"
                );
            }
            _ => note!("the same run is there already (--rerun begins another); see: swath status {run}"),
        },
    }
    Ok(Exit::Done)
}

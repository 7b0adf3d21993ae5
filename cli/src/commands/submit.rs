//! `swath submit`: puts a run under the root, where a coordinator finds it.

use swath_backends::{
    blobs::{Put, SharedBlobs},
    open::open_blobs,
};
use swath_coordinator::{
    commands::{self, Command, NewRank},
    freeze::{self, Frozen, Source},
    records::read_status,
};
use swath_proto::{ids::RunId, status::RunState};

use crate::{
    args::{DoorArgs, RankArgs, SubmitArgs},
    config,
    exit::{Exit, as_usage},
};

pub(super) async fn run(args: SubmitArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let mut ready = Vec::new();
    // All are right before the first is given away.
    for (source, doors) in config::sources(&args.file, &doors)? {
        let root = open_blobs(&doors.root).await?;
        let frozen = freeze::freeze(&source, &root).await.map_err(as_usage)?;
        super::tell_left_out(&frozen);
        ready.push((source, frozen, root));
    }
    for (source, frozen, root) in &ready {
        submit(source, frozen, root, args.rank).await?;
    }
    Ok(Exit::Done)
}

async fn submit(
    source: &Source,
    frozen: &Frozen,
    root: &SharedBlobs,
    wanted: RankArgs,
) -> anyhow::Result<()> {
    let run = &frozen.record.run;
    rank(root, run, wanted).await?;
    let put = freeze::submit(frozen, source, root).await?;
    say!("{run}");
    match put {
        Put::Created => note!("submitted; watch it with: swath status {run} --watch"),
        Put::Exists => match read_status(root, run).await?.map(|status| status.state) {
            Some(RunState::Failed | RunState::Cancelled) => {
                commands::give(root, run, &Command::Resume).await?;
                note!(
                    "the same run has ended early, and goes on now; watch it with: swath status {run} --watch"
                );
            }
            _ => note!("the same run is there already (--rerun begins another); see: swath status {run}"),
        },
    }
    Ok(())
}

/// Where the run is to stand among others; before its record is there, so that it never stands elsewhere.
pub(super) async fn rank(root: &SharedBlobs, run: &RunId, wanted: RankArgs) -> anyhow::Result<()> {
    let rank = NewRank { priority: wanted.priority, share: wanted.share };
    let status = if rank.is_empty() { None } else { read_status(root, run).await? };
    // Done already: it wants nothing, and is not to be looked at again.
    let is_done =
        status.is_some_and(|status| matches!(status.state, RunState::Done | RunState::DoneWithFailures));
    if !rank.is_empty() && !is_done {
        commands::give(root, run, &Command::Rank(rank)).await?;
    }
    Ok(())
}

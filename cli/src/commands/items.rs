//! `swath items`: what was set aside, why, and another chance for it.

use futures::TryStreamExt as _;
use swath_backends::{blobs::SharedBlobs, open::look_at_blobs};
use swath_coordinator::commands::{Command, give};
use swath_proto::{ids::RunId, item::Place, keys, outcome::Buried};

use crate::{
    args::{DoorArgs, ItemsArgs, ItemsCommand},
    exit::{Exit, Usage},
    served::{Office, Served},
    table,
};

pub(super) async fn run(args: ItemsArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = look_at_blobs(&doors.root).await?;
    if root.head(&keys::run_record(&args.run)).await?.is_none() {
        return Err(
            Usage(format!("there is no run '{}' under {}; see: swath status", args.run, doors.root)).into()
        );
    }
    let graves = graves(&root, &args.run).await?;
    match args.what {
        None => list(&graves, args.json)?,
        Some(ItemsCommand::Show { item }) => show(&graves, item)?,
        Some(ItemsCommand::Replay { items, all }) => {
            let known = |item: &&Place| !graves.iter().any(|Buried::V1 { place, .. }| place == *item);
            if let Some(unknown) = items.iter().find(known) {
                return Err(Usage(format!("{unknown} is not buried; see: swath items {}", args.run)).into());
            }
            let n = if all { graves.len() } else { items.len() };
            give(&root, &args.run, &Command::Replay((!all).then_some(items))).await?;
            let n = table::count(n as u64, "item");
            match Office::open(&doors).await.of(&args.run).await {
                Served::Yes => say!("{n} will be tried again"),
                _ => say!(
                    "{n} will be tried again as soon as a coordinator serves the run: swath coordinator, or swath \
                     run with the same file"
                ),
            }
        }
    }
    Ok(Exit::Done)
}

async fn graves(root: &SharedBlobs, run: &RunId) -> anyhow::Result<Vec<Buried>> {
    let listed: Vec<_> = root.list(&keys::buried_of(run)).try_collect().await?;
    let mut graves = Vec::new();
    for object in listed {
        graves.push(serde_json::from_slice(&root.get(&object.key).await?)?);
    }
    Ok(graves)
}

fn list(graves: &[Buried], json: bool) -> anyhow::Result<()> {
    if json {
        for grave in graves {
            say!("{}", serde_json::to_string(grave)?);
        }
        return Ok(());
    }
    if graves.is_empty() {
        say!("nothing was set aside");
        return Ok(());
    }
    let mut rows = vec![["ITEM", "SCENE", "ATTEMPTS", "CAUSE"].map(String::from).to_vec()];
    for Buried::V1 { place, attempts, failure } in graves {
        let scene = failure.scene.as_ref().map_or("-", |scene| scene.as_str());
        rows.push(vec![place.to_string(), scene.into(), attempts.to_string(), failure.message.clone()]);
    }
    table::print(&rows);
    Ok(())
}

fn show(graves: &[Buried], item: Place) -> anyhow::Result<()> {
    let grave = graves.iter().find(|Buried::V1 { place, .. }| *place == item);
    let grave = grave.ok_or_else(|| Usage(format!("{item} is not buried")))?;
    say!("{}", serde_json::to_string_pretty(grave)?);
    Ok(())
}

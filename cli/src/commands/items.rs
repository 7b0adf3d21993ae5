//! `swath items`: what was set aside, why, and another chance for it.

use futures::TryStreamExt as _;
use swath_backends::{
    blobs::SharedBlobs,
    open::{look_at_blobs, look_at_ledger},
};
use swath_coordinator::{
    commands::{Command, give},
    records::read_status,
};
use swath_proto::{
    ids::RunId,
    item::Place,
    keys,
    outcome::Buried,
    status::{RunState, RunStatus},
};

use crate::{
    args::{DoorArgs, ItemState, ItemsArgs, ItemsCommand},
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
    let mut graves = graves(&root, &args.run).await?;
    match args.what {
        None => {
            graves.retain(|grave| {
                args.state.is_none_or(|state| grave.is_dropped() == (state == ItemState::Dropped))
            });
            list(&graves, args.json)?;
            if args.state.is_none() && !args.json {
                let status = read_status(&root, &args.run).await?;
                status.and_then(|status| unreadable(&status)).iter().for_each(|words| say!("{words}"));
            }
        }
        Some(ItemsCommand::Show { item }) => match graves.iter().find(|grave| grave.place == item) {
            Some(grave) => show(grave, args.json)?,
            None => say!("{item} is not set aside: {}", elsewhere(&args.run, item, &doors).await?),
        },
        Some(ItemsCommand::Replay { items, all }) => {
            let known = |item: &&Place| !graves.iter().any(|grave| grave.place == **item);
            if let Some(unknown) = items.iter().find(known) {
                return Err(Usage(format!("{unknown} is not buried; see: swath items {}", args.run)).into());
            }
            let n = match all {
                // Surveys of scenes that could not be read are tried again as well.
                true => {
                    let status = read_status(&root, &args.run).await?;
                    let unreadable = status.map_or(0, |status| status.unreadable_scenes.len());
                    unreadable + graves.iter().filter(|grave| !grave.is_dropped()).count()
                }
                false => items.len(),
            };
            if n == 0 {
                say!("nothing waits for another chance");
                return Ok(Exit::Done);
            }
            let wish = Command::Replay((!all).then_some(items));
            ask(&root, &args.run, &doors, &wish, n, "will be tried again").await?;
        }
        Some(ItemsCommand::Drop { items }) => {
            let status = read_status(&root, &args.run).await?;
            if status.is_some_and(|status| status.state == RunState::Cancelled) {
                let why = format!("{} is cancelled: there is nothing to do without", args.run);
                return Err(Usage(why).into());
            }
            let n = items.len();
            ask(
                &root,
                &args.run,
                &doors,
                &Command::Drop(items),
                n,
                "will be done without, unless it is done by then",
            )
            .await?;
        }
    }
    Ok(Exit::Done)
}

/// Puts a wish down, and says when it comes true.
async fn ask(
    root: &SharedBlobs,
    run: &RunId,
    doors: &DoorArgs,
    wish: &Command,
    n: usize,
    what: &str,
) -> anyhow::Result<()> {
    let state = read_status(root, run).await?.map(|status| status.state);
    give(root, run, wish).await?;
    let n = table::count(n as u64, "item");
    match Office::open(doors).await.takes(run, state, &root.uri("")).await {
        Served::Yes => say!("{n} {what}"),
        _ => say!(
            "{n} {what} as soon as a coordinator serves the run: swath coordinator, or swath run with the same file"
        ),
    }
    Ok(())
}

/// What the ledger knows of an item that was not set aside.
async fn elsewhere(run: &RunId, item: Place, doors: &DoorArgs) -> anyhow::Result<String> {
    let Some(ledger) = look_at_ledger(&doors.ledger, &doors.root).await? else {
        return Ok("nobody has worked on this run yet".into());
    };
    if ledger.snapshot(run).await?.is_done(item) {
        return Ok("it is done".into());
    }
    let held = ledger.held(run).await?;
    let holder = held.into_iter().find(|(place, _)| *place == item);
    Ok(holder.map_or_else(
        || "nobody has it now; it waits, or is no item of this run".into(),
        |(_, worker)| format!("{worker} is at work on it"),
    ))
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
    let mut rows = vec![["ITEM", "STATE", "SCENE", "ATTEMPTS", "CLASS", "CAUSE"].map(String::from).to_vec()];
    for grave in graves {
        let failure = &grave.failure;
        let scene = failure.scene.as_ref().map_or("-", |scene| scene.as_str());
        // Of a message of many lines, the first says what it is about.
        let cause = failure.message.lines().next().unwrap_or_default();
        rows.push(vec![
            grave.place.to_string(),
            state(grave).into(),
            scene.into(),
            grave.attempts.to_string(),
            failure.class.name().into(),
            cause.into(),
        ]);
    }
    table::print(&rows);
    Ok(())
}

/// Scenes that are no items yet.
fn unreadable(status: &RunStatus) -> Option<String> {
    let n = status.unreadable_scenes.len() as u64;
    (n > 0).then(|| format!("{} can't be read: swath status {}", table::count(n, "scene"), status.run))
}

const fn state(grave: &Buried) -> &'static str {
    if grave.is_dropped() { "dropped" } else { "buried" }
}

fn show(grave: &Buried, json: bool) -> anyhow::Result<()> {
    if json {
        say!("{}", serde_json::to_string_pretty(grave)?);
        return Ok(());
    }
    let failure = &grave.failure;
    let when = grave.written.as_ref().map_or_else(String::new, |when| format!(", {when}"));
    say!("item      {}", grave.place);
    say!("state     {} after {}{when}", state(grave), table::count(grave.attempts.into(), "attempt"));
    if let Some(scene) = &failure.scene {
        say!("scene     {scene}");
    }
    if let Some(rect) = failure.rect {
        say!("rectangle {rect}");
    }
    say!("class     {}", failure.class.name());
    say!("worker    {}", failure.worker);
    say!("cause     {}", failure.message);
    match grave.log.len() {
        0 => say!("log       none was kept"),
        n => say!("log       the last {} of the last attempt:", table::count(n as u64, "line")),
    }
    for line in &grave.log {
        say!("  {line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_that_can_not_be_read_are_counted_and_it_is_said_where_they_are_named() {
        let mut json = serde_json::json!({
            "run": "a-1", "state": "done_with_failures", "written": "", "started": "", "stages": {},
            "pixels_done": 0, "pixels": 0, "items_per_second": 0.0, "eta_seconds": null, "n_failures": 0,
            "failures": [], "unreadable_scenes": [], "message": null,
        });
        let told = |json: &serde_json::Value| unreadable(&serde_json::from_value(json.clone()).unwrap());
        assert_eq!(told(&json), None);
        json["unreadable_scenes"] = serde_json::json!(["west: not a TIFF"]);
        assert_eq!(told(&json).unwrap(), "1 scene can't be read: swath status a-1");
    }
}

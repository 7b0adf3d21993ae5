//! `swath predict`: a bundle and an image to a map, with nothing else. It is a run like any other, under a
//! folder beside the map that is taken away when the map is there.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use swath_backends::{
    open::{Doors, Urls, open},
    outside::s3_parts,
};
use swath_bundle::Bundle;
use swath_coordinator::freeze::{self, SCENE, Wanted};
use swath_proto::{item::Mixing, keys, status::RunState};

use super::run::{serve, start_workers};
use crate::{
    args::{DoorArgs, PredictArgs},
    config,
    exit::{Exit, Usage, as_usage},
    signals::stop_on_signals,
};

pub(super) async fn run(args: PredictArgs) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let stop = stop_on_signals()?;
    let bundles = std::iter::once(&args.bundle).chain(&args.with).map(Bundle::open);
    let bundles: Vec<Bundle> =
        bundles.collect::<Result<_, _>>().map_err(|error| Usage(format!("{error:#}")))?;
    let image = absolute(&args.image)?;
    let out = std::path::absolute(&args.out)?;
    let work = beside(&out, ".swath")?;
    if !out.parent().is_some_and(Path::is_dir) {
        return Err(
            Usage(format!("{}: there is no such folder", out.parent().unwrap_or(&out).display())).into()
        );
    }
    let wanted = Wanted {
        scores: args.scores,
        confidence: args.confidence,
        polygons: args.polygons,
        mixing: Mixing { blend: args.blend, augment: args.augment },
    };
    let given: Vec<&PathBuf> = std::iter::once(&args.bundle).chain(&args.with).collect();
    spare_what_is_there(&image, &given, &out, wanted)?;
    if bundles.iter().any(|bundle| bundle.model().window != bundles[0].model().window) {
        note!(
            "the bundles were made for windows of other sizes: those of {} are used",
            args.bundle.display()
        );
    }
    let is_new = !work.exists();
    let doors = DoorArgs::of_folder(&work)?;
    let urls = Urls { root: doors.root.clone(), queue: doors.queue.clone(), ledger: doors.ledger.clone() };
    let opened = open(&urls).await?;
    let begin = async {
        let frozen = freeze::freeze_bundles(&bundles, &image, wanted, &opened.blobs).await;
        let (frozen, source) = frozen.map_err(as_usage)?;
        freeze::submit(&frozen, &source, &opened.blobs).await?;
        let pool = start_workers(args.workers, &frozen.record, &args.tuning, &doors)?;
        anyhow::Ok((frozen.record, pool))
    };
    let (record, pool) = begin.await.inspect_err(|_| {
        if is_new {
            forget(&work);
        }
    })?;
    let broken = pool.broken();
    let served = serve(&record, &opened, &stop, &broken).await;
    let why = pool.why();
    pool.stop().await;
    let Some(end) = served? else {
        if broken.is_cancelled() {
            anyhow::bail!(why);
        }
        note!("interrupted; the same command goes on where it was (with {})", work.display());
        return Ok(Exit::Interrupted);
    };
    if end.state != RunState::Done {
        let failed = end.failures.iter().map(|item| &item.failure.message);
        end.message.iter().chain(&end.unreadable_scenes).chain(failed).for_each(|why| say!("{why}"));
        // The image was a wrong file.
        let code = if end.unreadable_scenes.is_empty() { Exit::Failed } else { Exit::WrongUsage };
        if is_new && code == Exit::WrongUsage {
            forget(&work);
            return Ok(code);
        }
        // What is done is kept for the next try, which begins with what has failed.
        for what in ["local", "buried"] {
            let _ = std::fs::remove_dir_all(work.join(what));
        }
        note!("what is done is kept in {}; the same command goes on with it", work.display());
        return Ok(code);
    }
    let scene = SCENE.parse().context("naming the scene")?;
    let mut made = vec![(keys::prediction(&record.run, &scene), out.clone())];
    if args.scores {
        made.push((keys::scores(&record.run, &scene), out.with_extension("scores.tif")));
    }
    if args.confidence {
        made.push((keys::confidence(&record.run, &scene), out.with_extension("confidence.tif")));
    }
    if args.polygons {
        made.push((format!("{}.geojson", keys::vectors(&record.run, &scene)), out.with_extension("geojson")));
    }
    drop::<Doors>(opened);
    for (key, target) in made {
        let from = work.join(key);
        std::fs::rename(&from, &target)
            .with_context(|| format!("moving {} to {}", from.display(), target.display()))?;
        say!("{}", target.display());
    }
    std::fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    Ok(Exit::Done)
}

/// For a folder that this try has made and done nothing in: there is nothing to go on with.
fn forget(work: &Path) {
    let _ = std::fs::remove_dir_all(work);
}

/// What is read must not be written over, nor what lies beside the map by chance.
fn spare_what_is_there(image: &str, bundles: &[&PathBuf], out: &Path, wanted: Wanted) -> anyhow::Result<()> {
    let is = |given: &Path| match (std::fs::canonicalize(out), std::fs::canonicalize(given)) {
        (Ok(out), Ok(given)) => out == given,
        _ => false,
    };
    let what = match () {
        () if is(Path::new(image)) => Some("is the image itself"),
        () if bundles.iter().any(|bundle| is(bundle)) => Some("is a bundle"),
        () if out.is_dir() => Some("is a folder"),
        () => None,
    };
    if let Some(what) = what {
        return Err(Usage(format!("{}: {what}; name another file to write", out.display())).into());
    }
    let beside =
        [(wanted.scores, "scores.tif"), (wanted.confidence, "confidence.tif"), (wanted.polygons, "geojson")];
    for (_, ending) in beside.into_iter().filter(|(wanted, _)| *wanted) {
        let file = out.with_extension(ending);
        if file.exists() {
            return Err(Usage(format!(
                "{} is there already: take it away, or name another OUT",
                file.display()
            ))
            .into());
        }
    }
    Ok(())
}

fn absolute(uri: &str) -> anyhow::Result<String> {
    if s3_parts(uri).is_some() {
        return Ok(uri.to_owned());
    }
    let path = std::path::absolute(uri)?;
    Ok(path.to_str().with_context(|| format!("{} is not valid UTF-8", path.display()))?.to_owned())
}

/// A hidden folder beside a file, named after it.
fn beside(out: &Path, ending: &str) -> anyhow::Result<PathBuf> {
    let name = out.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Usage(format!("{}: must name a file to write", out.display())))?;
    Ok(out.with_file_name(format!(".{name}{ending}")))
}

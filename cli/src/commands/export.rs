//! `swath export`: copies what a run has made into a folder, laid out as other programs have it.

use std::{
    collections::BTreeMap,
    fs::Permissions,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::Deserialize;
use swath_backends::{blobs::SharedBlobs, open::look_at_blobs};
use swath_coordinator::records::{read_record, read_status};
use swath_proto::{item::Stage, keys, run::RunRecord, vectors::VectorFormat};

use super::state_name;
use crate::{
    args::{DoorArgs, ExportArgs, Layout},
    exit::{Exit, Usage},
};

/// Of a file that is copied.
const PIECE_BYTES: u64 = 16 << 20;

pub(super) async fn run(args: ExportArgs, doors: DoorArgs) -> anyhow::Result<Exit> {
    let root = look_at_blobs(&doors.root).await?;
    let Some(record) = read_record(&root, &args.run).await? else {
        return Err(
            Usage(format!("there is no run '{}' under {}; see: swath status", args.run, doors.root)).into()
        );
    };
    let status = read_status(&root, &args.run).await?;
    let log = status.as_ref().and_then(|status| status.training_log.as_deref());
    let written = match args.like {
        Layout::RasterVision => raster_vision(&record, log, &root, &args.folder).await?,
    };
    if written == 0 {
        return Err(
            Usage(format!("{} has made nothing yet; see: swath status {}", args.run, args.run)).into()
        );
    }
    if let Some(status) = status.filter(|status| !status.state.is_final()) {
        note!("note: {} is {}: this is what it has made so far", args.run, state_name(status.state));
    }
    say!("{}", args.folder.display());
    Ok(Exit::Done)
}

/// Says how many files were written.
async fn raster_vision(
    record: &RunRecord,
    log: Option<&str>,
    root: &SharedBlobs,
    folder: &Path,
) -> anyhow::Result<usize> {
    let run = &record.run;
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    let mut written = 0;
    for scene in &record.scenes {
        let of_scene = folder.join("predict").join(scene.id.as_str());
        files.push((keys::prediction(run, &scene.id), of_scene.join("labels.tif")));
        if record.predict.scores {
            files.push((keys::scores(run, &scene.id), of_scene.join("scores.tif")));
        }
        if record.has(Stage::Vectorize) {
            let key = format!("{}.{}", keys::vectors(run, &scene.id), VectorFormat::GeoJson.extension());
            if root.head(&key).await?.is_some() {
                written += vectors(record, &root.get(&key).await?, &of_scene.join("vector_output"))?;
            }
        }
    }
    files.push((keys::eval(run), folder.join("eval/validation_scenes/eval.json")));
    files.push((keys::bundle(run), folder.join("bundle/bundle.zip")));
    files.extend(log.map(|log| (log.to_owned(), folder.join("train/log.csv"))));
    let mut copied = Vec::new();
    for (key, file) in files {
        if copy(root, &key, &file).await? {
            copied.push(file);
        }
    }
    written += copied.len();
    if let Some(statistics) = record.statistics.as_ref().filter(|statistics| !statistics.means.is_empty()) {
        let file = folder.join("analyze/stats/train_scenes/stats.json");
        put(&file, &serde_json::to_vec(statistics)?)?;
        written += 1;
    }
    notes(&copied).iter().for_each(|words| note!("note: {words}"));
    Ok(written)
}

/// What means something else there, of files that were copied.
fn notes(copied: &[PathBuf]) -> Vec<&'static str> {
    let notes = [
        ("bundle.zip", "bundle/bundle.zip is a bundle of Swath's: Raster Vision does not read it"),
        (
            "scores.tif",
            "predict/*/scores.tif holds bytes, 255 for 1; there is no pixel_hits.npy: hits of pixels are not counted",
        ),
    ];
    let is_there = |name: &str| copied.iter().any(|file| file.ends_with(name));
    notes.into_iter().filter(|(name, _)| is_there(name)).map(|(_, words)| words).collect()
}

/// Whether there was such a file.
async fn copy(root: &SharedBlobs, key: &str, file: &Path) -> anyhow::Result<bool> {
    let Some(meta) = root.head(key).await? else { return Ok(false) };
    let doing = || format!("writing {}", file.display());
    let mut out = begin(file)?;
    let mut at = 0;
    while at < meta.len {
        let end = meta.len.min(at + PIECE_BYTES);
        let piece = root.get_range(key, at..end).await.with_context(|| format!("reading {key}"))?;
        out.write_all(&piece).with_context(doing)?;
        at = end;
    }
    out.persist(file).with_context(doing)?;
    Ok(true)
}

/// A file that is not there before all of it is.
fn begin(file: &Path) -> anyhow::Result<tempfile::NamedTempFile> {
    let folder = file.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
    let mut builder = tempfile::Builder::new();
    builder.permissions(Permissions::from_mode(0o666));
    builder.tempfile_in(folder).with_context(|| format!("writing {}", file.display()))
}

fn put(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let doing = || format!("writing {}", file.display());
    let mut out = begin(file)?;
    out.write_all(bytes).with_context(doing)?;
    out.persist(file).with_context(doing)?;
    Ok(())
}

/// A file a class, of ours with all classes. Says how many.
fn vectors(record: &RunRecord, geojson: &[u8], folder: &Path) -> anyhow::Result<usize> {
    let mut classes: BTreeMap<usize, Vec<&str>> = record
        .vectors
        .iter()
        .flat_map(|plan| &plan.classes)
        .map(|class| (usize::from(*class), Vec::new()))
        .collect();
    let text = std::str::from_utf8(geojson).context("polygons that are no text")?;
    // One feature a line.
    for line in text.lines().filter(|line| line.starts_with("{\"type\":\"Feature\",")) {
        let feature = line.strip_suffix(',').unwrap_or(line);
        let Feature { properties } = serde_json::from_str(feature).context("reading polygons")?;
        classes.entry(properties.class_id).or_default().push(feature);
    }
    for (id, features) in &classes {
        let name = record.classes.get(*id).map_or("", |class| class.name.as_str());
        let name = name.replace(['/', '\\', '\0'], "-");
        let body =
            format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{}\n]}}\n", features.join(",\n"));
        put(&folder.join(format!("class-{id}-{name}.json")), body.as_bytes())?;
    }
    Ok(classes.len())
}

#[derive(Deserialize)]
struct Feature {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    class_id: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_given_on_files_that_were_copied_and_on_no_others() {
        let of = |names: &[&str]| notes(&names.iter().map(PathBuf::from).collect::<Vec<_>>()).join("\n");
        assert_eq!(of(&["out/predict/a/labels.tif", "out/train/log.csv"]), "");
        let scores = of(&["out/predict/a/labels.tif", "out/predict/a/scores.tif"]);
        assert!(scores.contains("there is no pixel_hits.npy") && !scores.contains("bundle"), "{scores}");
        assert!(of(&["out/bundle/bundle.zip"]).contains("Raster Vision does not read it"));
    }
}

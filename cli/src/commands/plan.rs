//! `swath plan`: what would run, and what exists already. Writes nothing.

use swath_backends::open::open_blobs;
use swath_coordinator::{freeze, plan, rebuild::Existing, run::read_status};
use swath_proto::{item::Stage, run::RunRecord, scene::SurveyedScene};

use crate::{
    args::{DoorArgs, FileArgs},
    config,
    exit::{Exit, as_usage},
    table,
};

pub(super) async fn run(args: &FileArgs, json: bool, doors: DoorArgs) -> anyhow::Result<Exit> {
    let source = config::source(args, &doors)?;
    let root = open_blobs(&doors.root).await?;
    let mut record = freeze::freeze(&source, &root).await.map_err(as_usage)?.record;
    let existing = Existing::list(&root).await?;
    let status = read_status(&root, &record.run).await?;
    let probed = existing.has(Stage::Probe, plan::probe(&record).id);
    if record.predict.item_px.is_none() {
        // Without a measured speed the plan shows the usual size.
        record.predict.item_px = Some(2048);
    }
    let scenes = scenes(&record);
    let n_items: u64 = scenes.iter().map(|scene| scene.items).sum();
    let pixels: u64 = scenes.iter().map(|scene| scene.pixels).sum();
    if json {
        let document = serde_json::json!({
            "run": record.run,
            "stages": record.stages,
            "scenes": scenes.iter().map(|scene| &scene.row).collect::<Vec<_>>(),
            "predict_items": n_items,
            "pixels": pixels,
            "item_px": record.predict.item_px,
            "probed": probed,
            "status": status,
        });
        println!("{document}");
        return Ok(Exit::Done);
    }
    println!("run     {}", record.run);
    println!("stages  {}", record.stages.iter().map(|stage| stage.name()).collect::<Vec<_>>().join(" -> "));
    println!(
        "model   {:?}, windows of {} px ({} kept), batches of {}",
        record.predict.model.architecture,
        record.predict.window.edge_px(),
        record.predict.window.core_px,
        record.predict.batch
    );
    let mut rows = vec![["SCENE", "SIZE", "LAYOUT", "ITEMS", "LABELS"].map(String::from).to_vec()];
    rows.extend(scenes.into_iter().map(|scene| scene.row));
    table::print(&rows);
    println!(
        "in all  {:.1} Mpx, {n_items} predict items of {} px",
        pixels as f64 / 1e6,
        record.predict.item_px.unwrap_or(0)
    );
    match status {
        Some(status) => println!("exists  {}: {}", doors.root, super::status::state(status.state)),
        None => println!("exists  nothing of this run under {}", doors.root),
    }
    Ok(Exit::Done)
}

struct Scene {
    row: Vec<String>,
    items: u64,
    pixels: u64,
}

fn scenes(record: &RunRecord) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for files in &record.scenes {
        let labels = if files.labels.is_some() { "yes" } else { "no" };
        let mut alone = record.clone();
        alone.scenes = vec![files.clone()];
        // What is learnt from comes in lots of its own, ahead of this one.
        alone.learn = None;
        let lot = plan::Lot::new(&alone, 0, vec![survey(files)]);
        let (cells, items, pixels) = match lot.scenes.first() {
            Some(scene) => {
                let (size, block) = (scene.header.size, scene.header.block);
                let items = if record.has(Stage::Predict) { scene.grid.len() } else { 0 };
                let layout = format!("{}x{} blocks, {} bands", block.width, block.height, scene.header.bands);
                (
                    [format!("{}x{}", size.width, size.height), layout, items.to_string()],
                    u64::from(items),
                    size.pixels(),
                )
            }
            None => {
                let why = lot.unreadable.first().map_or("not surveyed", |(_, why)| why.as_str());
                ([why.to_owned(), "-".into(), "-".into()], 0, 0)
            }
        };
        let row = [vec![files.id.to_string()], cells.to_vec(), vec![labels.to_owned()]].concat();
        scenes.push(Scene { row, items, pixels });
    }
    scenes
}

#[cfg(feature = "worker")]
fn survey(files: &swath_proto::scene::SceneFiles) -> SurveyedScene {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 16 });
    let raster = swath_raster::Raster::open(&files.image.uri);
    match raster.and_then(|raster| raster.header(files.id.clone(), files.image.clone())) {
        Ok(header) => SurveyedScene::Readable(header),
        Err(error) => {
            let message = format!("{:#}", anyhow::Error::from(error));
            SurveyedScene::Unreadable { id: files.id.clone(), message }
        }
    }
}

/// Without GDAL the headers are read by the run's survey only.
#[cfg(not(feature = "worker"))]
fn survey(files: &swath_proto::scene::SceneFiles) -> SurveyedScene {
    SurveyedScene::Unreadable { id: files.id.clone(), message: "surveyed by a worker".into() }
}

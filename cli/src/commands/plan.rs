//! `swath plan`: what would run, what exists already, and what it takes. Makes nothing.

use swath_backends::{blobs::SharedBlobs, open::look_at_blobs};
use swath_coordinator::{
    freeze,
    money::Prices,
    outlook::{Chips, Outlook, StageOutlook, look},
    plan::{self, Lot},
    rebuild::Existing,
    records::read_status,
};
use swath_proto::{
    ids::SceneId,
    item::{Blend, DeviceName, Stage},
    learn::{ChipSet, LearnPlan},
    run::RunRecord,
    scene::{SceneFiles, SceneHeader, SurveyedScene},
    status::RunStatus,
};

use super::cost;
use crate::{
    args::{DoorArgs, FileArgs},
    config,
    exit::{Exit, as_usage},
    table,
};

/// Of a scene whose header is not read here, but by the run.
const LATER: &str = "surveyed by a worker";

pub(super) async fn run(args: &FileArgs, json: bool, doors: DoorArgs) -> anyhow::Result<Exit> {
    let sources = config::sources(args, &doors)?;
    let mut end = Exit::Done;
    for (at, (source, doors)) in sources.iter().enumerate() {
        if at > 0 && !json {
            say!("");
        }
        if !show(source, json, doors).await? {
            // As the run would end.
            end = Exit::DoneWithFailures;
        }
    }
    Ok(end)
}

/// Whether all scenes can be read.
async fn show(source: &freeze::Source, json: bool, doors: &DoorArgs) -> anyhow::Result<bool> {
    let root = look_at_blobs(&doors.root).await?;
    let frozen = freeze::freeze(source, &root).await.map_err(as_usage)?;
    super::tell_left_out(&frozen);
    let existing = Existing::list(&root).await?;
    let status = read_status(&root, &frozen.record.run).await?;
    let prices = cost::prices(doors)?;
    let survey = surveyor(&frozen.record, &root).await?;
    let outlook = look(frozen.record, &root, &existing, survey).await?;
    let unreadable = unreadable(&outlook.lots);
    if json {
        let (probe, _) = plan::probe(&outlook.record, outlook.lots.iter(), |_| true);
        let probed = existing.has(Stage::Probe, probe.id);
        say!("{}", document(&outlook, &unreadable, (status.as_ref(), probed), &prices)?);
        return Ok(unreadable.is_empty());
    }
    let record = &outlook.record;
    say!("run     {}", record.run);
    if let Some(learn) = record.learn.as_ref().filter(|_| record.has(Stage::Train)) {
        say!("train   {}", training(learn, outlook.chips));
    }
    if record.has(Stage::Predict) {
        let (predict, window) = (&record.predict, record.predict.window);
        let names: Vec<&str> =
            predict.model.networks().iter().map(|network| network.architecture.name()).collect();
        let name = match &names[..] {
            [name] => (*name).to_owned(),
            names => format!("the mean of {} networks ({})", names.len(), names.join(", ")),
        };
        let on = if predict.model.device == DeviceName::Cuda { ", on cards" } else { "" };
        let (edge, core, batch) = (window.edge_px(), window.core_px, predict.batch);
        let kept = match predict.mixing.blend {
            Blend::Crop => format!("{core} kept"),
            Blend::Hann => format!("{core} and a margin that is blended"),
        };
        let views = match predict.mixing.augment.n() {
            1 => String::new(),
            n => format!(", {n} views of each"),
        };
        let seen = predict.model.seen_px.map(|px| format!(", resized to {px} px")).unwrap_or_default();
        say!("predict {name}, windows of {edge} px ({kept}){seen}{views}, batches of {batch}{on}");
    }
    table::print(&scenes(&outlook));
    unreadable.iter().for_each(|scene| say!("unreadable  scene {scene}"));
    say!("");
    table::print(&stages(&outlook.stages));
    say!("");
    for line in notes(&outlook).into_iter().chain(cost::expectation(&outlook.stages, &prices)) {
        say!("{line}");
    }
    match status {
        Some(status) => {
            let (state, rank) = (super::status::state(status.state), super::status::rank(status.rank));
            say!("exists  {}: {state}, priority {rank}", doors.root);
        }
        None => say!("exists  nothing of this run under {}", doors.root),
    }
    Ok(unreadable.is_empty())
}

fn training(learn: &LearnPlan, chips: Chips) -> String {
    let spec = &learn.train;
    let (train, validation) = (table::count(chips.train, "chip"), chips.validation);
    let at_most = if chips.are_cut { "" } else { "at most " };
    format!(
        "{}, {} of {at_most}{train}, batches of {}; {at_most}{validation} to validate",
        spec.architecture.name(),
        table::count(spec.epochs.into(), "epoch"),
        spec.batch,
    )
}

fn scenes(outlook: &Outlook) -> Vec<Vec<String>> {
    let heading = ["SCENE", "FOR", "SIZE", "LAYOUT", "WINDOWS", "ITEMS", "LABELS"];
    let mut rows = vec![heading.map(String::from).to_vec()];
    for lot in &outlook.lots {
        for scene in &lot.learnt {
            let set = if scene.set == ChipSet::Train { "train" } else { "validation" };
            let work = [scene.n_windows.to_string(), scene.n_items.to_string(), "yes".into()];
            rows.push([head(&scene.header, set).to_vec(), work.to_vec()].concat());
        }
        for scene in &lot.scenes {
            let items = match scene.group.and_then(|number| lot.group(number)) {
                Some(group) if group.scenes.len() > 1 => format!("1/{}", group.scenes.len()),
                _ if outlook.record.has(Stage::Predict) => scene.grid.len().to_string(),
                _ => "0".into(),
            };
            let labels = if scene.files.labels.is_some() { "yes" } else { "no" };
            let work = ["-".into(), items, labels.into()];
            rows.push([head(&scene.header, "predict").to_vec(), work.to_vec()].concat());
        }
        let later = lot.unreadable.iter().filter(|(_, why)| why == LATER);
        rows.extend(later.map(|(id, why)| vec![id.clone(), why.clone()]));
    }
    rows
}

/// As a run's status names them.
fn unreadable(lots: &[Lot]) -> Vec<String> {
    let scenes = lots.iter().flat_map(|lot| &lot.unreadable).filter(|(_, why)| why != LATER);
    scenes.map(|(id, why)| format!("{id}: {why}")).collect()
}

fn head(header: &SceneHeader, what: &str) -> [String; 4] {
    let (size, block) = (header.size, header.block);
    let id: &SceneId = &header.id;
    [
        id.to_string(),
        what.into(),
        format!("{}x{}", size.width, size.height),
        format!("{}x{} blocks, {} bands", block.width, block.height, header.bands),
    ]
}

fn stages(stages: &[StageOutlook]) -> Vec<Vec<String>> {
    let mut rows = vec![["STAGE", "ITEMS", "EXIST", "WAITS FOR", "TIME"].map(String::from).to_vec()];
    for stage in stages {
        let exist = stage.exist.map_or_else(|| "?".into(), |exist| exist.to_string());
        let waits: Vec<_> = stage.waits_for.iter().map(|stage| stage.name()).collect();
        let waits = if waits.is_empty() { "-".into() } else { waits.join(", ") };
        let time = match &stage.time {
            _ if stage.exist == Some(stage.items) => "-".into(),
            Some(time) => table::duration(time.seconds),
            None => "not known yet".into(),
        };
        rows.push(vec![stage.stage.to_string(), stage.items.to_string(), exist, waits, time]);
    }
    rows
}

fn notes(outlook: &Outlook) -> Vec<String> {
    let mut notes = vec![format!("in all  {:.1} Mpx to predict", pixels(outlook) as f64 / 1e6)];
    if outlook.record.predict.item_px.is_none() && outlook.record.has(Stage::Predict) {
        notes.push("items   of 2048 px here; a run sizes them by its workers' speed".into());
    }
    let mut like: Vec<String> = Vec::new();
    for time in outlook.stages.iter().filter_map(|stage| stage.time.as_ref()) {
        let name = time.like.to_string();
        if !like.contains(&name) {
            like.push(name);
        }
    }
    if !like.is_empty() {
        notes.push(format!("times   as in {}, with the workers it had", like.join(", ")));
    }
    notes
}

fn pixels(outlook: &Outlook) -> u64 {
    outlook.lots.iter().flat_map(|lot| &lot.scenes).map(|scene| scene.header.size.pixels()).sum()
}

fn document(
    outlook: &Outlook,
    unreadable: &[String],
    (status, probed): (Option<&RunStatus>, bool),
    prices: &Prices,
) -> anyhow::Result<String> {
    let record: &RunRecord = &outlook.record;
    let stages = outlook.stages.iter().map(|stage| {
        serde_json::json!({
            "stage": stage.stage, "items": stage.items, "exist": stage.exist, "waits_for": stage.waits_for,
            "seconds": stage.time.as_ref().map(|time| time.seconds),
            "seconds_as_in": stage.time.as_ref().map(|time| &time.like),
        })
    });
    let predict = outlook.stages.iter().find(|stage| stage.stage == Stage::Predict);
    let train = record.learn.as_ref().filter(|_| record.has(Stage::Train)).map(|learn| {
        let chips = outlook.chips;
        serde_json::json!({
            "epochs": learn.train.epochs, "batch": learn.train.batch, "chips": chips.train,
            "validation_chips": chips.validation, "chips_are_cut": chips.are_cut,
        })
    });
    let rented = cost::expected(&outlook.stages);
    let cost = (!rented.is_empty()).then(|| {
        let bill = prices.bill(&rented);
        serde_json::json!({
            "hours": bill.hours, "money": bill.money, "currency": prices.currency, "unknown": bill.unknown,
            "prices": prices.origin(),
        })
    });
    let document = serde_json::json!({
        "run": record.run,
        "stages": record.stages,
        "plan": stages.collect::<Vec<_>>(),
        "train": train,
        "scenes": scenes(outlook)[1..].to_vec(),
        "unreadable_scenes": unreadable,
        "predict_items": predict.map_or(0, |stage| stage.items),
        "pixels": pixels(outlook),
        "item_px": record.predict.item_px,
        "probed": probed,
        "cost": cost,
        "status": status,
    });
    Ok(document.to_string())
}

/// Reads the header of a scene, as the run reaches it.
#[cfg(feature = "worker")]
async fn surveyor(
    record: &RunRecord,
    root: &SharedBlobs,
) -> anyhow::Result<impl Fn(&SceneFiles) -> SurveyedScene + use<>> {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 16 });
    let learnt = record.learnt().iter().map(|scene| &scene.files);
    let files: Vec<_> = record.scenes.iter().chain(learnt).flat_map(SceneFiles::files).collect();
    let uris = files.iter().map(|file| file.uri.as_str());
    let outside = swath_backends::outside::Outside::new(&record.access);
    let passes = outside.passes(uris, &root.uri("")).await?;
    Ok(move |files: &SceneFiles| swath_raster::remote::with_passes(passes.clone(), || survey(files)))
}

#[cfg(feature = "worker")]
fn survey(files: &SceneFiles) -> SurveyedScene {
    match swath_raster::Source::open(&files.source).and_then(|source| source.header(files.id.clone())) {
        Ok(header) => SurveyedScene::Readable(header),
        Err(error) => {
            let message = format!("{:#}", anyhow::Error::from(error));
            SurveyedScene::Unreadable { id: files.id.clone(), message }
        }
    }
}

/// Without GDAL the headers are read by the run's survey only.
#[cfg(not(feature = "worker"))]
async fn surveyor(
    _: &RunRecord,
    _: &SharedBlobs,
) -> anyhow::Result<impl Fn(&SceneFiles) -> SurveyedScene + use<>> {
    Ok(move |files: &SceneFiles| SurveyedScene::Unreadable { id: files.id.clone(), message: LATER.into() })
}

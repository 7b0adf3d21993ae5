//! The scenes of a run, each with how far its parts are; and the states of all parts, in bits.

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use swath_proto::{
    geometry::SizePx,
    ids::{RunId, SceneId},
    item::Stage,
};

use super::{
    Asked, Named,
    made::{self, Made},
    pictures::levels,
};
use crate::http::{
    cells::{FAILED, count, pack},
    error::Problem,
    layout::{Found, Layout, Set, Shown},
    site::Site,
    watch::Parts,
};

#[derive(Deserialize)]
pub(in crate::http) struct Wanted {
    #[serde(default)]
    from: usize,
    n: Option<usize>,
    /// Only scenes whose name holds this.
    #[serde(default)]
    name: String,
    only: Option<Only>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Only {
    Failed,
    Done,
    Unfinished,
    Predict,
    Learn,
}

/// `first` and `n` say where the scene's parts are among those of the run.
#[derive(Serialize)]
struct Scene<'a> {
    scene: &'a SceneId,
    set: Set,
    state: Standing,
    size: Option<SizePx>,
    cols: u32,
    rows: u32,
    first: usize,
    n: usize,
    done: usize,
    held: usize,
    failed: usize,
    has_labels: bool,
    is_predicted: bool,
    message: Option<&'a str>,
}

#[derive(Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// Its header is not read yet.
    Unseen,
    Unreadable,
    Waiting,
    Working,
    Done,
    Failed,
}

pub(in crate::http) async fn list(
    State(site): State<Site>,
    Named(run): Named<RunId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Response, Problem> {
    let parts = site.looks().of(&site, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let is_wanted = |scene: &Scene<'_>| match wanted.only {
        None => true,
        Some(Only::Failed) => matches!(scene.state, Standing::Failed | Standing::Unreadable),
        Some(Only::Done) => scene.state == Standing::Done,
        Some(Only::Unfinished) => {
            matches!(scene.state, Standing::Unseen | Standing::Waiting | Standing::Working)
        }
        Some(Only::Predict) => scene.set == Set::Predict,
        Some(Only::Learn) => scene.set != Set::Predict,
    };
    let named = in_order(&parts.layout).filter(|shown| shown.id.as_str().contains(&wanted.name));
    // Looked at are those that are told, and all only where that decides which.
    let is_wanted = |shown: &&Shown| wanted.only.is_none() || is_wanted(&scene(&parts, shown));
    let all: Vec<&Shown> = named.filter(is_wanted).collect();
    let page = super::Page { from: wanted.from, n: wanted.n };
    let some: Vec<Scene<'_>> =
        all.iter().skip(page.from).take(page.n()).map(|shown| scene(&parts, shown)).collect();
    Ok(super::json(&json!({
        "total": all.len(),
        "from": page.from,
        "layout": parts.layout.tag,
        "parts": parts.layout.n_parts,
        "scenes": some,
    })))
}

/// Scenes to predict first: they are what a run is for.
fn in_order(layout: &Layout) -> impl Iterator<Item = &Shown> {
    let of = move |is_to_predict: bool| {
        layout.scenes.iter().filter(move |shown| (shown.set == Set::Predict) == is_to_predict)
    };
    of(true).chain(of(false))
}

/// The scenes before and behind it in that order. One that is both learnt from and predicted is shown once.
fn neighbours<'a>(layout: &'a Layout, shown: &Shown) -> [Option<&'a SceneId>; 2] {
    let is_shown = |other: &&Shown| layout.scene(&other.id).is_some_and(|of| std::ptr::eq(of, *other));
    let mut all = in_order(layout).filter(is_shown);
    let mut before = None;
    for other in all.by_ref() {
        if std::ptr::eq(other, shown) {
            break;
        }
        before = Some(&other.id);
    }
    [before, all.next().map(|other| &other.id)]
}

fn scene<'a>(parts: &'a Parts, shown: &'a Shown) -> Scene<'a> {
    let layout = &parts.layout;
    let [_, held, done, failed] = count(&parts.cells[shown.first..shown.first + shown.n]);
    let (cols, rows) = layout.grid(shown);
    let source = layout.source(shown);
    let is_predicted = is_predicted(parts, shown);
    let is_predicting = shown.set == Set::Predict && layout.record.has(Stage::Predict);
    let state = match &shown.found {
        Found::Not => Standing::Unseen,
        Found::Unreadable(_) => Standing::Unreadable,
        _ if failed > 0 => Standing::Failed,
        _ if is_predicting && is_predicted => Standing::Done,
        _ if !is_predicting && done == shown.n => Standing::Done,
        _ if held + done > 0 => Standing::Working,
        _ => Standing::Waiting,
    };
    let message = match &shown.found {
        Found::Unreadable(why) => Some(why.as_str()),
        _ => None,
    };
    Scene {
        scene: &shown.id,
        set: shown.set,
        state,
        size: layout.size(shown),
        cols,
        rows,
        first: shown.first,
        n: shown.n,
        done,
        held,
        failed,
        has_labels: source.is_some_and(|(_, files)| files.labels.is_some()),
        is_predicted,
        message,
    }
}

/// Its map is there: assembled, or written by an item of several small scenes.
pub(super) fn is_predicted(parts: &Parts, shown: &Shown) -> bool {
    let Some((own, maker)) = parts.layout.own(shown, Stage::Assemble) else { return false };
    let is_whole = parts.layout.record.has(Stage::Assemble) || own != maker;
    is_whole && parts.marks.is_done(maker) && !parts.marks.buried.contains(&own)
}

/// The states of all parts, two bits each: waiting, held, done, failed. The tag says how they are counted.
pub(in crate::http) async fn parts(
    State(site): State<Site>,
    Named(run): Named<RunId>,
) -> Result<Response, Problem> {
    let parts = site.looks().of(&site, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let kind = HeaderValue::from_static("application/octet-stream");
    let tag = HeaderValue::from_str(&parts.layout.tag).unwrap_or(HeaderValue::from_static("unknown"));
    let headers = [
        (header::CONTENT_TYPE, kind),
        (HeaderName::from_static("swath-layout"), tag),
        // The last byte may hold fewer than four.
        (HeaderName::from_static("swath-parts"), HeaderValue::from(parts.cells.len() as u64)),
    ];
    Ok((headers, pack(&parts.cells)).into_response())
}

/// One scene, with all that can be seen of it.
pub(in crate::http) async fn one(
    State(site): State<Site>,
    Named((run, id)): Named<(RunId, SceneId)>,
) -> Result<Response, Problem> {
    let parts = site.looks().of(&site, &run).await?.ok_or_else(|| super::no_run(&run))?;
    let shown = parts.layout.scene(&id).ok_or_else(|| no_scene(&run, &id))?;
    let told = scene(&parts, shown);
    let made: Vec<Made> = match told.is_predicted {
        true => made::found(&parts.layout.record, &id, &site.doors().blobs).await?,
        false => Vec::new(),
    };
    let mut layers = vec!["imagery"];
    if told.has_labels {
        layers.push("labels");
    }
    if told.is_predicted {
        layers.push("prediction");
        if made.iter().any(|made| made.what == made::CONFIDENCE) {
            layers.push("confidence");
        }
        if told.has_labels {
            layers.push("errors");
        }
    }
    let files = parts.layout.source(shown).map_or_else(Vec::new, |(header, files)| {
        let all = header.source.files.iter().chain(files.labels.iter().map(|labels| labels.file()));
        all.map(|file| swath_backends::open::redacted(&file.uri)).collect()
    });
    let failed: Vec<String> = parts
        .layout
        .places(shown)
        .zip(&parts.cells[shown.first..])
        .filter(|(_, cell)| **cell == FAILED)
        .map(|(place, _)| place.to_string())
        .collect();
    let [before, after] = neighbours(&parts.layout, shown);
    let item_px = parts.layout.planned(shown).and(parts.layout.record.predict.item_px);
    Ok(super::json(&json!({
        "scene": told,
        "levels": told.size.map(levels),
        "item_px": item_px,
        "before": before,
        "after": after,
        "layers": layers,
        "files": files,
        "made": made,
        "failed": failed,
        "layout": parts.layout.tag,
    })))
}

pub(super) fn no_scene(run: &RunId, scene: &SceneId) -> Problem {
    Problem::missing(format!("'{run}' has no scene '{scene}'"))
}

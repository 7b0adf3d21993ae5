//! Scenes as pictures: a small one of the whole, and tiles of each level of its pyramid. Levels count how often the
//! edges are halved, so that level 0 are the scene's own pixels.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use swath_backends::outside::Outside;
use swath_geo::pyramid::{level_size, n_levels};
use swath_proto::{
    geometry::{RectPx, SizePx},
    ids::{RunId, SceneId},
    keys,
};

use super::{
    Asked, Named,
    scenes::{is_predicted, no_scene},
};
use crate::http::{
    error::Problem,
    imagery::{Layer, Picture, Undrawn},
    layout::{Layout, Shown},
    site::Site,
    tiles::Key,
    watch::Parts,
};

const TILE_PX: u32 = 256;
const SMALLEST_PX: u32 = 32;
const LARGEST_PX: u32 = 1024;

/// Until the last is one tile.
pub(super) fn levels(size: SizePx) -> u32 {
    n_levels(size, TILE_PX)
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(in crate::http) enum LayerName {
    Imagery,
    Labels,
    Prediction,
    Confidence,
    Errors,
}

impl LayerName {
    const fn name(self) -> &'static str {
        match self {
            Self::Imagery => "imagery",
            Self::Labels => "labels",
            Self::Prediction => "prediction",
            Self::Confidence => "confidence",
            Self::Errors => "errors",
        }
    }
}

#[derive(Deserialize)]
pub(in crate::http) struct Thumbnail {
    layer: Option<LayerName>,
    /// Of its longer edge, at most.
    px: Option<u32>,
}

pub(in crate::http) async fn thumbnail(
    State(site): State<Site>,
    Named((run, id)): Named<(RunId, SceneId)>,
    Asked(wanted): Asked<Thumbnail>,
) -> Result<Response, Problem> {
    let px = wanted.px.unwrap_or(TILE_PX).clamp(SMALLEST_PX, LARGEST_PX);
    let parts = parts(&site, &run).await?;
    let (shown, size) = surveyed(&parts.layout, &run, &id)?;
    let fits = |level: &u32| {
        let small = level_size(size, *level);
        small.width.max(small.height) <= px
    };
    let level = (0..32).find(fits).unwrap_or(31);
    let whole = RectPx::new(0, 0, size.width, size.height);
    let layer = wanted.layer.unwrap_or(LayerName::Imagery);
    draw(&site, &parts, shown, layer, level, whole).await
}

pub(in crate::http) async fn tile(
    State(site): State<Site>,
    Named((run, id, layer, level, x, y)): Named<(RunId, SceneId, LayerName, u32, u32, u32)>,
) -> Result<Response, Problem> {
    let parts = parts(&site, &run).await?;
    let (shown, size) = surveyed(&parts.layout, &run, &id)?;
    let rect = rect(size, level, x, y).ok_or_else(|| Problem::missing("there is no such tile"))?;
    draw(&site, &parts, shown, layer, level, rect).await
}

/// Of a tile in the scene's pixels; none beyond its edge.
fn rect(size: SizePx, level: u32, x: u32, y: u32) -> Option<RectPx> {
    if level >= levels(size) {
        return None;
    }
    let edge = u64::from(TILE_PX) << level;
    let along = |at: u32, length: u32| {
        let from = u64::from(at) * edge;
        let to = (from + edge).min(u64::from(length));
        (from < to).then(|| (from as u32, (to - from) as u32))
    };
    let (col, width) = along(x, size.width)?;
    let (row, height) = along(y, size.height)?;
    Some(RectPx::new(col, row, width, height))
}

async fn parts(site: &Site, run: &RunId) -> Result<std::sync::Arc<Parts>, Problem> {
    site.looks().of(site, run).await?.ok_or_else(|| super::no_run(run))
}

fn surveyed<'a>(layout: &'a Layout, run: &RunId, id: &SceneId) -> Result<(&'a Shown, SizePx), Problem> {
    let shown = layout.scene(id).ok_or_else(|| no_scene(run, id))?;
    let unseen = || Problem::missing(format!("the header of '{id}' is not read yet"));
    Ok((shown, layout.size(shown).ok_or_else(unseen)?))
}

async fn draw(
    site: &Site,
    parts: &Parts,
    shown: &Shown,
    layer: LayerName,
    level: u32,
    rect: RectPx,
) -> Result<Response, Problem> {
    let Some(imagery) = site.imagery() else {
        let words = "this program was built as a coordinator only and reads no imagery: a whole `swath` shows pictures";
        return Err(Problem::absent(words));
    };
    let (record, blobs) = (&parts.layout.record, &site.doors().blobs);
    let (run, id) = (&record.run, &shown.id);
    let (header, files) = parts.layout.source(shown).ok_or_else(|| no_scene(run, id))?;
    let labels = || {
        let unlabelled = || Problem::missing(format!("'{id}' has no labels"));
        files.labels.clone().ok_or_else(unlabelled)
    };
    let key = match layer {
        LayerName::Imagery | LayerName::Labels => None,
        LayerName::Prediction | LayerName::Errors => Some(keys::prediction(run, id)),
        LayerName::Confidence => Some(keys::confidence(run, id)),
    };
    let mut tag = String::new();
    let mut file = String::new();
    if let Some(key) = &key {
        let meta = blobs.head(key).await?.filter(|_| is_predicted(parts, shown));
        tag = meta.ok_or_else(|| Problem::missing(format!("'{id}' is not predicted yet")))?.tag;
        file = blobs.uri(key);
    }
    let of_layer = match layer {
        LayerName::Imagery => Layer::Imagery,
        LayerName::Labels => Layer::Labels(labels()?),
        LayerName::Prediction => Layer::Prediction(file),
        LayerName::Confidence => Layer::Confidence(file),
        LayerName::Errors => Layer::Errors(file, labels()?),
    };
    let (col, row) = (rect.col, rect.row);
    let name = Key { run: run.clone(), scene: id.clone(), layer: layer.name(), level, col, row, tag };
    let picture = Picture {
        layer: of_layer,
        scene: header.clone(),
        rect,
        level,
        classes: record.classes.clone(),
        null_class: u8::try_from(record.null_class).unwrap_or(0),
        passes: Vec::new(),
    };
    let (all, root, imagery) = (files.files(), blobs.uri(""), imagery.clone());
    let outside = Outside::new(&record.access);
    let drawn = async move {
        let uris: Vec<&str> = all.iter().map(|file| file.uri.as_str()).collect();
        let passes = outside.passes(uris, &root).await;
        let passes = passes.map_err(|error| Undrawn::Failed(format!("{:#}", anyhow::Error::from(error))))?;
        imagery.draw(Picture { passes, ..picture }).await
    };
    match site.tiles().of(name, drawn).await {
        Ok(png) => Ok(answer(png)),
        Err(Undrawn::Missing(why)) => {
            tracing::debug!(%run, scene = %id, why, "a picture can't be drawn: a file is not there");
            Err(Problem::missing(format!("a file of '{id}' is not there")))
        }
        Err(Undrawn::Bad(why)) => {
            tracing::debug!(%run, scene = %id, why, "a picture can't be drawn: a file is damaged");
            let words = format!(
                "a file of '{id}' can't be read; the coordinator's log says why, with RUST_LOG=debug"
            );
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words))
        }
        Err(Undrawn::Lost(why)) => {
            tracing::warn!(%run, scene = %id, why, "a picture can't be drawn: is a file of it damaged, or too large?");
            let words = format!(
                "the process that draws has ended at '{id}', and is started again for the next picture: is a file of it \
                 damaged, or too large? The coordinator's log says more"
            );
            Err(Problem::later(words))
        }
        Err(Undrawn::LeftAlone { times, rest }) => {
            let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
            let words = format!(
                "'{id}' is left alone for {} s: at its {} the process that draws has ended {times}; is a file of it \
                 damaged, or too large? The coordinator's log says more",
                rest.as_secs().max(1),
                layer.name()
            );
            Err(Problem::later(words))
        }
        Err(Undrawn::Failed(why)) => {
            tracing::warn!(%run, scene = %id, why, "a picture can't be drawn");
            Err(Problem::later(format!("'{id}' can't be drawn now; the coordinator's log says why")))
        }
    }
}

fn answer(png: Bytes) -> Response {
    let kind = HeaderValue::from_static("image/png");
    let age = HeaderValue::from_static("private, max-age=300");
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, age)], png).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_a_scene_and_nothing_beyond_it() {
        let size = SizePx::new(1000, 300);
        assert_eq!(levels(size), 3);
        assert_eq!(rect(size, 0, 3, 1), Some(RectPx::new(768, 256, 232, 44)));
        assert_eq!(rect(size, 2, 0, 0), Some(RectPx::new(0, 0, 1000, 300)));
        for (level, x, y) in
            [(0, 4, 0), (0, 0, 2), (2, 1, 0), (3, 0, 0), (u32::MAX, 0, 0), (0, u32::MAX, u32::MAX)]
        {
            assert_eq!(rect(size, level, x, y), None, "{level} {x} {y}");
        }
    }
}

//! What a scene's finished files look like, whether they are joined of parts or written at once.

use anyhow::anyhow;
use swath_geo::{
    cog::{CogSpec, Color, Metadata, Tag},
    pack::CLASSES,
    pyramid::Reduction,
    tiles::Predictor,
};
use swath_proto::{footprint::Footprint, item::ClassStyle, scene::SceneHeader};

use crate::failure::JobError;

/// How a product's overviews and tiles are made.
pub(super) fn making(product: &str, n_classes: u32) -> (Reduction, Predictor) {
    match product {
        CLASSES => (Reduction::Mode, Predictor::None),
        _ => (Reduction::Mean { bands: n_classes }, Predictor::Horizontal),
    }
}

/// Instead of a map of nothing.
pub(super) fn no_pixel_counts(scene: &SceneHeader) -> JobError {
    let files: Vec<_> = scene.files().into_iter().take(3).map(|file| file.uri).collect();
    JobError::data(anyhow!(
        "{}: no pixel counts: all are nodata, masked or outside the area of interest",
        files.join(", ")
    ))
}

/// For the catalogue. A map is there without it, too.
pub(super) fn footprint(scene: &SceneHeader) -> Footprint {
    swath_raster::place::footprint(scene).unwrap_or_else(|error| {
        let error = error.to_string();
        tracing::info!(scene = %scene.id, error, "the catalogue will not say where the scene lies");
        Footprint::default()
    })
}

/// `geo`: the tags of the scene's place on the ground.
pub(super) fn spec(
    scene: &SceneHeader,
    classes: &[ClassStyle],
    block_px: u32,
    product: &str,
    level_tile_sizes: Vec<Vec<u32>>,
    geo: Vec<Tag>,
) -> CogSpec {
    let names = classes.iter().map(|class| class.name.clone()).collect();
    let (reduction, predictor) = making(product, classes.len() as u32);
    CogSpec {
        size: scene.size,
        block_px,
        bands: reduction.bands() as u16,
        predictor,
        color: match product {
            CLASSES => Color::Palette(classes.iter().map(|class| class.rgb).collect()),
            _ => Color::Gray,
        },
        nodata: None,
        geo,
        metadata: Metadata {
            items: vec![("classes".into(), class_list(classes))],
            band_names: if product == CLASSES { vec!["class".into()] } else { names },
        },
        level_tile_sizes,
    }
}

/// `0=background 1=building`: for people who look at the file's metadata.
fn class_list(classes: &[ClassStyle]) -> String {
    let classes = classes.iter().enumerate().map(|(number, class)| format!("{number}={}", class.name));
    classes.collect::<Vec<_>>().join(" ")
}

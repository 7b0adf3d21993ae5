//! What a scene's finished files look like, whether they are joined of parts or written at once.

use anyhow::anyhow;
use swath_geo::{
    cog::{CogSpec, Color, Metadata, Tag},
    pack::{CLASSES, CONFIDENCE, Making},
    pyramid::Reduction,
    tally::Tally,
    tiles::{Coding, Predictor},
};
use swath_proto::{
    footprint::Footprint,
    item::{ClassStyle, Compression},
    scene::SceneHeader,
};

use crate::failure::JobError;

/// All that decides the files of a scene, beside their tiles.
pub(super) struct Style<'a> {
    pub(super) scene: &'a SceneHeader,
    pub(super) classes: &'a [ClassStyle],
    pub(super) block_px: u32,
    pub(super) compression: Compression,
    pub(super) nodata: Option<u8>,
    /// The tags of the scene's place on the ground.
    pub(super) geo: Vec<Tag>,
}

/// How a product's overviews and tiles are made. All scores are data: only the map and the confidence have a value for none.
pub(super) fn making(product: &str, n_classes: u32, compression: Compression, nodata: Option<u8>) -> Making {
    let coding = |predictor| Coding { compression, predictor };
    match product {
        CLASSES => Making { reduction: Reduction::Mode, coding: coding(Predictor::None), nodata },
        // Whoever is asked for a class is never sure by 0.
        CONFIDENCE => Making {
            reduction: Reduction::MeanOfKnown,
            coding: coding(Predictor::Horizontal),
            nodata: Some(0),
        },
        _ => Making {
            reduction: Reduction::Mean { bands: n_classes },
            coding: coding(Predictor::Horizontal),
            nodata: None,
        },
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

/// `tallies`: of each band; none where they are not known.
pub(super) fn spec(
    style: &Style<'_>,
    product: &str,
    tallies: &[Tally],
    level_tile_sizes: Vec<Vec<u32>>,
) -> CogSpec {
    let Style { scene, classes, .. } = *style;
    let making = making(product, classes.len() as u32, style.compression, style.nodata);
    let mut band_items: Vec<_> = tallies.iter().map(|tally| tally.statistics(scene.size.pixels())).collect();
    if product == CLASSES {
        band_items.resize_with(1, Vec::new);
        band_items[0]
            .extend(classes.iter().enumerate().map(|(n, class)| (format!("CLASS_{n}"), class.name.clone())));
    }
    CogSpec {
        size: scene.size,
        block_px: style.block_px,
        bands: making.reduction.bands() as u16,
        coding: making.coding,
        color: match product {
            CLASSES => Color::Palette(classes.iter().map(|class| class.rgb).collect()),
            _ => Color::Gray,
        },
        nodata: making.nodata,
        geo: style.geo.clone(),
        metadata: Metadata {
            items: vec![("classes".into(), class_list(classes))],
            band_names: match product {
                CLASSES => vec!["class".into()],
                CONFIDENCE => vec!["confidence".into()],
                _ => classes.iter().map(|class| class.name.clone()).collect(),
            },
            band_items,
        },
        level_tile_sizes,
    }
}

/// `0=background 1=building`: for people who look at the file's metadata.
fn class_list(classes: &[ClassStyle]) -> String {
    let classes = classes.iter().enumerate().map(|(number, class)| format!("{number}={}", class.name));
    classes.collect::<Vec<_>>().join(" ")
}

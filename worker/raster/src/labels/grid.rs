//! Whether a raster of labels lies on its scene, pixel on pixel.

use swath_proto::{
    scene::{Georeference, SceneHeader},
    source::LabelGrid,
};

use crate::{affine, mosaic, source::Source};

/// How far the corners of the two may lie apart, in pixels.
const TOLERANCE_PX: f64 = 0.05;

pub(super) fn check(labels: &Source, scene: &SceneHeader, grid: LabelGrid) -> Result<(), String> {
    let sizes = [labels.size(), scene.size];
    let same_size = sizes[0] == sizes[1];
    let size_differs = || {
        format!(
            "it has {} x {} px, and the scene {} x {}: labels must have the scene's own pixels",
            sizes[0].width, sizes[0].height, sizes[1].width, sizes[1].height
        )
    };
    if grid == LabelGrid::Size {
        return if same_size { Ok(()) } else { Err(size_differs()) };
    }
    let (here, there) = match (labels.georeference(), &scene.georeference) {
        (Some(here), Some(there)) => (here, there),
        // Nothing says where either lies: their pixels are all there is.
        (None, None) if same_size => return Ok(()),
        (None, None) => return Err(size_differs()),
        (None, Some(_)) => {
            return Err(
                "it does not say where it lies; if its pixels are the scene's own, say grid = \"size\""
                    .into(),
            );
        }
        (Some(_), None) => {
            return Err("the scene does not say where it lies, as the labels do; if their pixels are the same, say grid = \"size\"".into());
        }
    };
    if !mosaic::same_system(&here.crs_wkt, &there.crs_wkt) {
        return Err(format!(
            "its coordinate reference system is {}, and the scene's {}",
            mosaic::name(&here.crs_wkt),
            mosaic::name(&there.crs_wkt)
        ));
    }
    let [own, of_scene] = sizes.map(|size| [f64::from(size.width), f64::from(size.height)]);
    let pixel_from_crs = affine::invert(&there.crs_from_pixel)?;
    let apart = [[0.0, 0.0], [own[0], 0.0], [0.0, own[1]], own].into_iter().any(|corner| {
        let [col, row] = affine::apply(&pixel_from_crs, affine::apply(&here.crs_from_pixel, corner));
        let far = (col - corner[0]).abs().max((row - corner[1]).abs());
        far.is_nan() || far > TOLERANCE_PX
    });
    if apart {
        return Err(format!(
            "it does not lie on the scene: it spans {}, the scene {} (in {})",
            extent(here, [0.0, 0.0], own),
            extent(there, [0.0, 0.0], of_scene),
            mosaic::name(&there.crs_wkt)
        ));
    }
    if same_size { Ok(()) } else { Err(size_differs()) }
}

/// The coordinates that a rectangle of pixels spans, for people.
pub(super) fn extent(georeference: &Georeference, lower: [f64; 2], upper: [f64; 2]) -> String {
    let corners = [lower, [upper[0], lower[1]], [lower[0], upper[1]], upper];
    let corners = corners.map(|corner| affine::apply(&georeference.crs_from_pixel, corner));
    let range = |axis: usize| {
        let values = corners.iter().map(|corner| corner[axis]);
        (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (bottom, top)) = (range(0), range(1));
    // Metres need no decimals, degrees do.
    let decimals = if right.abs().max(top.abs()) > 1000.0 { 1 } else { 6 };
    format!("x {left:.decimals$} to {right:.decimals$}, y {bottom:.decimals$} to {top:.decimals$}")
}

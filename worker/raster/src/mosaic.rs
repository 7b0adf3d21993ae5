//! Several files on one grid of pixels.

use std::cell::OnceCell;

use gdal::spatial_ref::SpatialRef;
use swath_proto::{
    geometry::{SizePx, WindowPx},
    scene::Georeference,
};

use crate::{
    affine,
    error::{Kind, RasterError, Result},
    missing::Missing,
    raster::Raster,
};

/// How far the pixels of two files may lie apart, in pixels.
const TOLERANCE_PX: f64 = 0.05;

/// A file of a scene, and where its first pixel lies in the scene.
pub(crate) struct Placed {
    pub(crate) uri: String,
    pub(crate) col: i64,
    pub(crate) row: i64,
    pub(crate) size: SizePx,
    /// Found when the file is first opened.
    pub(crate) missing: OnceCell<Missing>,
}

impl Placed {
    pub(crate) fn new(uri: &str, [col, row]: [i64; 2], size: SizePx) -> Self {
        Self { uri: uri.to_owned(), col, row, size, missing: OnceCell::new() }
    }

    pub(crate) fn window(&self) -> WindowPx {
        WindowPx::new(self.col, self.row, self.size.width, self.size.height)
    }
}

/// Places a file on the grid of the first.
pub(crate) fn place(first: &Raster, other: &Raster, bands: &[usize]) -> Result<Placed> {
    let differs = |what: &str, of_other: String, of_first: String| {
        let why = format!(
            "all files of a scene must have the same {what}: it has {of_other}, and {} has {of_first}",
            first.uri()
        );
        RasterError::new(Kind::Unsupported, format!("joining {} to a scene", other.uri()), why)
    };
    let counts = [other, first].map(|raster| raster.dataset().raster_count());
    if counts[0] != counts[1] {
        return Err(differs("number of bands", counts[0].to_string(), counts[1].to_string()));
    }
    let types = [other.data_type(bands)?, first.data_type(bands)?];
    if types[0] != types[1] {
        return Err(differs("type of pixels", format!("{:?}", types[0]), format!("{:?}", types[1])));
    }
    let of = |raster: &Raster| {
        raster.georeference()?.ok_or_else(|| {
            let why = "it does not say where it lies, which a file of several must";
            RasterError::new(Kind::Unsupported, format!("joining {} to a scene", raster.uri()), why)
        })
    };
    let (there, here) = (of(other)?, of(first)?);
    if !same_system(&there.crs_wkt, &here.crs_wkt) {
        return Err(differs("coordinate system", name(&there.crs_wkt), name(&here.crs_wkt)));
    }
    let (t, f) = (&there.crs_from_pixel, &here.crs_from_pixel);
    let failed =
        |why: String| RasterError::new(Kind::Unsupported, format!("joining {} to a scene", other.uri()), why);
    let pixel_from_crs = affine::invert(f).map_err(failed)?;
    // Where the file's first and last corners lie in pixels of the first file.
    let (width, height) = (f64::from(other.size().width), f64::from(other.size().height));
    let corner = |col: f64, row: f64| affine::apply(&pixel_from_crs, affine::apply(t, [col, row]));
    let [col, row] = corner(0.0, 0.0);
    let ends = [corner(width, 0.0), corner(0.0, height), corner(width, height)];
    let wanted = [[col + width, row], [col, row + height], [col + width, row + height]];
    let apart = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
    if ends
        .iter()
        .zip(&wanted)
        .any(|(end, wanted)| apart(end, wanted).is_nan() || apart(end, wanted) > TOLERANCE_PX)
    {
        let resolution = |t: &[f64; 6]| format!("pixels of {} x {}", t[1].hypot(t[4]), t[2].hypot(t[5]));
        return Err(differs("resolution and orientation", resolution(t), resolution(f)));
    }
    let rounded = [col.round(), row.round()];
    if apart(&[col, row], &rounded) > TOLERANCE_PX {
        let why = format!(
            "its pixels lie between those of {}: it begins at column {col:.3}, row {row:.3} of it",
            first.uri()
        );
        return Err(failed(why));
    }
    if rounded.iter().any(|px| px.abs() > f64::from(u32::MAX)) {
        return Err(failed(format!(
            "it lies {:.0} px away from {}",
            rounded[0].hypot(rounded[1]),
            first.uri()
        )));
    }
    Ok(Placed::new(other.uri(), rounded.map(|px| px as i64), other.size()))
}

/// Moves all files so that none begins before the scene, and says how large the scene is and where it lies.
pub(crate) fn join(
    files: &mut [Placed],
    georeference: Option<Georeference>,
) -> Result<(SizePx, Option<Georeference>)> {
    let left = files.iter().map(|file| file.col).min().unwrap_or(0);
    let top = files.iter().map(|file| file.row).min().unwrap_or(0);
    for file in files.iter_mut() {
        (file.col, file.row) = (file.col - left, file.row - top);
    }
    let right = files.iter().map(|file| file.col + i64::from(file.size.width)).max().unwrap_or(0);
    let bottom = files.iter().map(|file| file.row + i64::from(file.size.height)).max().unwrap_or(0);
    let (Ok(width @ ..=MAX_EDGE_PX), Ok(height @ ..=MAX_EDGE_PX)) =
        (u32::try_from(right), u32::try_from(bottom))
    else {
        let why = format!("together they span {right} x {bottom} pixels, which are too many");
        return Err(RasterError::new(Kind::Unsupported, "joining the files of a scene", why));
    };
    let georeference = georeference.map(|mut georeference| {
        let t = &mut georeference.crs_from_pixel;
        [t[0], t[3]] = affine::apply(t, [left as f64, top as f64]);
        georeference
    });
    Ok((SizePx::new(width, height), georeference))
}

/// As GDAL counts them.
const MAX_EDGE_PX: u32 = i32::MAX as u32;

pub(crate) fn same_system(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (SpatialRef::from_definition(a), SpatialRef::from_definition(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

pub(crate) fn name(wkt: &str) -> String {
    if wkt.is_empty() {
        return "none".into();
    }
    SpatialRef::from_definition(wkt).ok().and_then(|system| system.name()).unwrap_or_else(|| wkt.to_owned())
}

//! Writes the scenes that `swath-synth` draws: an image and its labels. [`like`] writes whole data sets.

pub mod like;
mod stac;

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use swath_proto::{geometry::SizePx, scene::Georeference};
use swath_synth::{Building, Scene};

use crate::{
    error::{RasterError, Result},
    writer::{Layout, Writer},
};

pub struct SceneSpec {
    pub size_px: u32,
    pub seed: u64,
    pub layout: Layout,
}

pub struct Written {
    pub image: PathBuf,
    pub labels: PathBuf,
}

/// 30 cm pixels in UTM zone 33.
const CRS: &str = "EPSG:32633";
const CRS_FROM_PIXEL: [f64; 6] = [500_000.0, 0.3, 0.0, 5_400_000.0, 0.0, -0.3];
/// Rows drawn at a time: bounds the memory, and divides the tile.
const ROWS: u32 = 128;
const TILE_PX: u32 = 512;

impl SceneSpec {
    pub fn new(size_px: u32, seed: u64) -> Self {
        Self { size_px, seed, layout: Layout::Tiled(TILE_PX) }
    }

    /// Rows of pixels, not tiles: the layout that costs readers most.
    pub fn striped(self, striped: bool) -> Self {
        let layout = if striped { Layout::Striped } else { self.layout };
        Self { layout, ..self }
    }
}

/// Draws `NAME.tif` and `NAME.geojson` into a folder; `progress` hears of the rows that are done.
pub fn write_scene(
    folder: &Path,
    name: &str,
    spec: &SceneSpec,
    progress: &mut dyn FnMut(u32, u32),
) -> Result<Written> {
    let scene = Scene::new(spec.seed, spec.size_px);
    let size = SizePx::new(spec.size_px, spec.size_px);
    let georeference = Georeference { crs_wkt: CRS.into(), crs_from_pixel: CRS_FROM_PIXEL };
    let (image, labels) = (folder.join(format!("{name}.tif")), folder.join(format!("{name}.geojson")));
    let mut writer = Writer::create(&image, size, 3, Some(&georeference), spec.layout)?;
    for first in (0..spec.size_px).step_by(ROWS as usize) {
        let n = ROWS.min(spec.size_px - first);
        writer.write_rows(first, &mut scene.rows(first, n))?;
        progress(first + n, spec.size_px);
    }
    writer.finish()?;
    let whole = Part { left: 0, top: 0, edge: spec.size_px };
    let properties = r#"{"class_id":1,"class_name":"building"}"#;
    write_outlines(&labels, &scene, whole, &georeference, properties)?;
    Ok(Written { image, labels })
}

/// A square of a scene.
#[derive(Clone, Copy)]
struct Part {
    left: u32,
    top: u32,
    edge: u32,
}

impl Part {
    fn holds(&self, [col, row]: [f64; 2]) -> bool {
        let along = |at: f64, start: u32| at >= f64::from(start) && at < f64::from(start + self.edge);
        along(col, self.left) && along(row, self.top)
    }
}

/// The buildings that touch a part of a scene, which lies on the ground as `georeference` says.
fn write_outlines(
    path: &Path,
    scene: &Scene,
    part: Part,
    georeference: &Georeference,
    properties: &str,
) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    let io = |error| RasterError::io(doing(), error);
    let to_degrees = to_degrees(path, &georeference.crs_wkt)?;
    // Under a temporary name until it is whole; strip by strip, for a scene has very many.
    let temporary = path.with_extension("geojson.part");
    let mut file = BufWriter::new(File::create(&temporary).map_err(io)?);
    write!(file, "{{\"type\":\"FeatureCollection\",\"features\":[").map_err(io)?;
    let mut comma = "";
    for building in (0..scene.n_strips()).flat_map(|strip| scene.buildings(strip)) {
        if !building.rings.iter().flatten().any(|point| part.holds(*point)) {
            continue;
        }
        let rings = degrees(&building, part, &georeference.crs_from_pixel, &to_degrees)
            .map_err(|error| RasterError::gdal(doing(), error))?;
        write!(
            file,
            "{comma}\n{{\"type\":\"Feature\",\"properties\":{properties},\
             \"geometry\":{{\"type\":\"Polygon\",\"coordinates\":[{rings}]}}}}"
        )
        .map_err(io)?;
        comma = ",";
    }
    writeln!(file, "\n]}}").map_err(io)?;
    file.into_inner().map_err(|error| io(error.into_error()))?.sync_all().map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)
}

fn to_degrees(path: &Path, crs: &str) -> Result<CoordTransform> {
    let gdal = |error| RasterError::gdal(format!("writing {}", path.display()), error);
    let [mut from, mut to] =
        [SpatialRef::from_definition(crs).map_err(gdal)?, SpatialRef::from_epsg(4326).map_err(gdal)?];
    // East first, whatever the system's own habit.
    from.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    to.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    CoordTransform::new(&from, &to).map_err(gdal)
}

/// Closed rings of longitude and latitude, with nine decimals: a tenth of a millimetre.
fn degrees(
    building: &Building,
    part: Part,
    t: &[f64; 6],
    to_degrees: &CoordTransform,
) -> gdal::errors::Result<String> {
    let (left, top) = (f64::from(part.left), f64::from(part.top));
    let mut rings = Vec::new();
    for ring in &building.rings {
        let closed = ring.iter().chain(ring.first());
        let (mut xs, mut ys): (Vec<f64>, Vec<f64>) =
            closed.map(|[col, row]| (t[0] + (col - left) * t[1], t[3] + (row - top) * t[5])).unzip();
        to_degrees.transform_coords(&mut xs, &mut ys, &mut [])?;
        let points = xs.iter().zip(&ys).map(|(x, y)| format!("[{x:.9},{y:.9}]"));
        rings.push(format!("[{}]", points.collect::<Vec<_>>().join(",")));
    }
    Ok(rings.join(","))
}

//! From the coordinates of a label file to the pixels of a scene.

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use serde_json::Value;
use swath_proto::scene::SceneHeader;

use crate::affine;

/// What GeoJSON means where it says nothing: longitude and latitude.
const DEGREES: &str = "OGC:CRS84";

pub(super) struct Projection {
    to_crs: Option<CoordTransform>,
    pixel_from_crs: [f64; 6],
    /// Nobody said that coordinates are degrees.
    assumed: bool,
}

impl Projection {
    /// `asked` is what the specification says, `named` what the file says.
    pub(super) fn new(asked: Option<&str>, named: Option<&str>, scene: &SceneHeader) -> Result<Self, String> {
        let georeference =
            scene.georeference.as_ref().ok_or("the scene's image does not say where it lies")?;
        if georeference.crs_wkt.is_empty() {
            return Err("the scene's image names no coordinate reference system".into());
        }
        let source = match (asked, named) {
            (Some("file"), None) => {
                return Err(
                    "it names no coordinate reference system in a member `crs`, which `crs = \"file\"` wants"
                        .into(),
                );
            }
            (None | Some("file"), Some(named)) => named,
            (Some(asked), _) => asked,
            (None, None) => DEGREES,
        };
        let system = |definition: &str| {
            let mut system = SpatialRef::from_definition(definition)
                .map_err(|error| format!("coordinate reference system {definition}: {error}"))?;
            system.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
            Ok::<_, String>(system)
        };
        let (source, target) = (system(source)?, system(&georeference.crs_wkt)?);
        let to_crs = if source == target {
            None
        } else {
            Some(CoordTransform::new(&source, &target).map_err(|error| error.to_string())?)
        };
        let pixel_from_crs = affine::invert(&georeference.crs_from_pixel)?;
        Ok(Self { to_crs, pixel_from_crs, assumed: asked.is_none() && named.is_none() })
    }

    /// A list of points.
    pub(super) fn line(&self, points: &Value) -> Result<Vec<[f64; 2]>, String> {
        let points =
            points.as_array().ok_or_else(|| format!("{} is no list of points", shortened(points)))?;
        let (mut xs, mut ys) = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
        for point in points {
            let (Some(x), Some(y)) = (point[0].as_f64(), point[1].as_f64()) else {
                return Err(format!("{} is no point", shortened(point)));
            };
            if self.assumed && (x.abs() > 360.0 || y.abs() > 90.0) {
                return Err(format!(
                    "({x}, {y}) is no longitude and latitude, and the file names no coordinate reference system: set `crs`"
                ));
            }
            xs.push(x);
            ys.push(y);
        }
        if let Some(to_crs) = &self.to_crs {
            to_crs.transform_coords(&mut xs, &mut ys, &mut []).map_err(|error| error.to_string())?;
        }
        Ok(xs.into_iter().zip(ys).map(|(x, y)| affine::apply(&self.pixel_from_crs, [x, y])).collect())
    }

    pub(super) fn rings(&self, rings: &Value) -> Result<Vec<Vec<[f64; 2]>>, String> {
        let rings = rings.as_array().ok_or("its coordinates are no list of rings")?;
        rings.iter().map(|ring| self.line(ring)).collect()
    }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

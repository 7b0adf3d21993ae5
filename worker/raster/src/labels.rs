//! Labels: polygons from GeoJSON in the pixels of a scene, burnt block by block through a spatial
//! index, so that the cost of a block does not grow with the scene.

use std::collections::HashMap;

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use rstar::{AABB, RTree, RTreeObject};
use serde_json::Value;
use swath_geo::rasterize::{self, Polygon};
use swath_proto::{geometry::RectPx, scene::SceneHeader};

use crate::{
    error::{Kind, RasterError, Result},
    geojson,
    settings::forget,
};

pub struct Labels {
    index: RTree<Labelled>,
}

struct Labelled {
    polygon: Polygon,
    class: u8,
    /// Later polygons are burnt over earlier ones.
    order: usize,
    bounds: AABB<[f64; 2]>,
}

impl RTreeObject for Labelled {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.bounds
    }
}

/// Reads polygons and multipolygons. Coordinates are longitude and latitude unless the file names
/// another system; the class is the property `class_name` or `class_id`, or the one class there is
/// beside the null class.
pub fn read(uri: &str, scene: &SceneHeader, class_names: &[&str], null_class: u8) -> Result<Labels> {
    let bad = |why: String| RasterError::new(Kind::BadLabels, format!("reading labels from {uri}"), why);
    let text = read_text(uri)?;
    let crs = geojson::crs_name(&text).map_err(bad)?;
    let transform = PixelTransform::new(crs.as_deref(), scene).map_err(bad)?;
    let classes: HashMap<&str, u8> = class_names.iter().copied().zip(0..).collect();
    let mut labelled = Vec::new();
    let take = |order: usize, feature: &Value| {
        let place = |why: String| format!("feature {order}: {why}");
        let class = class(&feature["properties"], &classes, class_names, null_class).map_err(place)?;
        for rings in polygons(&feature["geometry"]).map_err(place)? {
            let rings = transform.rings(rings).map_err(place)?;
            // An empty list of rings is a polygon without a place.
            let Some(bounds) = bounds(&rings) else { continue };
            let polygon = Polygon::new(rings).map_err(|error| place(error.to_string()))?;
            labelled.push(Labelled { polygon, class, order, bounds });
        }
        Ok(())
    };
    geojson::each_feature(&text, take).map_err(bad)?;
    drop(text);
    let (width, height) = (f64::from(scene.size.width), f64::from(scene.size.height));
    let index = RTree::bulk_load(labelled);
    let of_scene = AABB::from_corners([0.0, 0.0], [width, height]);
    if index.size() > 0 && index.locate_in_envelope_intersecting(&of_scene).next().is_none() {
        return Err(bad(format!(
            "none of its {} polygons touches the scene: is the coordinate system right?",
            index.size()
        )));
    }
    Ok(Labels { index })
}

impl Labels {
    pub fn len(&self) -> usize {
        self.index.size()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the classes of a rectangle's pixels, row by row.
    pub fn burn(&self, rect: RectPx, null_class: u8, out: &mut [u8]) -> Result<()> {
        out.fill(null_class);
        let corner = |col: u32, row: u32| [f64::from(col), f64::from(row)];
        let here = AABB::from_corners(corner(rect.col, rect.row), corner(rect.right(), rect.bottom()));
        let mut found: Vec<&Labelled> = self.index.locate_in_envelope_intersecting(&here).collect();
        found.sort_by_key(|labelled| labelled.order);
        rasterize::fill(found.into_iter().map(|labelled| (&labelled.polygon, labelled.class)), rect, out);
        Ok(())
    }
}

/// The polygons of a geometry. A feature without a shape labels nothing.
fn polygons(geometry: &Value) -> std::result::Result<Vec<&Value>, String> {
    match geometry["type"].as_str() {
        Some("Polygon") => Ok(vec![&geometry["coordinates"]]),
        Some("MultiPolygon") => Ok(geometry["coordinates"].as_array().into_iter().flatten().collect()),
        None if geometry.is_null() => Ok(Vec::new()),
        other => Err(format!("geometry is {other:?}; polygons and multipolygons are labels")),
    }
}

fn read_text(uri: &str) -> Result<Vec<u8>> {
    let doing = || format!("reading labels from {uri}");
    let Some(rest) = uri.strip_prefix("s3://") else {
        return std::fs::read(uri).map_err(|error| RasterError::io(doing(), error));
    };
    let path = std::ffi::CString::new(format!("/vsis3/{rest}"))
        .map_err(|_| RasterError::new(Kind::Missing, doing(), "its name holds a zero byte"))?;
    let (mut data, mut length) = (std::ptr::null_mut(), 0);
    // SAFETY: on success GDAL hands over a buffer of `length` bytes, which is copied and freed.
    unsafe {
        gdal_sys::CPLErrorReset();
        if gdal_sys::VSIIngestFile(std::ptr::null_mut(), path.as_ptr(), &mut data, &mut length, -1) == 0 {
            let why = std::ffi::CStr::from_ptr(gdal_sys::CPLGetLastErrorMsg()).to_string_lossy().into_owned();
            forget(&path.to_string_lossy());
            let why = if why.is_empty() { "it can't be opened".into() } else { why };
            return Err(RasterError::told(doing(), why));
        }
        let text = std::slice::from_raw_parts(data, length as usize).to_vec();
        gdal_sys::VSIFree(data.cast());
        Ok(text)
    }
}

fn class(
    properties: &Value,
    classes: &HashMap<&str, u8>,
    names: &[&str],
    null_class: u8,
) -> std::result::Result<u8, String> {
    if let Some(name) = properties["class_name"].as_str() {
        let known = || format!("class '{name}' is none of {}", names.join(", "));
        return classes.get(name).copied().ok_or_else(known);
    }
    if let Some(id) = properties["class_id"].as_u64() {
        let known = || format!("class_id {id} is beyond the {} classes", names.len());
        return u8::try_from(id).ok().filter(|id| usize::from(*id) < names.len()).ok_or_else(known);
    }
    match (names.len(), null_class) {
        (2, null @ 0..=1) => Ok(1 - null),
        _ => Err("it has neither class_name nor class_id, and there are several classes".into()),
    }
}

/// From a label file's coordinates to the pixels of a scene.
struct PixelTransform {
    to_crs: Option<CoordTransform>,
    pixel_from_crs: [f64; 6],
}

impl PixelTransform {
    fn new(crs: Option<&str>, scene: &SceneHeader) -> std::result::Result<Self, String> {
        let georeference =
            scene.georeference.as_ref().ok_or("the scene's image does not say where it lies")?;
        if georeference.crs_wkt.is_empty() {
            return Err("the scene's image names no coordinate reference system".into());
        }
        let source = crs.unwrap_or("OGC:CRS84");
        let system = |definition: &str| {
            let mut system =
                SpatialRef::from_definition(definition).map_err(|error| format!("{definition}: {error}"))?;
            system.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
            Ok::<_, String>(system)
        };
        let (source, target) = (system(source)?, system(&georeference.crs_wkt)?);
        let to_crs = if source == target {
            None
        } else {
            Some(CoordTransform::new(&source, &target).map_err(|error| error.to_string())?)
        };
        Ok(Self { to_crs, pixel_from_crs: invert(&georeference.crs_from_pixel)? })
    }

    fn rings(&self, rings: &Value) -> std::result::Result<Vec<Vec<[f64; 2]>>, String> {
        let rings = rings.as_array().ok_or("its coordinates are no list of rings")?;
        rings.iter().map(|ring| self.ring(ring)).collect()
    }

    fn ring(&self, ring: &Value) -> std::result::Result<Vec<[f64; 2]>, String> {
        let points = ring.as_array().ok_or("a ring is no list of points")?;
        let (mut xs, mut ys) = (Vec::with_capacity(points.len()), Vec::with_capacity(points.len()));
        for point in points {
            let (Some(x), Some(y)) = (point[0].as_f64(), point[1].as_f64()) else {
                return Err(format!("{point} is no point"));
            };
            xs.push(x);
            ys.push(y);
        }
        if let Some(to_crs) = &self.to_crs {
            to_crs.transform_coords(&mut xs, &mut ys, &mut []).map_err(|error| error.to_string())?;
        }
        let t = &self.pixel_from_crs;
        let to_pixel = |(x, y): (f64, f64)| [t[0] + x * t[1] + y * t[2], t[3] + x * t[4] + y * t[5]];
        Ok(xs.into_iter().zip(ys).map(to_pixel).collect())
    }
}

fn invert(t: &[f64; 6]) -> std::result::Result<[f64; 6], String> {
    let determinant = t[1] * t[5] - t[2] * t[4];
    if determinant == 0.0 || !determinant.is_finite() {
        return Err("the scene's transform can't be inverted".into());
    }
    let [a, b, c, d] = [t[5] / determinant, -t[2] / determinant, -t[4] / determinant, t[1] / determinant];
    Ok([-(t[0] * a + t[3] * b), a, b, -(t[0] * c + t[3] * d), c, d])
}

fn bounds(rings: &[Vec<[f64; 2]>]) -> Option<AABB<[f64; 2]>> {
    let points = rings.iter().flatten();
    points.clone().next()?;
    Some(AABB::from_points(points))
}

//! From a feature's geometry to polygons: points and lines are widened, polygons where that is asked for.

use gdal::{spatial_ref::SpatialRef, vector::Geometry};
use gdal_sys::OGRwkbGeometryType;
use serde_json::Value;
use swath_proto::{
    scene::{Georeference, SceneHeader},
    source::{Buffer, ClassList, Distance, GeometryKind},
};

use super::projection::Projection;

type Rings = Vec<Vec<[f64; 2]>>;

/// As Raster Vision widens points and lines where nothing else is said.
const DEFAULT_PX: f64 = 1.0;
/// Corners on a quarter of a circle, as Raster Vision's geometry library has them.
const QUARTER_CORNERS: u32 = 16;
/// Collections in collections in collections are an attack.
const MAX_DEPTH: u32 = 8;

pub(super) struct Shapes {
    buffers: Vec<OneBuffer>,
    /// Lengths of a pixel's sides; `None` where the scene does not say.
    px_metres: Option<[f64; 2]>,
}

struct OneBuffer {
    kind: Option<GeometryKind>,
    class: Option<u8>,
    by: Distance,
}

/// A part of a geometry, in pixels.
enum Part {
    Point([f64; 2]),
    Line(Vec<[f64; 2]>),
    Polygon(Rings),
}

impl Part {
    const fn kind(&self) -> GeometryKind {
        match self {
            Part::Point(_) => GeometryKind::Point,
            Part::Line(_) => GeometryKind::Line,
            Part::Polygon(_) => GeometryKind::Polygon,
        }
    }
}

impl Shapes {
    pub(super) fn new(buffers: &[Buffer], scene: &SceneHeader, classes: &ClassList) -> Result<Self, String> {
        let px_metres = scene.georeference.as_ref().and_then(|georeference| {
            let middle = [f64::from(scene.size.width) / 2.0, f64::from(scene.size.height) / 2.0];
            px_metres(georeference, middle)
        });
        let one = |buffer: &Buffer| {
            let class = buffer.class.as_ref().map(|class| classes.id(class)).transpose();
            let class = class.map_err(|why| format!("buffers: {why}"))?;
            let (Distance::Metres(by) | Distance::Px(by)) = buffer.by;
            let only_polygons = buffer.geometry == Some(GeometryKind::Polygon);
            if !by.is_finite() || by.abs() > 1e6 || (by <= 0.0 && !only_polygons) {
                return Err(format!(
                    "buffers: a width of {by} can't be; points and lines are widened by more than 0"
                ));
            }
            if matches!(buffer.by, Distance::Metres(_)) && px_metres.is_none() {
                return Err(
                    "buffers: the scene does not say how many metres a pixel has; say it in px".into()
                );
            }
            Ok(OneBuffer { kind: buffer.geometry, class, by: buffer.by })
        };
        Ok(Self { buffers: buffers.iter().map(one).collect::<Result<_, String>>()?, px_metres })
    }

    pub(super) fn polygons(
        &self,
        geometry: &Value,
        class: u8,
        projection: &Projection,
    ) -> Result<Vec<Rings>, String> {
        let mut parts = Vec::new();
        collect(geometry, projection, 0, &mut parts)?;
        let mut polygons = Vec::new();
        for part in parts {
            let kind = part.kind();
            let buffer = self.buffers.iter().find(|buffer| {
                buffer.kind.is_none_or(|of| of == kind) && buffer.class.is_none_or(|of| of == class)
            });
            match (part, buffer.map(|buffer| buffer.by)) {
                (Part::Polygon(rings), None) => polygons.push(rings),
                (part, by) => {
                    widen(&part, by.unwrap_or(Distance::Px(DEFAULT_PX)), self.px_metres, &mut polygons)?
                }
            }
        }
        Ok(polygons)
    }

    pub(super) fn only_polygons(geometry: &Value, projection: &Projection) -> Result<Vec<Rings>, String> {
        let mut parts = Vec::new();
        collect(geometry, projection, 0, &mut parts)?;
        let polygon = |part| match part {
            Part::Polygon(rings) => Ok(rings),
            other => Err(format!("its geometry has a {:?}, where only polygons can be", other.kind())),
        };
        parts.into_iter().map(polygon).collect()
    }
}

/// A feature without a shape labels nothing.
fn collect(
    geometry: &Value,
    projection: &Projection,
    depth: u32,
    parts: &mut Vec<Part>,
) -> Result<(), String> {
    let coordinates = &geometry["coordinates"];
    let list = || {
        let list = coordinates.as_array().ok_or("its geometry has no list of coordinates")?;
        Ok::<_, String>(list)
    };
    match geometry["type"].as_str() {
        Some("Point") => parts
            .extend(projection.line(&Value::Array(vec![coordinates.clone()]))?.into_iter().map(Part::Point)),
        Some("MultiPoint") => parts.extend(projection.line(coordinates)?.into_iter().map(Part::Point)),
        Some("LineString") => parts.push(Part::Line(projection.line(coordinates)?)),
        Some("MultiLineString") => {
            for line in list()? {
                parts.push(Part::Line(projection.line(line)?));
            }
        }
        Some("Polygon") => parts.push(Part::Polygon(projection.rings(coordinates)?)),
        Some("MultiPolygon") => {
            for rings in list()? {
                parts.push(Part::Polygon(projection.rings(rings)?));
            }
        }
        Some("GeometryCollection") if depth < MAX_DEPTH => {
            let inner =
                geometry["geometries"].as_array().ok_or("its collection has no list of geometries")?;
            for geometry in inner {
                collect(geometry, projection, depth + 1, parts)?;
            }
        }
        None if geometry.is_null() => {}
        Some(other) => return Err(format!("its geometry is of type '{other}', which can't be read")),
        None => return Err("its geometry has no type".into()),
    }
    Ok(())
}

/// In a plane in which the distance is the same in all directions.
fn widen(
    part: &Part,
    by: Distance,
    px_metres: Option<[f64; 2]>,
    polygons: &mut Vec<Rings>,
) -> Result<(), String> {
    let (distance, [x, y]) = match (by, px_metres) {
        (Distance::Px(px), _) => (px, [1.0, 1.0]),
        (Distance::Metres(metres), Some(sides)) => (metres, sides),
        (Distance::Metres(_), None) => {
            return Err("the scene does not say how many metres a pixel has".into());
        }
    };
    let failed = |error: gdal::errors::GdalError| format!("widening its geometry: {error}");
    let line = |kind, points: &[[f64; 2]]| {
        let mut line = Geometry::empty(kind).map_err(failed)?;
        points.iter().for_each(|[col, row]| line.add_point_2d((col * x, row * y)));
        Ok::<_, String>(line)
    };
    let shape = match part {
        Part::Point(point) => line(OGRwkbGeometryType::wkbPoint, &[*point])?,
        // One point twice is a point.
        Part::Line(points) => match points.as_slice() {
            [] => return Ok(()),
            [first, rest @ ..] if rest.iter().all(|point| point == first) => {
                line(OGRwkbGeometryType::wkbPoint, &[*first])?
            }
            points => line(OGRwkbGeometryType::wkbLineString, points)?,
        },
        Part::Polygon(rings) => {
            let mut polygon = Geometry::empty(OGRwkbGeometryType::wkbPolygon).map_err(failed)?;
            for ring in rings.iter().filter(|ring| ring.len() >= 3) {
                let closed: Vec<_> = ring.iter().chain(ring.first()).copied().collect();
                polygon.add_geometry(line(OGRwkbGeometryType::wkbLinearRing, &closed)?).map_err(failed)?;
            }
            polygon
        }
    };
    if shape.is_empty() {
        return Ok(());
    }
    let wide = shape.buffer(distance, QUARTER_CORNERS).map_err(failed)?;
    take_polygons(&wide, [x, y], polygons);
    Ok(())
}

fn take_polygons(geometry: &Geometry, [x, y]: [f64; 2], polygons: &mut Vec<Rings>) {
    let n = geometry.geometry_count();
    if gdal::vector::geometry_type_flatten(geometry.geometry_type()) != OGRwkbGeometryType::wkbPolygon {
        (0..n).for_each(|i| take_polygons(&geometry.get_geometry(i), [x, y], polygons));
        return;
    }
    let ring = |i| {
        let mut points = Vec::new();
        geometry.get_geometry(i).get_points(&mut points);
        points.into_iter().map(|(col, row, _)| [col / x, row / y]).collect()
    };
    if n > 0 {
        polygons.push((0..n).map(ring).collect());
    }
}

/// Lengths of the sides of a pixel in the middle of a scene.
fn px_metres(georeference: &Georeference, middle: [f64; 2]) -> Option<[f64; 2]> {
    let t = &georeference.crs_from_pixel;
    let system = SpatialRef::from_definition(&georeference.crs_wkt).ok()?;
    let [per_x, per_y] = if system.is_geographic() {
        let [_, latitude] = crate::affine::apply(t, middle);
        let phi = latitude.to_radians();
        // Metres a degree on the WGS 84 ellipsoid.
        [
            111_412.84 * phi.cos() - 93.5 * (3.0 * phi).cos() + 0.118 * (5.0 * phi).cos(),
            111_132.92 - 559.82 * (2.0 * phi).cos() + 1.175 * (4.0 * phi).cos(),
        ]
    } else {
        [system.linear_units(); 2]
    };
    let sides = [(t[1] * per_x).hypot(t[4] * per_y), (t[2] * per_x).hypot(t[5] * per_y)];
    sides.iter().all(|side| side.is_finite() && *side > 0.0).then_some(sides)
}

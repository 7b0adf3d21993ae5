//! Polygons in pixels find their place on the ground, in longitude and latitude or in the
//! coordinate reference system of the scene's file.
//!
//! A line that is straight in the file's system is a curve in longitude and latitude: the middle of
//! ten kilometres along a pixel's edge lies two metres off the line between its ends. A long line
//! gets positions in between, so that what was inside a ring stays inside.

mod footprint;
mod rings;

use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};
use serde_json::Value;
use swath_geo::vector::Outline;
use swath_proto::scene::Georeference;

pub use self::footprint::footprint;
use crate::error::{Kind, RasterError, Result};
use rings::{area_m2, lines, off, turn, unwrap_longitudes};

/// In which coordinates polygons are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// EPSG:4326, longitude first. Across the antimeridian they go on beyond 180 degrees.
    LonLat,
    /// Those of the scene's file.
    OfFile,
}

/// A polygon on the ground.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The outer ring, counter-clockwise where x is to the right and y is up, then holes, clockwise.
    /// The first position is not repeated at the end.
    pub rings: Vec<Vec<[f64; 2]>>,
    /// The polygon's pixels, as large as they are on the ellipsoid. `None` where the file names no
    /// coordinate reference system.
    pub area_m2: Option<f64>,
}

/// Places the polygons of one scene. It stays on the thread that made it.
pub struct Placer {
    crs_from_pixel: [f64; 6],
    to_lon_lat: ToLonLat,
    wanted: Coordinates,
}

enum ToLonLat {
    /// The file's system is the one.
    AsTheyAre,
    By(Box<CoordTransform>),
    /// The file names no system.
    Unknown,
}

/// The line between two positions may miss the true one by so many pixels.
const MAX_OFF_PX: f64 = 0.05;
/// Shorter lines are straight wherever one maps.
const LONG_PX: f64 = 32.0;
/// A bound for lines that no projection bends so.
const MAX_PIECES: f64 = 1024.0;

const DOING: &str = "placing polygons on the ground";

fn failed(why: impl Into<String>) -> RasterError {
    RasterError::new(Kind::Unsupported, DOING, why)
}

impl Placer {
    pub fn new(georeference: Option<&Georeference>, wanted: Coordinates) -> Result<Self> {
        let georeference = georeference.ok_or_else(|| {
            failed("vectorize needs a georeference, and the scene's image does not say where it lies")
        })?;
        let crs_from_pixel = georeference.crs_from_pixel;
        let [_, a, b, _, c, d] = crs_from_pixel;
        let determinant = a * d - b * c;
        if determinant == 0.0 || !determinant.is_finite() || !crs_from_pixel.iter().all(|n| n.is_finite()) {
            return Err(failed(format!("the scene's transform {crs_from_pixel:?} gives pixels no place")));
        }
        let to_lon_lat = match (georeference.crs_wkt.as_str(), wanted) {
            ("", Coordinates::OfFile) => ToLonLat::Unknown,
            ("", Coordinates::LonLat) => {
                return Err(failed(
                    "the scene's image names no coordinate reference system, so there is no longitude \
                     and latitude; polygons can be had in the coordinates of the file",
                ));
            }
            (wkt, _) => ToLonLat::from_wkt(wkt)?,
        };
        Ok(Self { crs_from_pixel, to_lon_lat, wanted })
    }

    /// In the order in which they come.
    pub fn place(&self, polygons: &[Outline]) -> Result<Vec<Placed>> {
        let on_ground = match self.to_lon_lat {
            ToLonLat::Unknown => None,
            _ => Some(self.lon_lat(polygons)?),
        };
        let areas: Vec<_> = match &on_ground {
            Some(placed) => placed.iter().zip(polygons).map(|(rings, of)| Some(area_m2(rings, of))).collect(),
            None => vec![None; polygons.len()],
        };
        let rings = match (self.wanted, on_ground) {
            (Coordinates::LonLat, Some(rings)) => rings,
            _ => polygons.iter().map(|polygon| self.in_crs(polygon)).collect(),
        };
        let placed = rings.into_iter().zip(areas).map(|(mut rings, area_m2)| {
            turn(&mut rings);
            Placed { rings, area_m2 }
        });
        Ok(placed.collect())
    }

    fn in_crs(&self, polygon: &Outline) -> Vec<Vec<[f64; 2]>> {
        polygon.rings.iter().map(|ring| ring.iter().map(|&at| self.crs(at)).collect()).collect()
    }

    fn crs(&self, [col, row]: [f64; 2]) -> [f64; 2] {
        let t = self.crs_from_pixel;
        [t[0] + col * t[1] + row * t[2], t[3] + col * t[4] + row * t[5]]
    }

    /// The rings of all polygons in one go: what a call costs beside its positions is paid once.
    fn lon_lat(&self, polygons: &[Outline]) -> Result<Vec<Vec<Vec<[f64; 2]>>>> {
        let rings = polygons.iter().flat_map(|polygon| &polygon.rings).cloned().collect();
        let outlines = self.bend(rings)?;
        let mut placed = self.transform(&outlines.concat())?.into_iter();
        let mut lengths = outlines.iter().map(Vec::len);
        let mut rings = |polygon: &Outline| -> Result<Vec<_>> {
            let mut rings: Vec<Vec<_>> = Vec::with_capacity(polygon.rings.len());
            for length in lengths.by_ref().take(polygon.rings.len()) {
                rings.push(placed.by_ref().take(length).collect());
            }
            unwrap_longitudes(&mut rings).map_err(|why| {
                let [col, row] =
                    polygon.rings.first().and_then(|ring| ring.first()).copied().unwrap_or_default();
                failed(format!("the polygon at row {row}, column {col}: {why}"))
            })?;
            Ok(rings)
        };
        polygons.iter().map(&mut rings).collect()
    }

    /// Puts positions into the long lines of rings, as many as it takes for the line to follow the
    /// true one. How far it is off grows with the square of its length.
    fn bend(&self, outlines: Vec<Vec<[f64; 2]>>) -> Result<Vec<Vec<[f64; 2]>>> {
        let is_long = |&([ax, ay], [bx, by]): &([f64; 2], [f64; 2])| (bx - ax).hypot(by - ay) > LONG_PX;
        let middle = |([ax, ay], [bx, by]): ([f64; 2], [f64; 2])| [ax.midpoint(bx), ay.midpoint(by)];
        let probes: Vec<_> = outlines
            .iter()
            .flat_map(|ring| lines(ring))
            .filter(is_long)
            .flat_map(|line| [line.0, middle(line), line.1])
            .collect();
        if probes.is_empty() {
            return Ok(outlines);
        }
        let probed = self.transform(&probes)?;
        let mut pieces = probed.chunks_exact(3).zip(probes.chunks_exact(3)).map(|(placed, px)| {
            let long_px = (px[2][0] - px[0][0]).hypot(px[2][1] - px[0][1]);
            let off_px = off(placed) * long_px;
            (off_px / MAX_OFF_PX).sqrt().ceil().clamp(1.0, MAX_PIECES)
        });
        let bent = outlines.into_iter().map(|ring| {
            let mut bent = Vec::with_capacity(ring.len());
            for line in lines(&ring) {
                bent.push(line.0);
                let n = if is_long(&line) { pieces.next().unwrap_or(1.0) } else { 1.0 };
                let ([ax, ay], [bx, by]) = line;
                for i in 1..n as u32 {
                    let along = f64::from(i) / n;
                    bent.push([ax + (bx - ax) * along, ay + (by - ay) * along]);
                }
            }
            bent
        });
        Ok(bent.collect())
    }

    fn transform(&self, pixels: &[[f64; 2]]) -> Result<Vec<[f64; 2]>> {
        let (mut xs, mut ys): (Vec<_>, Vec<_>) = pixels.iter().map(|&at| self.crs(at).into()).unzip();
        let outcome = match &self.to_lon_lat {
            ToLonLat::By(transform) => transform.transform_coords(&mut xs, &mut ys, &mut []),
            ToLonLat::AsTheyAre | ToLonLat::Unknown => Ok(()),
        };
        let on_globe = |(lon, lat): (&f64, &f64)| lon.is_finite() && lat.abs() <= 90.0;
        if let Some(i) = xs.iter().zip(&ys).position(|at| !on_globe(at)) {
            let ([col, row], [x, y]) = (pixels[i], self.crs(pixels[i]));
            return Err(failed(format!(
                "row {row}, column {col} of the scene, at {x}, {y}, has no longitude and latitude"
            )));
        }
        outcome.map_err(|error| RasterError::gdal(DOING, error))?;
        Ok(xs.into_iter().zip(ys).map(Into::into).collect())
    }
}

impl ToLonLat {
    fn from_wkt(wkt: &str) -> Result<Self> {
        let (source, target) = (system(wkt)?, system("EPSG:4326")?);
        if source == target {
            return Ok(Self::AsTheyAre);
        }
        let transform =
            CoordTransform::new(&source, &target).map_err(|error| RasterError::gdal(DOING, error))?;
        Ok(Self::By(Box::new(transform)))
    }
}

fn system(definition: &str) -> Result<SpatialRef> {
    let mut system =
        SpatialRef::from_definition(definition).map_err(|error| RasterError::gdal(DOING, error))?;
    system.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    Ok(system)
}

/// The coordinate reference system of a file as PROJJSON; `None` where it names none.
pub fn projjson(georeference: &Georeference) -> Result<Option<Value>> {
    if georeference.crs_wkt.is_empty() {
        return Ok(None);
    }
    let text = system(&georeference.crs_wkt)?
        .to_projjson()
        .map_err(|error| RasterError::gdal("describing a coordinate reference system", error))?;
    serde_json::from_str(&text).map(Some).map_err(|error| failed(format!("PROJJSON: {error}")))
}

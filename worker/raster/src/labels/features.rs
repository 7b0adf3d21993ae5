//! Features of GeoJSON as polygons in the pixels of a scene, found again by a spatial index.

use rstar::{AABB, Envelope as _, RTree, RTreeObject};
use serde_json::Value;
use swath_geo::rasterize::{self, Polygons};
use swath_proto::{
    geometry::WindowPx,
    scene::{FileRef, SceneHeader},
    source::{ClassList, GeoJsonLabels},
};

use super::{bad, classes::Classifier, projection::Projection, shapes::Shapes};
use crate::{
    error::{Kind, RasterError, Result},
    geojson::{self, Unread},
    text::Text,
};

pub(super) struct Features {
    /// Later ones are burnt over earlier ones.
    polygons: Polygons,
    /// Of each polygon.
    classes: Vec<u8>,
    index: RTree<Spot>,
}

/// The pixels among which a polygon lies: half as long as its bounds, and a large scene has very many.
struct Spot {
    pixels: AABB<[i32; 2]>,
    nth: u32,
}

impl RTreeObject for Spot {
    type Envelope = AABB<[i32; 2]>;
    fn envelope(&self) -> Self::Envelope {
        self.pixels
    }
}

/// What is found in files, polygon by polygon.
#[derive(Default)]
struct Found {
    polygons: Polygons,
    classes: Vec<u8>,
    spots: Vec<Spot>,
}

impl Features {
    pub(super) fn open(spec: &GeoJsonLabels, scene: &SceneHeader, classes: &ClassList) -> Result<Self> {
        let bad = bad(&spec.file);
        let classifier = Classifier::new(spec, classes).map_err(&bad)?;
        let shapes = Shapes::new(&spec.buffers, scene, classes).map_err(&bad)?;
        let mut found = Found::default();
        let of_scene = of_window(WindowPx::new(0, 0, scene.size.width, scene.size.height));
        let all = each_shape(&spec.file, spec.crs.as_deref(), scene, |feature, projection, bounds| {
            let Some(class) = classifier.class(&feature["properties"])? else { return Ok(()) };
            for rings in shapes.polygons(&feature["geometry"], class, projection)? {
                let Some(spot) = place(&rings) else { continue };
                rasterize::check(&rings).map_err(|error| error.to_string())?;
                *bounds = union(*bounds, spot);
                // A file may label a whole region: what lies beside the scene is not kept.
                if touches(&spot, &of_scene) {
                    found.take(&rings, class, spot)?;
                }
            }
            Ok(())
        })?;
        outside(&spec.file, all, scene)?;
        Ok(found.indexed())
    }

    /// Polygons alone, wherever they lie, with 1 for a class.
    pub(super) fn of_aoi(files: &[FileRef], crs: Option<&str>, scene: &SceneHeader) -> Result<Self> {
        let mut found = Found::default();
        for file in files {
            let before = found.polygons.len();
            let all = each_shape(file, crs, scene, |feature, projection, bounds| {
                for rings in Shapes::only_polygons(&feature["geometry"], projection)? {
                    let Some(spot) = place(&rings) else { continue };
                    *bounds = union(*bounds, spot);
                    found.take(&rings, 1, spot)?;
                }
                Ok(())
            })?;
            if found.polygons.len() == before {
                return Err(bad(file)("an area of interest must have a polygon, and it has none".into()));
            }
            outside(file, all, scene)?;
        }
        if found.polygons.is_empty() {
            let why = "an area of interest must have a file, and `files` is empty";
            return Err(RasterError::new(Kind::BadLabels, "reading an area of interest", why));
        }
        Ok(found.indexed())
    }

    pub(super) fn touch(&self, window: WindowPx) -> bool {
        self.index.locate_in_envelope_intersecting(&pixels(of_window(window))).next().is_some()
    }

    pub(super) fn count(&self, window: WindowPx) -> usize {
        self.index.locate_in_envelope_intersecting(&pixels(of_window(window))).count()
    }

    pub(super) fn burn(&self, window: WindowPx, out: &mut [u8]) {
        let found = self.index.locate_in_envelope_intersecting(&pixels(of_window(window)));
        let mut found: Vec<u32> = found.map(|spot| spot.nth).collect();
        found.sort_unstable();
        let polygons = found.into_iter().map(|nth| (self.polygons.nth(nth), self.classes[nth as usize]));
        rasterize::fill_window(polygons, window, out);
    }

    pub(super) fn bounds(&self) -> Option<WindowPx> {
        let all = self.index.iter().map(|spot| spot.pixels).reduce(|all, one| all.merged(&one))?;
        let ([left, top], [right, bottom]) = (all.lower(), all.upper());
        Some(WindowPx::new(left.into(), top.into(), right.abs_diff(left), bottom.abs_diff(top)))
    }
}

impl Found {
    fn take(
        &mut self,
        rings: &[Vec<[f64; 2]>],
        class: u8,
        bounds: AABB<[f64; 2]>,
    ) -> std::result::Result<(), String> {
        let nth = self.polygons.len() as u32;
        self.polygons.push(rings).map_err(|error| error.to_string())?;
        self.spots.push(Spot { pixels: pixels(bounds), nth });
        self.classes.push(class);
        Ok(())
    }

    fn indexed(self) -> Features {
        let Self { polygons, classes, spots } = self;
        Features { polygons, classes, index: RTree::bulk_load(spots) }
    }
}

/// `None` for a polygon without a place.
fn place(rings: &[Vec<[f64; 2]>]) -> Option<AABB<[f64; 2]>> {
    let is_somewhere = rings.iter().any(|ring| !ring.is_empty());
    is_somewhere.then(|| AABB::from_points(rings.iter().flatten()))
}

/// Goes over a file's features. The bounds that `take` widens come back.
fn each_shape(
    file: &FileRef,
    crs: Option<&str>,
    scene: &SceneHeader,
    mut take: impl FnMut(&Value, &Projection, &mut Option<AABB<[f64; 2]>>) -> std::result::Result<(), String>,
) -> Result<Option<AABB<[f64; 2]>>> {
    let bad = bad(file);
    let text = Text::open(&file.uri)?;
    let unread = |unread| match unread {
        Unread::Io(error) => text.torn(error),
        Unread::Bad(why) => bad(why),
    };
    let named = geojson::crs_name(text.reader()?).map_err(unread)?;
    let projection = Projection::new(crs, named.as_deref(), scene).map_err(&bad)?;
    let mut bounds = None;
    geojson::each_feature(text.reader()?, |number, feature| {
        take(feature, &projection, &mut bounds).map_err(|why| format!("feature {number}: {why}"))
    })
    .map_err(unread)?;
    Ok(bounds)
}

/// Labels that all lie beside the scene are those of another, or in another coordinate system.
fn outside(file: &FileRef, labels: Option<AABB<[f64; 2]>>, scene: &SceneHeader) -> Result<()> {
    let whole = WindowPx::new(0, 0, scene.size.width, scene.size.height);
    let (Some(labels), Some(georeference)) = (labels, &scene.georeference) else { return Ok(()) };
    if touches(&labels, &of_window(whole)) {
        return Ok(());
    }
    let scene_extent =
        super::grid::extent(georeference, [0.0, 0.0], [whole.width.into(), whole.height.into()]);
    let why = format!(
        "all of it lies outside the scene: it spans {}, the scene {scene_extent} (in {}). Is the coordinate system right?",
        super::grid::extent(georeference, labels.lower(), labels.upper()),
        crate::mosaic::name(&georeference.crs_wkt)
    );
    Err(bad(file)(why))
}

fn of_window(window: WindowPx) -> AABB<[f64; 2]> {
    let (col, row) = (window.col as f64, window.row as f64);
    AABB::from_corners([col, row], [col + f64::from(window.width), row + f64::from(window.height)])
}

/// The whole pixels around bounds, up to where a scene may end. They may be compared, as bulk loading and looking up
/// do, but not added up: that would overflow.
fn pixels(bounds: AABB<[f64; 2]>) -> AABB<[i32; 2]> {
    AABB::from_corners(bounds.lower().map(|c| c.floor() as i32), bounds.upper().map(|c| c.ceil() as i32))
}

fn touches(a: &AABB<[f64; 2]>, b: &AABB<[f64; 2]>) -> bool {
    a.intersects(b)
}

fn union(all: Option<AABB<[f64; 2]>>, one: AABB<[f64; 2]>) -> Option<AABB<[f64; 2]>> {
    Some(all.map_or(one, |all| all.merged(&one)))
}

//! Features of GeoJSON as polygons in the pixels of a scene, found again by a spatial index.

use rstar::{AABB, RTree, RTreeObject};
use serde_json::Value;
use swath_geo::rasterize::{self, Polygon};
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

impl Features {
    pub(super) fn open(spec: &GeoJsonLabels, scene: &SceneHeader, classes: &ClassList) -> Result<Self> {
        let bad = bad(&spec.file);
        let classifier = Classifier::new(spec, classes).map_err(&bad)?;
        let shapes = Shapes::new(&spec.buffers, scene, classes).map_err(&bad)?;
        let mut found = Vec::new();
        let of_scene = of_window(WindowPx::new(0, 0, scene.size.width, scene.size.height));
        let all =
            each_shape(&spec.file, spec.crs.as_deref(), scene, |order, feature, projection, bounds| {
                let Some(class) = classifier.class(&feature["properties"])? else { return Ok(()) };
                for polygon in shapes.polygons(&feature["geometry"], class, projection)? {
                    let labelled = Labelled::new(polygon, class, order)?;
                    let Some(labelled) = labelled else { continue };
                    *bounds = union(*bounds, labelled.bounds);
                    // A file may label a whole region: what lies beside the scene is not kept.
                    if touches(&labelled.bounds, &of_scene) {
                        found.push(labelled);
                    }
                }
                Ok(())
            })?;
        outside(&spec.file, all, scene)?;
        Ok(Self { index: RTree::bulk_load(found) })
    }

    /// Polygons alone, wherever they lie, with 1 for a class.
    pub(super) fn of_aoi(files: &[FileRef], crs: Option<&str>, scene: &SceneHeader) -> Result<Self> {
        let mut found = Vec::new();
        let mut order = 0;
        for file in files {
            let before = found.len();
            let all = each_shape(file, crs, scene, |_, feature, projection, bounds| {
                for polygon in Shapes::only_polygons(&feature["geometry"], projection)? {
                    let Some(labelled) = Labelled::new(polygon, 1, order)? else { continue };
                    order += 1;
                    *bounds = union(*bounds, labelled.bounds);
                    found.push(labelled);
                }
                Ok(())
            })?;
            if found.len() == before {
                return Err(bad(file)("an area of interest must have a polygon, and it has none".into()));
            }
            outside(file, all, scene)?;
        }
        if found.is_empty() {
            let why = "an area of interest must have a file, and `files` is empty";
            return Err(RasterError::new(Kind::BadLabels, "reading an area of interest", why));
        }
        Ok(Self { index: RTree::bulk_load(found) })
    }

    pub(super) fn touch(&self, window: WindowPx) -> bool {
        self.index.locate_in_envelope_intersecting(&of_window(window)).next().is_some()
    }

    pub(super) fn burn(&self, window: WindowPx, out: &mut [u8]) {
        let mut found: Vec<&Labelled> =
            self.index.locate_in_envelope_intersecting(&of_window(window)).collect();
        found.sort_unstable_by_key(|labelled| labelled.order);
        let polygons = found.into_iter().map(|labelled| (&labelled.polygon, labelled.class));
        rasterize::fill_window(polygons, window, out);
    }

    pub(super) fn bounds(&self) -> Option<WindowPx> {
        let bounds = self.index.iter().fold(None, |all, one| union(all, one.bounds))?;
        let ([left, top], [right, bottom]) = (bounds.lower().map(f64::floor), bounds.upper().map(f64::ceil));
        Some(WindowPx::new(left as i64, top as i64, (right - left) as u32, (bottom - top) as u32))
    }
}

impl Labelled {
    /// `None` for a polygon without a place.
    fn new(rings: Vec<Vec<[f64; 2]>>, class: u8, order: usize) -> std::result::Result<Option<Self>, String> {
        if rings.iter().all(Vec::is_empty) {
            return Ok(None);
        }
        let bounds = AABB::from_points(rings.iter().flatten());
        let polygon = Polygon::new(rings).map_err(|error| error.to_string())?;
        Ok(Some(Self { polygon, class, order, bounds }))
    }
}

/// Goes over a file's features. The bounds that `take` widens come back.
fn each_shape(
    file: &FileRef,
    crs: Option<&str>,
    scene: &SceneHeader,
    mut take: impl FnMut(
        usize,
        &Value,
        &Projection,
        &mut Option<AABB<[f64; 2]>>,
    ) -> std::result::Result<(), String>,
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
        take(number, feature, &projection, &mut bounds).map_err(|why| format!("feature {number}: {why}"))
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

fn touches(a: &AABB<[f64; 2]>, b: &AABB<[f64; 2]>) -> bool {
    use rstar::Envelope as _;
    a.intersects(b)
}

fn union(all: Option<AABB<[f64; 2]>>, one: AABB<[f64; 2]>) -> Option<AABB<[f64; 2]>> {
    use rstar::Envelope as _;
    Some(all.map_or(one, |all| all.merged(&one)))
}

//! Traces a raster of classes, a scene's or that of many, into polygons, block by block. The blocks leave no
//! trace: the polygons are those of the whole raster.

use std::sync::Arc;

use anyhow::anyhow;
use swath_geo::{
    grid::ItemGrid,
    vector::{BadJoin, Fragment, Joiner, Layers, Outline, Polygon, Tracing, simplify, square},
};
use swath_proto::{
    geometry::{RectPx, SizePx},
    item::ClassStyle,
    scene::Georeference,
    vectors::VectorPlan,
};
use swath_raster::{
    Kind, Pixels, Raster, RasterError,
    place::{Coordinates, Placer},
};
use swath_vectors::{Feature, WriteError};

use super::polygon_files::PolygonFiles;
use crate::failure::JobError;

/// Edge of what is traced at a time: bounds the memory, whatever the raster, and leaves it in a core's own cache.
const BLOCK_PX: u32 = 1024;

/// That, or more where much around a block is needed to remove noise.
pub(super) fn block_px(plan: &VectorPlan) -> u32 {
    BLOCK_PX.max(plan.denoise_px.saturating_mul(4))
}
/// Areas of pixels differ little from this many polygons to the next.
const PLACED_AT_ONCE: usize = 1024;

/// Where pixels come from.
pub(super) trait Source {
    /// Of a rectangle, with the scores of this class where there are scores.
    fn read(&mut self, class: u8, rect: RectPx) -> Result<Layers, JobError>;
    /// Nothing is there, of any class.
    fn is_empty_in(&self, rect: RectPx) -> bool;
}

/// What is traced, and how.
pub(super) struct Canvas<'a> {
    /// For whoever reads an error.
    pub(super) name: &'a str,
    pub(super) size: SizePx,
    pub(super) georeference: Option<&'a Georeference>,
    pub(super) classes: &'a [ClassStyle],
    pub(super) plan: &'a VectorPlan,
    /// Edge of the squares in which it is traced, in Z-order.
    pub(super) block_px: u32,
}

impl Canvas<'_> {
    /// Adds the polygons of all classes to the files, and says how many there were.
    pub(super) fn draw(
        &self,
        source: &mut dyn Source,
        files: &mut PolygonFiles<'_>,
    ) -> Result<u64, JobError> {
        let placer = Placer::new(self.georeference, Coordinates::LonLat)?;
        let bad = |error: WriteError| JobError::data(error);
        let mut n_polygons = 0;
        for &class in &self.plan.classes {
            let polygons = self.polygons(source, class)?;
            for part in polygons.chunks(PLACED_AT_ONCE) {
                let features = self.place(class, &placer, part)?;
                features.iter().try_for_each(|feature| files.add(feature)).map_err(bad)?;
                n_polygons += features.len() as u64;
            }
        }
        Ok(n_polygons)
    }

    fn polygons(&self, source: &mut dyn Source, class: u8) -> Result<Vec<Polygon>, JobError> {
        let tracing = Tracing { scene: self.size, class, denoise_px: self.plan.denoise_px };
        let grid = ItemGrid::new(self.size, self.block_px).map_err(JobError::internal)?;
        let mut joiner = Joiner::new(self.size, 1);
        let mut polygons = Vec::new();
        for item in (0..grid.len()).filter_map(|index| grid.rect(index)) {
            let window = tracing.window_px(item).map_err(JobError::internal)?;
            let fragment = if source.is_empty_in(window) {
                Fragment::empty(item)
            } else {
                let Layers { classes, scores } = source.read(class, window)?;
                tracing.fragment(item, &classes, scores.as_deref()).map_err(JobError::internal)?
            };
            polygons.extend(joiner.add(fragment).map_err(|error| self.unfit(class, error))?);
        }
        joiner.finish().map_err(JobError::internal)?;
        polygons.sort_unstable_by_key(Polygon::first_corner);
        Ok(polygons)
    }

    /// The fragments are our own, so that nothing but the size of a polygon can be wrong with them.
    fn unfit(&self, class: u8, error: BadJoin) -> JobError {
        match error {
            BadJoin::Huge { .. } => JobError::data(anyhow!(
                "{}, class {}: {error}; raise vectorize.denoise_px, which takes corners away, or leave the class out of \
                 vectorize.classes",
                self.name,
                self.classes.get(usize::from(class)).map_or("?", |class| class.name.as_str()),
            )),
            _ => JobError::internal(error),
        }
    }

    fn place(&self, class: u8, placer: &Placer, polygons: &[Polygon]) -> Result<Vec<Feature>, JobError> {
        let name = self.classes.get(usize::from(class)).map(|class| class.name.as_str());
        let name: Arc<str> = name
            .ok_or_else(|| {
                JobError::data(anyhow!(
                    "{}: class {class} is in the map, and the run has {}: delete the map and replay the item",
                    self.name,
                    self.classes.len()
                ))
            })?
            .into();
        let outlines: Vec<Outline> = polygons.iter().map(|polygon| self.outline(polygon)).collect();
        let mut features = Vec::new();
        for (polygon, placed) in polygons.iter().zip(placer.place(&outlines)?) {
            let area = placed.area_m2.unwrap_or_default();
            if area >= self.plan.min_area_m2 {
                let (class_name, score) = (name.clone(), polygon.mean_score());
                features.push(Feature { class_id: class, class_name, score, area, rings: placed.rings });
            }
        }
        Ok(features)
    }

    /// With right angles where they are wanted and fit, else simplified as it is wanted.
    fn outline(&self, polygon: &Polygon) -> Outline {
        square(polygon, self.plan.square_px).unwrap_or_else(|| match self.plan.tolerance_px {
            0.0 => Outline::from(polygon),
            tolerance_px => Outline::from(&simplify(polygon.clone(), tolerance_px).polygon),
        })
    }
}

/// A scene's prediction, and its scores where there are any.
pub(super) struct Prediction {
    classes: Raster,
    scores: Option<Raster>,
}

impl Prediction {
    /// `gone` says what follows if a file is not there.
    pub(super) fn open(
        classes: &str,
        scores: Option<&str>,
        gone: impl Fn(String) -> JobError,
    ) -> Result<Self, JobError> {
        let open = |uri: &str| {
            Raster::open(uri).map_err(|error: RasterError| match error.kind {
                Kind::Missing => gone(format!("{uri} is gone")),
                _ => error.into(),
            })
        };
        Ok(Self { classes: open(classes)?, scores: scores.map(open).transpose()? })
    }
}

impl Source for Prediction {
    fn read(&mut self, class: u8, rect: RectPx) -> Result<Layers, JobError> {
        let pixels = |raster: &Raster, band: usize| -> Result<Vec<u8>, JobError> {
            match raster.read(i64::from(rect.col), i64::from(rect.row), rect.size(), &[band])? {
                Pixels::U8(pixels) => Ok(pixels),
                other => Err(JobError::data(anyhow!(
                    "{} has pixels of type {}, and the run has written 8 bits there: delete it and replay the item",
                    raster.uri(),
                    other.type_name()
                ))),
            }
        };
        let scores = self.scores.as_ref().map(|scores| pixels(scores, usize::from(class) + 1));
        Ok(Layers { classes: pixels(&self.classes, 1)?, scores: scores.transpose()? })
    }

    fn is_empty_in(&self, _: RectPx) -> bool {
        false
    }
}

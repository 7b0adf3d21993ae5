//! Labels: the class of each pixel of a scene, burnt rectangle by rectangle from polygons or read from a
//! raster. A spatial index keeps the cost of a rectangle from growing with the scene.

mod classes;
mod features;
mod grid;
mod projection;
mod rasters;
mod shapes;

use swath_proto::{
    geometry::{RectPx, WindowPx},
    scene::{FileRef, SceneHeader},
    source::{Aoi as AoiSpec, ClassList, IGNORED, LabelSpec},
};

use crate::{
    error::{Kind, RasterError, Result},
    remote,
};
use features::Features;
use rasters::{ClassPixels, ColorPixels};

/// The labels of one scene: to be used on one thread at a time.
pub struct Labels {
    from: From,
    null_class: u8,
}

enum From {
    Features(Features),
    Classes(ClassPixels),
    Colors(ColorPixels),
}

impl Labels {
    pub fn open(spec: &LabelSpec, scene: &SceneHeader, classes: &ClassList) -> Result<Self> {
        let bad = bad(spec.file());
        if !(1..=255).contains(&classes.names.len()) {
            return Err(bad(format!(
                "{} classes are given, but there must be 1 to 255",
                classes.names.len()
            )));
        }
        let from = match spec {
            LabelSpec::GeoJson(spec) => From::Features(Features::open(spec, scene, classes)?),
            LabelSpec::ClassRaster(spec) => From::Classes(ClassPixels::open(spec, scene, classes)?),
            LabelSpec::ColorRaster(spec) => From::Colors(ColorPixels::open(spec, scene, classes)?),
        };
        Ok(Self { from, null_class: classes.null_class })
    }

    /// As [`Labels::open`], for whoever only looks: polygons are not read of more text than that. Rasters are read part by
    /// part, whatever their size.
    pub fn open_within(
        spec: &LabelSpec,
        scene: &SceneHeader,
        classes: &ClassList,
        most_bytes: u64,
    ) -> Result<Self> {
        if let LabelSpec::GeoJson(spec) = spec {
            let bytes = remote::length(&spec.file.uri)?;
            if bytes > most_bytes {
                let why =
                    format!("{bytes} bytes of polygons are too many to be looked at, {most_bytes} at most");
                return Err(RasterError::new(
                    Kind::Unsupported,
                    format!("reading labels from {}", spec.file.uri),
                    why,
                ));
            }
        }
        Self::open(spec, scene, classes)
    }

    /// How many polygons touch a rectangle, by their bounds; none where labels are a raster.
    pub fn count(&self, rect: RectPx) -> usize {
        match &self.from {
            From::Features(features) => features.count(window(rect)),
            From::Classes(_) | From::Colors(_) => 0,
        }
    }

    /// Fills `out` with the classes of a rectangle's pixels, row by row: the null class where no label is,
    /// [`swath_proto::source::IGNORED`] where a label says so.
    ///
    /// # Panics
    /// If `out` is not as large as `rect`.
    pub fn burn(&self, rect: RectPx, out: &mut [u8]) -> Result<()> {
        assert_eq!(out.len() as u64, rect.pixels(), "the plane of {rect}");
        match &self.from {
            From::Features(features) => {
                out.fill(self.null_class);
                features.burn(window(rect), out);
                Ok(())
            }
            From::Classes(raster) => raster.burn(rect, out),
            From::Colors(raster) => raster.burn(rect, out),
        }
    }
}

/// Where a scene's chips and scores may come from.
pub struct Aoi {
    features: Features,
}

/// How much of a window lies in an area of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    None,
    Part,
    All,
}

impl Aoi {
    pub fn open(spec: &AoiSpec, scene: &SceneHeader) -> Result<Self> {
        let features = Features::of_aoi(&spec.files, spec.crs.as_deref(), scene)?;
        Ok(Self { features })
    }

    /// By the centres of the window's pixels; also of those beyond the scene.
    pub fn covers(&self, window: WindowPx) -> Coverage {
        if !self.features.touch(window) {
            return Coverage::None;
        }
        let mut mask = vec![0; window.size().pixels() as usize];
        self.features.burn(window, &mut mask);
        match (mask.contains(&1), mask.contains(&0)) {
            (false, _) => Coverage::None,
            (true, true) => Coverage::Part,
            (true, false) => Coverage::All,
        }
    }

    /// 1 for each pixel of a window whose centre lies in the area, 0 for the others.
    ///
    /// # Panics
    /// If `out` is not as large as `window`.
    pub fn burn(&self, window: WindowPx, out: &mut [u8]) {
        out.fill(0);
        self.features.burn(window, out);
    }

    /// Makes the classes of a window's pixels ignored where they lie outside: they count neither in training nor
    /// in evaluation.
    ///
    /// # Panics
    /// If `classes` is not as large as `window`.
    pub fn ignore_outside(&self, window: WindowPx, classes: &mut [u8]) {
        let mut inside = vec![0; classes.len()];
        self.burn(window, &mut inside);
        ignore_where_zero(&inside, classes);
    }

    /// The smallest window that holds the whole area.
    pub fn bounds(&self) -> Option<WindowPx> {
        self.features.bounds()
    }
}

/// Makes the classes of pixels ignored where a mask is 0.
pub fn ignore_where_zero(mask: &[u8], classes: &mut [u8]) {
    let left_out = classes.iter_mut().zip(mask).filter(|(_, inside)| **inside == 0);
    left_out.for_each(|(class, _)| *class = IGNORED);
}

/// A rectangle of a scene on the pixels of a raster that lies on the whole, of which the scene may be a part.
const fn on_whole(rect: RectPx, [col, row]: [u32; 2]) -> RectPx {
    RectPx::new(rect.col + col, rect.row + row, rect.width, rect.height)
}

const fn window(rect: RectPx) -> WindowPx {
    WindowPx::new(rect.col as i64, rect.row as i64, rect.width, rect.height)
}

fn bad(file: &FileRef) -> impl Fn(String) -> RasterError + '_ {
    move |why| RasterError::new(Kind::BadLabels, format!("reading labels from {}", file.uri), why)
}

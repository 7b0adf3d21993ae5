//! The layers of a scene, each as pixels with colour and cover.

use std::collections::HashMap;

use swath_coordinator::http::imagery::{Layer, Picture, Undrawn};
use swath_geo::pyramid::{level_size, reduce_classes};
use swath_proto::{
    geometry::{RectPx, SizePx},
    scene::SceneHeader,
    source::{ClassList, IGNORED, LabelSpec},
};
use swath_raster::{
    Kind, Labels, Raster, RasterError, Reduction,
    picture::{
        CONFUSED, FALSE, MISSED,
        pixels::{self, Rgba},
    },
    remote::with_passes,
};

/// Labels that are kept open: a large file takes a while to read.
const OPEN: usize = 4;
/// Text of polygons that is read, all of it, to draw those of a scene.
const MOST_TEXT: u64 = 512 << 20;
/// Scenes of which it is remembered how bright they are.
const RANGES: usize = 256;
/// Labels of so many pixels are burnt whole and made smaller as maps are; of more, one pixel stands for its
/// neighbours.
const BURNT: u64 = 1 << 24;

/// What is kept between pictures.
#[derive(Default)]
pub(super) struct Easel {
    labels: Vec<(String, Labels)>,
    ranges: HashMap<String, [(f32, f32); 3]>,
}

impl Easel {
    pub(super) fn draw(&mut self, mut picture: Picture) -> Result<Vec<u8>, Undrawn> {
        let passes = std::mem::take(&mut picture.passes);
        let size = level_size(picture.rect.size(), picture.level);
        let rgba = with_passes(passes, || self.pixels(&picture, size)).map_err(undrawn)?;
        pixels::png(size, &rgba).map_err(|error| Undrawn::Failed(error.to_string()))
    }

    fn pixels(&mut self, picture: &Picture, size: SizePx) -> Result<Vec<Rgba>, RasterError> {
        match &picture.layer {
            Layer::Imagery => self.imagery(&picture.scene, picture.rect, picture.level),
            Layer::Labels(spec) => Ok(classes(picture, &self.burn(picture, spec)?)),
            Layer::Prediction(file) => Ok(classes(picture, &predicted(picture, file, size)?)),
            Layer::Confidence(file) => {
                let values = Raster::open(file)?;
                let values = values.read_part_reduced(picture.rect, size, &[1], Reduction::Mean)?;
                Ok(values.into_iter().map(pixels::heat).collect())
            }
            Layer::Errors(file, spec) => {
                let truth = self.burn(picture, spec)?;
                Ok(errors(&truth, &predicted(picture, file, size)?, picture.null_class))
            }
        }
    }

    fn imagery(&mut self, scene: &SceneHeader, rect: RectPx, level: u32) -> Result<Vec<Rgba>, RasterError> {
        let drawn = pixels::read(scene, rect, level)?;
        if scene.data_type == "Byte" {
            return Ok(drawn.shade([(0.0, 255.0); 3]));
        }
        // By the whole scene, so that tiles fit together.
        let name = serde_json::to_string(&scene.source).unwrap_or_else(|_| scene.id.to_string());
        let ranges = match self.ranges.get(&name) {
            Some(ranges) => *ranges,
            None => {
                if self.ranges.len() >= RANGES {
                    self.ranges.clear();
                }
                let ranges = pixels::ranges(scene)?;
                self.ranges.insert(name, ranges);
                ranges
            }
        };
        Ok(drawn.shade(ranges))
    }

    /// The classes of the picture's pixels as labels have them.
    fn burn(&mut self, picture: &Picture, spec: &LabelSpec) -> Result<Vec<u8>, RasterError> {
        let (rect, level) = (picture.rect, picture.level);
        let labels = self.labels(picture, spec)?;
        let mut plane = Vec::new();
        if rect.pixels() <= BURNT {
            plane = vec![0; rect.pixels() as usize];
            labels.burn(rect, &mut plane)?;
            for above in 0..level {
                plane = reduce_classes(&plane, level_size(rect.size(), above));
            }
            return Ok(plane);
        }
        let size = level_size(rect.size(), level);
        let middle = 1_u32 << level.saturating_sub(1);
        let mut line = vec![0; rect.width as usize];
        for row in 0..size.height {
            let row = ((row << level) + middle).min(rect.height - 1);
            labels.burn(RectPx::new(rect.col, rect.row + row, rect.width, 1), &mut line)?;
            let col = |col: u32| ((col << level) + middle).min(rect.width - 1) as usize;
            plane.extend((0..size.width).map(|at| line[col(at)]));
        }
        Ok(plane)
    }

    fn labels(&mut self, picture: &Picture, spec: &LabelSpec) -> Result<&Labels, RasterError> {
        let scene = &picture.scene;
        let name =
            format!("{} {:?} {}", scene.id, scene.size, serde_json::to_string(spec).unwrap_or_default());
        let at = match self.labels.iter().position(|(known, _)| *known == name) {
            Some(at) => at,
            None => {
                let names = picture.classes.iter().map(|class| class.name.clone()).collect();
                let list = ClassList { names, null_class: picture.null_class };
                let labels = Labels::open_within(spec, scene, &list, MOST_TEXT)?;
                if self.labels.len() >= OPEN {
                    self.labels.remove(0);
                }
                self.labels.push((name, labels));
                self.labels.len() - 1
            }
        };
        Ok(&self.labels[at].1)
    }
}

/// The classes of the picture's pixels as the map has them. What does not count is of the null class.
fn predicted(picture: &Picture, file: &str, size: SizePx) -> Result<Vec<u8>, RasterError> {
    let map = Raster::open(file)?;
    let nodata = map.nodata();
    let values = map.read_part_reduced(picture.rect, size, &[1], Reduction::Nearest)?;
    let class = |value: f32| if Some(value as u8) == nodata { picture.null_class } else { value as u8 };
    Ok(values.into_iter().map(class).collect())
}

/// In the run's colours; the null class is clear.
fn classes(picture: &Picture, classes: &[u8]) -> Vec<Rgba> {
    let color = |class: &u8| match picture.classes.get(usize::from(*class)) {
        Some(style) if *class != picture.null_class => pixels::opaque(style.rgb),
        _ => pixels::CLEAR,
    };
    classes.iter().map(color).collect()
}

/// What is right is clear.
fn errors(truth: &[u8], guess: &[u8], null: u8) -> Vec<Rgba> {
    let color = |(truth, guess): (&u8, &u8)| match (*truth, *guess) {
        (truth, guess) if truth == guess || truth == IGNORED => pixels::CLEAR,
        (_, guess) if guess == null => pixels::opaque(MISSED),
        (truth, _) if truth == null => pixels::opaque(FALSE),
        _ => pixels::opaque(CONFUSED),
    };
    truth.iter().zip(guess).map(color).collect()
}

fn undrawn(error: RasterError) -> Undrawn {
    match error.kind {
        Kind::Missing => Undrawn::Missing(error.to_string()),
        Kind::Unreadable | Kind::BandMissing | Kind::BadLabels | Kind::Unsupported => {
            Undrawn::Bad(error.to_string())
        }
        Kind::Transient | Kind::Refused | Kind::Full => Undrawn::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_pixels_are_coloured_by_how_they_are_wrong_and_right_ones_are_clear() {
        let colors = errors(&[0, 1, 1, 0, 1, IGNORED], &[0, 1, 0, 1, 2, 1], 0);
        let [missed, wrong, confused] = [MISSED, FALSE, CONFUSED].map(pixels::opaque);
        assert_eq!(colors, [pixels::CLEAR, pixels::CLEAR, missed, wrong, confused, pixels::CLEAR]);
    }
}

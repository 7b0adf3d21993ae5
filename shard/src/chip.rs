//! One training sample: an image, the class of each pixel, and where both came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use swath_proto::{geometry::WindowPx, ids::SceneId};

use crate::{
    image::{BadImage, Image, Shape},
    key::ChipKey,
};

/// The label of a pixel that trains nothing.
pub const IGNORED: u8 = 255;

/// Pixels by class id, those that are [`IGNORED`] too.
pub type ClassCounts = BTreeMap<u8, u64>;

#[derive(Clone, Debug, PartialEq)]
pub struct Chip {
    pub scene: SceneId,
    /// In pixels of the scene. The image may have another size.
    pub window: WindowPx,
    /// How a random window was found.
    pub draw: Option<Draw>,
    /// Width and height of a scene's pixel, in units of its coordinate reference system.
    pub source_pixel_crs: Option<[f64; 2]>,
    pub image: Image,
    /// One byte a pixel, row by row.
    pub labels: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    pub seed: u64,
    pub index: u64,
    pub attempt: u32,
}

/// A chip that no shard can hold.
#[derive(Debug, thiserror::Error)]
pub enum BadChip {
    #[error("{got} labels for an image of {pixels} pixels")]
    Labels { got: usize, pixels: u64 },
    #[error("a window without pixels")]
    Window,
    #[error("a source pixel of {0:?}")]
    SourcePixel([f64; 2]),
    #[error(transparent)]
    Image(#[from] BadImage),
}

/// `<key>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Meta {
    version: MetaVersion,
    pub(crate) scene: SceneId,
    pub(crate) window: WindowPx,
    pub(crate) image: Shape,
    pub(crate) counts: ClassCounts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_pixel_crs: Option<[f64; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) draw: Option<Draw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum MetaVersion {
    #[serde(rename = "1")]
    V1,
}

impl Chip {
    pub fn key(&self) -> ChipKey {
        key(&self.scene, self.window, self.draw)
    }

    pub fn counts(&self) -> ClassCounts {
        counts(&self.labels)
    }

    pub(crate) fn meta(&self) -> Result<Meta, BadChip> {
        if self.labels.len() as u64 != self.image.shape().pixels() {
            let pixels = self.image.shape().pixels();
            return Err(BadChip::Labels { got: self.labels.len(), pixels });
        }
        if self.window.size().pixels() == 0 {
            return Err(BadChip::Window);
        }
        match self.source_pixel_crs {
            Some(pixel) if pixel.iter().any(|side| !side.is_finite()) => Err(BadChip::SourcePixel(pixel)),
            _ => Ok(Meta {
                version: MetaVersion::V1,
                scene: self.scene.clone(),
                window: self.window,
                image: self.image.shape(),
                counts: self.counts(),
                source_pixel_crs: self.source_pixel_crs,
                draw: self.draw,
            }),
        }
    }
}

impl Meta {
    pub(crate) fn key(&self) -> ChipKey {
        key(&self.scene, self.window, self.draw)
    }
}

fn key(scene: &SceneId, window: WindowPx, draw: Option<Draw>) -> ChipKey {
    ChipKey { scene: scene.clone(), window, draw: draw.map(|draw| draw.index) }
}

pub(crate) fn counts(labels: &[u8]) -> ClassCounts {
    (0..=u8::MAX).zip(histogram(labels)).filter(|&(_, n)| n > 0).collect()
}

/// Labels by class. Neighbours are mostly alike: of a run of equal ones only the first is looked up.
pub fn histogram(labels: &[u8]) -> [u64; 256] {
    let mut counts = [0; 256];
    let (runs, rest) = labels.as_chunks::<16>();
    for run in runs {
        if *run == [run[0]; 16] {
            counts[usize::from(run[0])] += 16;
        } else {
            run.iter().for_each(|&label| counts[usize::from(label)] += 1);
        }
    }
    rest.iter().for_each(|&label| counts[usize::from(label)] += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_counts_once_wherever_runs_begin_and_end() {
        let labels: Vec<u8> = (0..200_u32).map(|i| if i / 37 % 2 == 0 { 3 } else { (i % 5) as u8 }).collect();
        for (from, to) in [(0, 0), (0, 200), (1, 16), (5, 37), (7, 199), (30, 90)] {
            let labels = &labels[from..to];
            let counts = histogram(labels);
            for class in 0..=u8::MAX {
                let wanted = labels.iter().filter(|&&label| label == class).count() as u64;
                assert_eq!(counts[usize::from(class)], wanted, "class {class} of {from}..{to}");
            }
        }
    }
}

//! How the page sees pixels. Who draws them knows GDAL, and lives elsewhere: what goes to it is plain data, and what
//! comes back is a PNG.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use swath_proto::{access::Pass, geometry::RectPx, item::ClassStyle, scene::SceneHeader, source::LabelSpec};

/// Contract: the picture of a rectangle has `level_size(rect, level)` pixels. Where a layer has nothing to show, the
/// null class or a gap between files, it is clear.
#[async_trait]
pub trait Imagery: Send + Sync {
    async fn draw(&self, picture: Picture) -> Result<Bytes, Undrawn>;
}

/// A part of a scene in one of its layers.
pub struct Picture {
    pub layer: Layer,
    pub scene: SceneHeader,
    /// In the scene's pixels; its corner is a multiple of 2^level.
    pub rect: RectPx,
    /// How often the edges are halved.
    pub level: u32,
    pub classes: Vec<ClassStyle>,
    pub null_class: u8,
    /// How buckets are reached. Holds keys: is shown nowhere.
    pub passes: Vec<Pass>,
}

#[derive(Serialize, Deserialize)]
pub enum Layer {
    Imagery,
    Labels(LabelSpec),
    /// A class raster under the root: a path or `s3://bucket/key`.
    Prediction(String),
    /// How sure its classes are.
    Confidence(String),
    /// Where prediction and labels differ.
    Errors(String, LabelSpec),
}

#[derive(Debug, thiserror::Error)]
pub enum Undrawn {
    /// There is no such file yet, or any more.
    #[error("{0}")]
    Missing(String),
    /// A file is not what it should be, and won't be when it is asked for again.
    #[error("{0}")]
    Bad(String),
    #[error("{0}")]
    Failed(String),
    /// Whoever drew it has ended at it, or was ended because it took too long: its files are not to be trusted.
    #[error("{0}")]
    Lost(String),
    /// Not tried: so often was somebody lost at this layer of the scene, which is left alone for so long.
    #[error("whoever drew was lost {times} times; it is left alone for {} s", .rest.as_secs())]
    LeftAlone { times: u32, rest: Duration },
}

//! One image by a bundle, without a pipeline file.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swath_proto::item::{Blend, Views};

use super::{Tuning, word::word};

#[derive(Debug, ClapArgs)]
pub struct PredictArgs {
    /// A bundle.zip, as a run packs it.
    pub bundle: PathBuf,
    /// A raster that GDAL reads: a path, or s3://bucket/key.
    pub image: String,
    /// The GeoTIFF to write: the class of each pixel.
    pub out: PathBuf,
    /// One more bundle, for the same classes and pixels: the probabilities of all are averaged. Windows are the first
    /// bundle's; those that have ranges for it compute in 8 bits. Can be given several times.
    #[arg(long, value_name = "BUNDLE")]
    pub with: Vec<PathBuf>,
    /// Write the classes' scores too, beside OUT as *.scores.tif.
    #[arg(long)]
    pub scores: bool,
    /// Write how sure the class of each pixel is too, beside OUT as *.confidence.tif.
    #[arg(long)]
    pub confidence: bool,
    /// What becomes of the margins of windows.
    #[arg(long, value_parser = word::<Blend>(&["crop", "hann"]), default_value = "crop")]
    pub blend: Blend,
    /// Views of each window that the network is shown; their probabilities are averaged.
    #[arg(long, value_parser = word::<Views>(&["none", "flips", "d4"]), default_value = "none")]
    pub augment: Views,
    /// Write polygons too, beside OUT as *.geojson.
    #[arg(long)]
    pub polygons: bool,
    /// Worker processes. [default: one a core]
    #[arg(long)]
    pub workers: Option<usize>,
    #[command(flatten)]
    pub tuning: Tuning,
}

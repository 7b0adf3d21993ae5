//! What others have written and `swath import` takes over.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use swath_proto::item::Architecture;

use super::{bench::ARCHITECTURES, word::word};

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// A pipeline or a model bundle of Raster Vision 0.31; says what has no counterpart, key by key.
    RasterVision(RasterVisionArgs),
}

#[derive(Debug, ClapArgs)]
pub struct RasterVisionArgs {
    /// The pipeline-config.json of a run, or the model-bundle.zip in its folder bundle/.
    pub file: PathBuf,
    /// The pipeline file or bundle to write. [default: FILE.toml, or FILE.swath.zip, beside FILE]
    pub out: Option<PathBuf>,
    /// The network, where Raster Vision has it from elsewhere (external_def).
    #[arg(long, value_parser = word::<Architecture>(&ARCHITECTURES))]
    pub architecture: Option<Architecture>,
    /// In the place of a file that is there.
    #[arg(long)]
    pub force: bool,
}

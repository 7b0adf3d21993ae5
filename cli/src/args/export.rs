//! What a run has made, for those who look for it as others lay it out.

use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueEnum};
use swath_proto::ids::RunId;

#[derive(Debug, ClapArgs)]
pub struct ExportArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    /// The folder to write; what is there already is replaced.
    pub folder: PathBuf,
    /// Whose layout it is to be.
    #[arg(long, value_enum)]
    pub like: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// predict/SCENE/labels.tif, scores.tif, vector_output/, eval/validation_scenes/eval.json, train/log.csv, ...
    RasterVision,
}

//! Scenes that are drawn.

use std::path::PathBuf;

use clap::{
    Args as ClapArgs,
    builder::{PossibleValuesParser, TypedValueParser},
};
use swath_raster::synth::like::Like;

#[derive(Debug, ClapArgs)]
pub struct SynthArgs {
    /// Where to write scene-1.tif, scene-1.geojson, ...
    pub folder: PathBuf,
    /// Edge of a scene in pixels.
    #[arg(long, default_value_t = 3000)]
    pub size: u32,
    /// How many scenes.
    #[arg(long, default_value_t = 1)]
    pub count: u32,
    /// Another one draws other scenes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Draw a small look-alike of a data set instead: its names, folders, bands, coordinate systems and kinds of labels.
    #[arg(long, value_name = "NAME", value_parser = like(), conflicts_with_all = ["size", "count", "striped"])]
    pub like: Option<Like>,
    /// Draw over scenes that are there.
    #[arg(long)]
    pub force: bool,
    /// Store rows of pixels, not tiles: the layout that costs readers most.
    #[arg(long)]
    pub striped: bool,
}

/// A data set by its name.
fn like() -> impl TypedValueParser<Value = Like> {
    let known = |name: String| Like::ALL.into_iter().find(|like| like.name() == name).ok_or("not known");
    PossibleValuesParser::new(Like::ALL.map(Like::name)).try_map(known)
}

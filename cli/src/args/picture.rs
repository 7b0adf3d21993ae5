//! A scene to look at.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swath_proto::ids::{RunId, SceneId};

#[derive(Debug, ClapArgs)]
pub struct PictureArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    /// The first that was predicted and has labels, if left out.
    pub scene: Option<SceneId>,
    /// The file. [default: RUN-SCENE.png]
    #[arg(long, short, value_name = "FILE.png")]
    pub output: Option<PathBuf>,
    /// Pixels that a panel may have in width and height; a larger scene is shown smaller.
    #[arg(long, default_value_t = 1024, value_name = "PX")]
    pub panel: u32,
}

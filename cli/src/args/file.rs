//! A pipeline file as it is typed: with its changes, arguments and variants; to plan, to run here, to submit.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use swath_proto::item::Stage;

use super::{HttpArgs, RankArgs, Tuning};

#[derive(Debug, ClapArgs)]
pub struct FileArgs {
    /// The pipeline file.
    pub file: PathBuf,
    /// Change a key of the file, predict.item_px=2048 or scenes.0.image=b.tif for instance. Variables
    /// such as SWATH__PREDICT__ITEM_PX win over it.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Give an argument that the file asks for, -a raw_uri s3://bucket/raw/ for instance. Can be given several times.
    #[arg(short = 'a', long = "argument", num_args = 2, value_names = ["NAME", "VALUE"], allow_negative_numbers = true)]
    pub arguments: Vec<String>,
    /// Of the file's variants those whose name fits, '*resnet18*' for instance. [default: all]
    #[arg(short = 'm', long = "variants", value_name = "PATTERN")]
    pub variants: Option<String>,
    /// Do not look whether files are there before anything is started.
    #[arg(short = 'x', long)]
    pub skip_checks: bool,
    /// Into how many parts to split a stage, where others need to be told. Work divides itself here.
    #[arg(short = 's', long, value_name = "N")]
    pub splits: Option<u32>,
    /// Only these stages, and no step of the file's own.
    #[arg(long, value_delimiter = ',', value_name = "STAGE")]
    pub stages: Vec<Stage>,
    /// Try the pipeline out in minutes: a square of a few scenes, few chips, two epochs.
    #[arg(long)]
    pub test: bool,
    /// Begin anew, beside an earlier run of the same file. Outputs that exist are still used.
    #[arg(long, short)]
    pub rerun: bool,
}

#[cfg(feature = "worker")]
impl FileArgs {
    /// A file as it is.
    pub fn of(file: PathBuf) -> Self {
        Self {
            file,
            set: Vec::new(),
            arguments: Vec::new(),
            variants: None,
            skip_checks: false,
            splits: None,
            stages: Vec::new(),
            test: false,
            rerun: false,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct PlanArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// One JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub rank: RankArgs,
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    #[command(flatten)]
    pub rank: RankArgs,
    /// Worker processes to start here; 0 leaves the work to workers elsewhere. [default: one a core]
    #[arg(long)]
    pub workers: Option<usize>,
    /// Show the plan and stop.
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    #[command(flatten)]
    pub http: HttpArgs,
    #[command(flatten)]
    pub tuning: Tuning,
}

//! What a person can type.

#[cfg(feature = "engine")]
mod bench;
mod coordinator;
mod doors;
mod export;
mod file;
mod fleet;
#[cfg(feature = "servers")]
mod gang;
mod http;
#[cfg(feature = "worker")]
mod import;
mod items;
#[cfg(feature = "worker")]
mod picture;
#[cfg(feature = "worker")]
mod predict;
mod profile;
mod runs;
#[cfg(feature = "worker")]
mod synth;
#[cfg(feature = "engine")]
mod train;
#[cfg(feature = "engine")]
mod word;
mod worker;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum, parser::ValueSource};

#[cfg(feature = "worker")]
pub use self::bench::BenchPredictArgs;
#[cfg(feature = "engine")]
pub use self::bench::{BenchArgs, BenchCommand, ForwardArgs};
use self::doors::WHERE;
#[cfg(feature = "servers")]
pub use self::gang::{GangCommand, GangStart, gang_name};
#[cfg(feature = "engine")]
pub use self::train::{SumsBy, TrainArgs};
pub use self::{
    coordinator::CoordinatorArgs,
    doors::DoorArgs,
    export::{ExportArgs, Layout},
    file::{FileArgs, PlanArgs, RunArgs, SubmitArgs},
    fleet::{FleetArgs, FleetCommand, FleetFlags, Number, Price},
    http::HttpArgs,
    items::{ItemState, ItemsArgs, ItemsCommand},
    profile::ProfileCommand,
    runs::{PriorityArgs, RankArgs, RunName, StatusArgs},
    worker::{Kind, SpotNotices, Tuning, WorkerArgs},
};
#[cfg(feature = "worker")]
pub use self::{
    import::{ImportCommand, RasterVisionArgs},
    picture::PictureArgs,
    predict::PredictArgs,
    synth::SynthArgs,
};
use crate::{
    config,
    exit::{self, Exit},
};

/// Chip, train, predict and evaluate on large imagery, on one machine or a fleet.
#[derive(Debug, Parser)]
#[command(name = "swath", version, propagate_version = true, max_term_width = 110, after_help = exit::codes())]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub doors: DoorArgs,
    /// How to write logs.
    #[arg(long, global = true, help_heading = WHERE, value_enum, default_value_t, env = "SWATH_LOG_FORMAT")]
    pub log_format: LogFormat,
}

/// What was typed, with what a profile says beside it. Ends the program where the answer is known at once: help,
/// the version, wrong usage.
pub fn typed() -> anyhow::Result<Args> {
    let (args, unsaid) = Args::read().unwrap_or_else(|error| {
        let code = if error.use_stderr() { Exit::WrongUsage } else { Exit::Done };
        let _ = error.print();
        std::process::exit(code as i32);
    });
    config::fill_in(args, &unsaid)
}

impl Args {
    /// Reads the command line, and which doors it leaves to a profile.
    fn read() -> Result<(Self, Vec<&'static str>), clap::Error> {
        let matches = Self::command().try_get_matches()?;
        let args = Self::from_arg_matches(&matches)?;
        let is_default = |door: &&str| matches.value_source(door) == Some(ValueSource::DefaultValue);
        Ok((args, ["root", "queue", "ledger"].into_iter().filter(is_default).collect()))
    }
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw labelled scenes to try things on.
    #[cfg(feature = "worker")]
    Synth(SynthArgs),
    /// Show what would run, what exists already, and what it takes.
    Plan(PlanArgs),
    /// Run a pipeline here, to the end.
    Run(RunArgs),
    /// Predict one image with a bundle; nothing else is needed.
    #[cfg(feature = "worker")]
    Predict(PredictArgs),
    /// Give a pipeline to the coordinator that watches the root; prints the run's id.
    Submit(SubmitArgs),
    /// Serve every run under the root.
    Coordinator(CoordinatorArgs),
    /// Show the workers that a coordinator starts by itself; have more or fewer, or none.
    Fleet(FleetArgs),
    /// Work on items until told to stop.
    #[cfg(feature = "worker")]
    Worker(WorkerArgs),
    /// Train a network from shards of chips; nothing of GDAL is needed. A run trains by itself.
    #[cfg(feature = "engine")]
    Train(TrainArgs),
    /// Show how a run stands.
    Status(StatusArgs),
    /// Learn a run's chips by colour alone, and hold that against its network.
    #[cfg(feature = "worker")]
    Baseline(RunName),
    /// Show a scene of a run in a picture: imagery, labels, prediction, errors.
    #[cfg(feature = "worker")]
    Picture(PictureArgs),
    /// Draw for the page of the program that has started this one.
    #[cfg(feature = "worker")]
    #[command(hide = true)]
    Draw,
    /// List the items of a run that were set aside; show, replay or drop them.
    Items(ItemsArgs),
    /// Publish nothing more of a run until it is resumed. What is under way is finished, but a training
    /// stops at a checkpoint.
    Pause(RunName),
    /// Go on with a paused run.
    Resume(RunName),
    /// End a run, a training under way too; what is done stays.
    Cancel(RunName),
    /// Let a run go before others, or behind them. Acts on what is not published yet: about two minutes of work
    /// are.
    Priority(PriorityArgs),
    /// Copy what a run has made into a folder, laid out as another program has it.
    Export(ExportArgs),
    /// Take over what others have written.
    #[cfg(feature = "worker")]
    Import {
        #[command(subcommand)]
        what: ImportCommand,
    },
    /// Show a profile, or make one: of Raster Vision's, or of the outputs of the CloudFormation stack.
    Profile {
        #[command(subcommand)]
        what: ProfileCommand,
    },
    /// Check root, queue, ledger, AWS Batch where a profile names it, and engines, each by a round trip.
    Doctor,
    /// Measure a part of the system; prints one JSON object a line.
    #[cfg(feature = "engine")]
    Bench(BenchArgs),
    /// Print the JSON Schema of pipeline files, for editors.
    Schema,
    /// Print completions for a shell.
    Completions {
        /// Which one.
        shell: clap_complete::Shell,
    },
}

//! What a person can type.

#[cfg(feature = "engine")]
mod bench;
mod export;
mod fleet;
#[cfg(feature = "servers")]
mod gang;
mod http;
#[cfg(feature = "worker")]
mod import;
mod items;
#[cfg(feature = "engine")]
mod train;
mod worker;

use std::path::PathBuf;

#[cfg(feature = "engine")]
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{
    Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
    parser::ValueSource,
};
#[cfg(feature = "worker")]
use swath_proto::item::{Blend, Views};
use swath_proto::{ids::RunId, item::Stage};
#[cfg(feature = "worker")]
use swath_raster::synth::like::Like;

#[cfg(feature = "worker")]
pub use self::bench::BenchPredictArgs;
#[cfg(feature = "engine")]
pub use self::bench::{BenchArgs, BenchCommand, ForwardArgs};
#[cfg(feature = "servers")]
pub use self::gang::{GangCommand, GangStart, gang_name};
#[cfg(feature = "worker")]
pub use self::import::{ImportCommand, RasterVisionArgs};
#[cfg(feature = "engine")]
pub use self::train::TrainArgs;
pub use self::{
    export::{ExportArgs, Layout},
    fleet::{FleetArgs, FleetCommand, FleetFlags, Number, Price},
    http::HttpArgs,
    items::{ItemState, ItemsArgs, ItemsCommand},
    worker::{Kind, SpotNotices, Tuning, WorkerArgs},
};
use crate::{
    config,
    exit::{self, Exit},
};

/// Every command has these: below what is its own.
const WHERE: &str = "Where things are";

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

/// Where things are. One word changes, nothing else does.
#[derive(Clone, Debug, ClapArgs)]
pub struct DoorArgs {
    /// Where everything lies: a folder, or s3://bucket/prefix.
    #[arg(long, global = true, help_heading = WHERE, env = "SWATH_ROOT", default_value = "swath")]
    pub root: String,
    /// local: (in the root), amqp://USER:PASSWORD@HOST/VHOST, or sqs://REGION/PREFIX. SWATH_QUEUE_FILE names a file
    /// that holds it.
    #[arg(long, global = true, help_heading = WHERE, env = "SWATH_QUEUE", default_value = "local:", hide_env_values = true)]
    pub queue: String,
    /// local: (in the root), or redis://USER:PASSWORD@HOST. SWATH_LEDGER_FILE names a file that holds it.
    #[arg(long, global = true, help_heading = WHERE, env = "SWATH_LEDGER", default_value = "local:", hide_env_values = true)]
    pub ledger: String,
    /// What is said nowhere else: NAME.toml in $XDG_CONFIG_HOME/swath, with root, queue, ledger, batch, prices
    /// and keys of pipelines; or Raster Vision's ~/.rastervision/NAME.
    #[arg(long, global = true, help_heading = WHERE, env = "SWATH_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// What an hour of a rented machine costs: a table as prices.toml, in the place of examples.
    #[arg(long, global = true, help_heading = WHERE, env = "SWATH_PRICES", value_name = "FILE")]
    pub prices: Option<PathBuf>,
}

impl DoorArgs {
    /// Everything in a folder.
    #[cfg(feature = "worker")]
    pub fn of_folder(folder: &std::path::Path) -> anyhow::Result<Self> {
        use anyhow::Context as _;
        let root = folder.to_str().with_context(|| format!("{} is not valid UTF-8", folder.display()))?;
        Ok(Self {
            root: root.into(),
            queue: "local:".into(),
            ledger: "local:".into(),
            profile: None,
            prices: None,
        })
    }
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

/// Where a run stands among others on the same workers.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub struct RankArgs {
    /// A run of a higher priority goes first. [default: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub priority: Option<i32>,
    /// What it gets of the workers beside others of its priority. [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub share: Option<u32>,
}

#[derive(Debug, ClapArgs)]
pub struct PriorityArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    /// A run of a higher priority goes first; runs begin with 0.
    #[arg(allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub priority: i32,
    /// What it gets of the workers beside others of its priority; runs begin with 1.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub share: Option<u32>,
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

#[cfg(feature = "worker")]
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

/// A data set by its name.
#[cfg(feature = "worker")]
fn like() -> impl TypedValueParser<Value = Like> {
    let known = |name: String| Like::ALL.into_iter().find(|like| like.name() == name).ok_or("not known");
    PossibleValuesParser::new(Like::ALL.map(Like::name)).try_map(known)
}

/// One of these words, as pipeline files spell them.
#[cfg(feature = "engine")]
fn word<T>(words: &'static [&'static str]) -> impl TypedValueParser<Value = T>
where
    T: serde::de::DeserializeOwned + Clone + Send + Sync + 'static,
{
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(word.into()))
}

#[derive(Debug, ClapArgs)]
pub struct CoordinatorArgs {
    /// Another coordinator takes a run over when this one has been dead for so long.
    #[arg(long, default_value_t = 15.0, value_name = "SECONDS")]
    pub lease: f64,
    #[command(flatten)]
    pub http: HttpArgs,
    /// Show metrics for Prometheus at this address (/metrics), and where workers show theirs (/discovery). Whoever reaches
    /// it reads them.
    #[arg(long, value_name = "IP:PORT", env = "SWATH_METRICS", value_parser = http::address)]
    pub metrics: Option<std::net::SocketAddr>,
    // The last: its heading holds for all that follow.
    #[command(flatten)]
    pub fleet: FleetFlags,
}

#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// Every run under the root, if left out.
    pub run: Option<RunId>,
    /// Show it again and again: a run until it is over, all of them until Ctrl-C.
    #[arg(long)]
    pub watch: bool,
    /// One JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum ProfileCommand {
    /// Show a profile, and what is wrong with it.
    Show {
        /// That of --profile, if left out.
        name: Option<String>,
    },
    /// Take over a profile of Raster Vision, and say what has no counterpart.
    Import {
        /// The INI file, or its name in ~/.rastervision.
        from: PathBuf,
        /// What the profile is to be called. [default: as the file]
        #[arg(long)]
        name: Option<String>,
        /// In the place of one that is there.
        #[arg(long)]
        force: bool,
    },
    /// Make a profile of what `aws cloudformation describe-stacks --stack-name NAME` prints.
    FromOutputs {
        /// The JSON; - reads standard input.
        file: PathBuf,
        /// What the profile is to be called. [default: as the stack]
        #[arg(long)]
        name: Option<String>,
        /// In the place of one that is there.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, ClapArgs)]
pub struct RunName {
    /// Its name, as swath status shows it.
    pub run: RunId,
}

#[cfg(feature = "worker")]
#[derive(Debug, ClapArgs)]
pub struct PictureArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    /// The first that was predicted and has labels, if left out.
    pub scene: Option<swath_proto::ids::SceneId>,
    /// The file. [default: RUN-SCENE.png]
    #[arg(long, short, value_name = "FILE.png")]
    pub output: Option<PathBuf>,
    /// Pixels that a panel may have in width and height; a larger scene is shown smaller.
    #[arg(long, default_value_t = 1024, value_name = "PX")]
    pub panel: u32,
}

#[cfg(feature = "worker")]
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

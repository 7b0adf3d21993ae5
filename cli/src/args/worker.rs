//! How workers work: told to one that is started by itself, or with a command that starts its own.

use clap::{Args as ClapArgs, Parser, ValueEnum};
use swath_backends::notices::Ask;

#[derive(Debug, ClapArgs)]
pub struct WorkerArgs {
    /// Which items to take. Those that predict with device = "cuda" are gpu, and take a card: the first that
    /// CUDA_VISIBLE_DEVICES shows.
    #[arg(long, value_delimiter = ',', default_value = "cpu")]
    pub kinds: Vec<Kind>,
    /// Leave after that many seconds without work.
    #[arg(long, value_name = "SECONDS")]
    pub idle_exit: Option<f64>,
    /// Ask EC2's instance metadata whether this machine is about to be taken away, and leave in time.
    #[arg(long, value_enum, default_value_t)]
    pub spot_notices: SpotNotices,
    #[command(flatten)]
    pub tuning: Tuning,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum SpotNotices {
    /// On EC2, or where AWS_EC2_METADATA_SERVICE_ENDPOINT is set.
    #[default]
    Auto,
    Always,
    Never,
}

impl From<SpotNotices> for Ask {
    fn from(word: SpotNotices) -> Self {
        match word {
            SpotNotices::Auto => Self::Auto,
            SpotNotices::Always => Self::Always,
            SpotNotices::Never => Self::Never,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    Cpu,
    Gpu,
}

/// For machines and tests out of the ordinary; the defaults suit the rest.
#[derive(Clone, Debug, ClapArgs)]
pub struct Tuning {
    /// Items in a worker's pipeline at a time.
    #[arg(long, default_value_t = 3)]
    pub slots: usize,
    /// Seconds after which an item of a silent worker goes to another.
    #[arg(long, default_value_t = 30.0, value_name = "SECONDS")]
    pub lease: f64,
    /// Seconds that a worker may go on after it was told to stop.
    #[arg(long, default_value_t = 25.0, value_name = "SECONDS")]
    pub grace: f64,
    /// Threads of the engine in one worker. More workers use a machine better than more threads, and
    /// their number decides bits: it is pinned when a run begins.
    #[arg(long, default_value_t = 1)]
    pub threads: u32,
    /// Processes that share a training in one worker, each with that many threads and a part of every batch.
    #[arg(long, default_value_t = 1)]
    pub ranks: u32,
    /// Run the steps of pipelines: commands that whoever can write under the root decides.
    #[arg(long)]
    pub allow_steps: bool,
    /// Seconds that an ordinary item may be inside GDAL or libtorch at a stretch before it counts as hung and
    /// is ended with its worker; eight times as long for whole scenes, for ever for trainings.
    #[arg(long, default_value_t = 900.0, value_name = "SECONDS")]
    pub item_limit: f64,
    /// Show metrics for Prometheus at this address; port 0 takes any that is free, and the coordinator tells which. Whoever
    /// reaches it reads them.
    #[arg(long, value_name = "IP:PORT", env = "SWATH_METRICS", value_parser = super::http::address)]
    pub metrics: Option<std::net::SocketAddr>,
    /// MiB that GDAL may keep of what it has read.
    #[arg(long, default_value_t = 64, value_name = "MIB")]
    pub gdal_cache: usize,
}

impl Tuning {
    /// From these words alone.
    pub fn read<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, clap::Error> {
        #[derive(Parser)]
        #[command(no_binary_name = true)]
        struct Words {
            #[command(flatten)]
            tuning: Tuning,
        }
        Words::try_parse_from(words).map(|words| words.tuning)
    }
}

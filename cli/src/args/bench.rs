//! What `swath bench` measures, and on what.

use clap::{Args as ClapArgs, Subcommand};
use swath_proto::{
    item::{Architecture, DeviceName, EngineName},
    pipeline::PrecisionWord,
};

use super::word::word;
#[cfg(feature = "worker")]
use super::worker::Tuning;

#[derive(Debug, ClapArgs)]
pub struct BenchArgs {
    #[command(subcommand)]
    pub what: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Items that do nothing, through queue and ledger: the overhead of control.
    #[cfg(feature = "worker")]
    Control {
        #[arg(long, default_value_t = 20_000)]
        items: u32,
        #[arg(long, default_value_t = 2)]
        workers: usize,
        #[arg(long, default_value_t = 32)]
        slots: usize,
    },
    /// One image through the network, by one worker: where the time goes, and what holds it back.
    #[cfg(feature = "worker")]
    Predict(BenchPredictArgs),
    /// Windows through a network, and nothing else: what the engine takes on this machine.
    Forward(ForwardArgs),
}

#[cfg(feature = "worker")]
#[derive(Debug, ClapArgs)]
pub struct BenchPredictArgs {
    /// The image; one is drawn where none is named.
    pub image: Option<std::path::PathBuf>,
    /// Edge of the image that is drawn.
    #[arg(long, default_value_t = 4096, value_name = "PX")]
    pub size: u32,
    /// Change a key of the pipeline that is measured, predict.engine=libtorch or predict.margin_px=0 for instance.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub tuning: Tuning,
}

/// Networks whose layers are known here.
pub(super) const ARCHITECTURES: [&str; 17] = [
    "tiny",
    "unet-resnet18",
    "unet-resnet34",
    "unet-resnet50",
    "unet-resnet101",
    "fpn-resnet18",
    "fpn-resnet34",
    "fpn-resnet50",
    "fpn-resnet101",
    "deeplabv3-resnet18",
    "deeplabv3-resnet34",
    "deeplabv3-resnet50",
    "deeplabv3-resnet101",
    "deeplabv3plus-resnet18",
    "deeplabv3plus-resnet34",
    "deeplabv3plus-resnet50",
    "deeplabv3plus-resnet101",
];

#[derive(Debug, ClapArgs)]
pub struct ForwardArgs {
    /// The network; its weights are drawn.
    #[arg(long, value_parser = word::<Architecture>(&ARCHITECTURES), default_value = "unet-resnet18")]
    pub architecture: Architecture,
    /// Edge of a window, margins and all.
    #[arg(long, value_name = "PX", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=8192))]
    pub window: u32,
    /// Windows that go through the network at a time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub batch: u32,
    /// Batches that are timed.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub batches: u32,
    /// On what.
    #[arg(long, value_parser = word::<DeviceName>(&["cpu", "cuda"]), default_value = "cpu")]
    pub device: DeviceName,
    /// That which predicts in such numbers, if nobody says (`predict.engine`).
    #[arg(long, value_parser = word::<EngineName>(&["openvino", "libtorch"]))]
    pub engine: Option<EngineName>,
    /// In which numbers.
    #[arg(long, value_parser = word::<PrecisionWord>(&["fp32", "bf16", "fp16", "int8"]), default_value = "fp32")]
    pub precision: PrecisionWord,
    /// Threads of the engine on processors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
}

//! Items that were set aside: which, and what is to become of them.

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use swath_proto::{ids::RunId, item::Place};

#[derive(Debug, ClapArgs)]
pub struct ItemsArgs {
    /// Its name, as swath status shows it.
    pub run: RunId,
    #[command(subcommand)]
    pub what: Option<ItemsCommand>,
    /// Only those that wait for another chance (buried), or that the run is to do without (dropped).
    #[arg(long, value_enum)]
    pub state: Option<ItemState>,
    /// One JSON object an item, for programs.
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ItemState {
    Buried,
    Dropped,
}

#[derive(Debug, Subcommand)]
pub enum ItemsCommand {
    /// Everything that is known of an item: cause, scene, rectangle, and the end of its log.
    Show {
        /// Its place, predict.0.17 for instance.
        item: Place,
    },
    /// Make buried items new again.
    Replay {
        /// Their places, predict.0.17 for instance.
        #[arg(required_unless_present = "all")]
        items: Vec<Place>,
        /// All but those that were dropped.
        #[arg(long, conflicts_with = "items")]
        all: bool,
    },
    /// Do without these items for good: nobody tries them again, and no replay of all brings them back.
    Drop {
        /// Their places, predict.0.17 for instance.
        #[arg(required = true)]
        items: Vec<Place>,
    },
}

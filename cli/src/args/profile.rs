//! Profiles, and what they can be made of.

use std::path::PathBuf;

use clap::Subcommand;

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

//! Where root, queue and ledger are, and what a profile says of them: every command has these.

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Every command has these: below what is its own.
pub(super) const WHERE: &str = "Where things are";

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

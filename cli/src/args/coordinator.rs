//! What a coordinator shows, and the fleet that it has.

use std::net::SocketAddr;

use clap::Args as ClapArgs;

use super::{FleetFlags, HttpArgs, http};

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
    pub metrics: Option<SocketAddr>,
    // The last: its heading holds for all that follow.
    #[command(flatten)]
    pub fleet: FleetFlags,
}

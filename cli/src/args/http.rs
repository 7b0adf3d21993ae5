//! Where the page is, and who may see it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args as ClapArgs;

#[derive(Clone, Debug, ClapArgs)]
pub struct HttpArgs {
    /// Serve the page and its API there: 127.0.0.1:7878 for instance; port 0 takes any that is free. Elsewhere than on
    /// this machine it takes a token.
    #[arg(long, env = "SWATH_HTTP", value_name = "IP:PORT")]
    pub http: Option<SocketAddr>,
    /// A file that holds the token that opens the page; SWATH_HTTP_TOKEN may hold it too.
    #[arg(long, env = "SWATH_HTTP_TOKEN_FILE", value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
}

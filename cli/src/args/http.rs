//! Where the page is, and who may see it.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args as ClapArgs;

#[derive(Clone, Debug, ClapArgs)]
pub struct HttpArgs {
    /// Serve the page and its API there: 127.0.0.1:7878 for instance; port 0 takes any that is free. Elsewhere than on
    /// this machine it takes a token.
    #[arg(long, env = "SWATH_HTTP", value_name = "IP:PORT", value_parser = address)]
    pub http: Option<SocketAddr>,
    /// A file that holds the token that opens the page; SWATH_HTTP_TOKEN may hold it too.
    #[arg(long, env = "SWATH_HTTP_TOKEN_FILE", value_name = "FILE")]
    pub http_token_file: Option<PathBuf>,
}

/// Where something is shown.
pub fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "must be IP:PORT, 127.0.0.1:7878 for instance")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        assert_eq!(address("127.0.0.1:0"), Ok(SocketAddr::from(([127, 0, 0, 1], 0))));
        assert!(address("[::1]:9464").is_ok());
        for wrong in ["127.0.0.1", "9464", "localhost:9464", ""] {
            assert!(address(wrong).is_err_and(|why| why.contains("IP:PORT")), "{wrong}");
        }
    }
}

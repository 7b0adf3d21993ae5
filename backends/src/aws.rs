//! How AWS is reached where no entry of a pipeline says it: region and credentials as the environment and its
//! profiles have them, settled by the SDK, for all of our clients alike.

use anyhow::anyhow;
use aws_config::Region;
use aws_credential_types::provider::{ProvideCredentials as _, error::CredentialsError};

pub use aws_config::SdkConfig;

use crate::{Error, Kind, Result};

/// What to do where there are none.
const NONE: &str = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";

/// `region` before the environment's. Nobody is asked yet.
pub async fn config(region: Option<&str>) -> SdkConfig {
    let loader = aws_config::from_env();
    match region {
        Some(region) => loader.region(Region::new(region.to_owned())).load().await,
        None => loader.load().await,
    }
}

/// Whether there are any: seen now, and not by a refusal of the first call.
pub async fn credentials(config: &SdkConfig, doing: impl Into<String>) -> Result<()> {
    let found = match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await,
        None => return Err(Error::new(Kind::Config, doing, anyhow!(NONE))),
    };
    match found {
        Ok(_) => Ok(()),
        Err(CredentialsError::ProviderTimedOut(told)) => Err(Error::new(
            Kind::Transient,
            doing,
            anyhow!("whoever has the credentials is silent: {told:?}"),
        )),
        // The chain tells of nothing in particular where none of its links has any.
        Err(CredentialsError::CredentialsNotLoaded(_)) => Err(Error::new(Kind::Config, doing, anyhow!(NONE))),
        Err(error) => Err(Error::new(Kind::Config, doing, refused(&error))),
    }
}

/// Whoever was asked for them says no: the metadata service of a machine without a role, for instance.
pub(crate) fn refused(error: &CredentialsError) -> anyhow::Error {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    anyhow!("{NONE}; asking for them: {error}: {}", causes.join(": "))
}

//! A client for one region, or for another server that speaks SQS.

use std::time::Duration;

use anyhow::anyhow;
use aws_config::{Region, SdkConfig};
use aws_sdk_sqs::{
    Client,
    config::{Builder, ProvideCredentials as _, retry::RetryConfig, timeout::TimeoutConfig},
};

use super::{address::Address, receive::POLL};
use crate::{Error, Kind, Result};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A server that has taken a request and says nothing is given up, and asked again by the SDK.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The client, and who it asks.
pub(super) async fn open(address: &Address) -> Result<(Client, String)> {
    let region = Region::new(address.region.clone());
    let config = aws_config::from_env().region(region).load().await;
    let mut sqs = Builder::from(&config).timeout_config(timeouts(ANSWER_WITHIN));
    if let Some(endpoint) = &address.endpoint {
        sqs = sqs.endpoint_url(endpoint);
    }
    let endpoint = address.endpoint.as_deref().or(config.endpoint_url());
    let at = endpoint.map_or_else(|| format!("SQS in {}", address.region), str::to_owned);
    if !has_credentials(&config).await {
        let why = "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";
        return Err(Error::new(Kind::Config, format!("opening {}", address.shown("")), anyhow!(why)));
    }
    Ok((Client::from_conf(sqs.build()), at))
}

/// For a poll, which is silent while nothing comes. It is not repeated by the SDK: the next one is the same.
pub(super) fn patient() -> Builder {
    Builder::new().timeout_config(timeouts(POLL + ANSWER_WITHIN)).retry_config(RetryConfig::disabled())
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).operation_attempt_timeout(attempt).build()
}

async fn has_credentials(config: &SdkConfig) -> bool {
    match config.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    }
}

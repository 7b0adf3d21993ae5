//! A client for one region, or for another server that speaks SQS.

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
};

use super::{address::Address, receive::POLL};
use crate::{Result, aws};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A server that has taken a request and says nothing is given up, and asked again by the SDK.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The client, and who it asks.
pub(super) async fn open(address: &Address) -> Result<(Client, String)> {
    let config = aws::config(Some(&address.region)).await;
    let mut sqs = Builder::from(&config).timeout_config(timeouts(ANSWER_WITHIN));
    if let Some(endpoint) = &address.endpoint {
        sqs = sqs.endpoint_url(endpoint);
    }
    let endpoint = address.endpoint.as_deref().or(config.endpoint_url());
    let at = endpoint.map_or_else(|| format!("SQS in {}", address.region), str::to_owned);
    aws::credentials(&config, format!("opening {}", address.shown(""))).await?;
    Ok((Client::from_conf(sqs.build()), at))
}

/// For a poll, which is silent while nothing comes. It is not repeated by the SDK: the next one is the same.
pub(super) fn patient() -> Builder {
    Builder::new().timeout_config(timeouts(POLL + ANSWER_WITHIN)).retry_config(RetryConfig::disabled())
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_WITHIN).operation_attempt_timeout(attempt).build()
}

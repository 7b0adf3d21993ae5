//! A client for one region, or for another server that speaks Batch.

use std::time::Duration;

use anyhow::anyhow;
use aws_sdk_batch::{
    Client,
    config::{Builder, retry::RetryConfig, timeout::TimeoutConfig},
};
use swath_backends::{aws, open::redacted};

use super::{failure::before_asking, settings::Settings};
use crate::fleet::provider::{ErrorKind, ProviderError};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A server that has taken a request and says nothing is given up, and asked again by the SDK.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Throttled, 500, resets: pauses grow from the first to the longest, by chance between nothing and the whole.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The client, its region, and who it asks.
pub(super) async fn open(settings: &Settings) -> Result<(Client, String, String), ProviderError> {
    let config = aws::config(settings.region.as_deref()).await;
    let Some(region) = config.region().map(ToString::to_string) else {
        let next = "set AWS_REGION, or region in [batch] of the profile, eu-central-1 for instance";
        return Err(ProviderError::new(
            ErrorKind::Config,
            "opening AWS Batch",
            next,
            anyhow!("no region is named"),
        ));
    };
    let endpoint = settings.endpoint.as_deref().or(config.endpoint_url());
    let at = match endpoint {
        Some(endpoint) => format!("Batch at {}", redacted(endpoint)),
        None => format!("Batch in {region}"),
    };
    aws::credentials(&config, format!("opening {at}")).await.map_err(before_asking)?;
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_WITHIN)
        .operation_attempt_timeout(ANSWER_WITHIN)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(TRIES)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE);
    let mut batch = Builder::from(&config).timeout_config(timeouts).retry_config(retries);
    if let Some(endpoint) = &settings.endpoint {
        batch = batch.endpoint_url(endpoint);
    }
    Ok((Client::from_conf(batch.build()), region, at))
}

/// For what must not be done twice: whoever asks sees to what is in doubt.
pub(super) fn once() -> Builder {
    Builder::new().retry_config(RetryConfig::disabled())
}

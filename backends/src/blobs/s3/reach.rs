//! How a store is reached, settled once: what an entry of the pipeline says, then the environment and its
//! profiles, then what is usual. The SDK's client is made of it, and what others need who ask by themselves.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::anyhow;
use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, SdkConfig, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
    sts::AssumeRoleProvider,
};
use aws_sdk_s3::{
    Client,
    config::{
        Credentials, ProvideCredentials as _, Region, SharedCredentialsProvider,
        endpoint::{DefaultResolver, Params, ResolveEndpoint as _},
        retry::RetryConfig,
        timeout::TimeoutConfig,
    },
};
use aws_types::service_config::ServiceConfigKey;
use swath_proto::access::{Access, Keys, Pass};
use tokio::sync::Mutex;

use super::{S3Blobs, payer::Payer, plan::MOST_PARTS, role};
use crate::{Error, Kind, Result, blobs::SharedBlobs, outside::Buckets};

/// A server that has taken a request and says nothing is given up, and asked again by the SDK.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// With its body: a part at a slow hundred KiB/s.
const TRANSFER_WITHIN: Duration = Duration::from_secs(180);
/// What a store does by itself, some without a word until it is done: a GiB at 4 MiB/s.
const COPIED_WITHIN: Duration = Duration::from_secs(300);
/// SlowDown, 500, 503, resets: each try waits about twice as long as the one before, half a minute in all. Whoever
/// asks goes on from there with pauses of its own.
const TRIES: u32 = 7;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A person waits for the first answer.
const FIRST_TRIES: u32 = 3;

/// Credentials are handed on while they hold at least that long: reads of one item are over before.
const HOLDS: Duration = Duration::from_secs(15 * 60);

/// How this process is called where roles are assumed, for those who read the trail.
pub(super) const SESSION: &str = "swath";

const USUAL_REGION: &str = "us-east-1";

pub struct Reach {
    client: Client,
    /// None: nothing is signed.
    credentials: Option<SharedCredentialsProvider>,
    last: Mutex<Option<Credentials>>,
    /// What is told if there are no credentials.
    who: String,
    endpoint: String,
    region: String,
    path_style: bool,
    requester_pays: bool,
    most_parts: usize,
    sums_no_copies: Arc<AtomicBool>,
}

impl Reach {
    /// `None`: as the environment says.
    pub async fn settle(access: Option<&Access>) -> Result<Self> {
        let usual = Access { prefix: String::new(), ..Access::default() };
        let access = access.unwrap_or(&usual);
        let has_own = access.role.is_some() || access.profile.is_some();
        let anonymous = access.anonymous || (flag("AWS_NO_SIGN_REQUEST") == Some(true) && !has_own);
        let config = config(access, anonymous).await;
        let requester_pays =
            access.requester_pays || std::env::var("AWS_REQUEST_PAYER").is_ok_and(|who| !who.is_empty());
        let own_endpoint = access.endpoint.clone().or_else(|| endpoint(&config));
        let virtual_hosting = flag("AWS_VIRTUAL_HOSTING");
        let path_style =
            access.path_style.or(virtual_hosting.map(|is| !is)).unwrap_or(own_endpoint.is_some());
        let region = config.region().map_or(USUAL_REGION, Region::as_ref).to_owned();

        let mut s3 = aws_sdk_s3::config::Builder::from(&config)
            .timeout_config(timeouts())
            .retry_config(retries())
            .force_path_style(path_style);
        if let Some(endpoint) = &own_endpoint {
            s3 = s3.endpoint_url(endpoint);
        }
        if requester_pays {
            s3 = s3.interceptor(Payer);
        }
        let endpoint = match own_endpoint {
            Some(endpoint) => endpoint,
            None => of_region(&config, &region).await?,
        };
        Ok(Self {
            client: Client::from_conf(s3.build()),
            credentials: config.credentials_provider(),
            last: Mutex::default(),
            who: who(access),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            region,
            path_style,
            requester_pays,
            most_parts: MOST_PARTS,
            sums_no_copies: Arc::default(),
        })
    }

    /// For a store that takes fewer parts an upload than S3 does; two at least.
    #[must_use]
    pub fn with_most_parts(self, most_parts: usize) -> Self {
        Self { most_parts: most_parts.max(2), ..self }
    }

    pub(super) fn most_parts(&self) -> usize {
        self.most_parts
    }

    pub(super) fn sums_no_copies(&self) -> Arc<AtomicBool> {
        self.sums_no_copies.clone()
    }

    pub(super) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Credentials that hold for a while; `None` where nothing is signed.
    pub(super) async fn keys(&self) -> Result<Option<Credentials>> {
        let Some(provider) = &self.credentials else { return Ok(None) };
        let mut last = self.last.lock().await;
        let holds = |keys: &Credentials| {
            let end = std::time::SystemTime::now() + HOLDS;
            keys.expiry().is_none_or(|expiry| expiry > end)
        };
        if let Some(keys) = last.as_ref().filter(|keys| holds(keys)) {
            return Ok(Some(keys.clone()));
        }
        let keys = provider.provide_credentials().await;
        let keys = keys.map_err(|error| role::without_keys(&self.who, error))?;
        *last = Some(keys.clone());
        Ok(Some(keys))
    }
}

#[async_trait]
impl Buckets for Reach {
    fn bucket(&self, name: &str) -> SharedBlobs {
        Arc::new(S3Blobs::new(self, name, ""))
    }

    async fn pass(&self, prefix: &str) -> Result<Pass> {
        let keys = self.keys().await?.map(|keys| Keys {
            id: keys.access_key_id().to_owned(),
            secret: keys.secret_access_key().to_owned(),
            token: keys.session_token().map(str::to_owned),
        });
        Ok(Pass {
            prefix: prefix.to_owned(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            path_style: self.path_style,
            requester_pays: self.requester_pays,
            keys,
        })
    }
}

/// Region and credentials of an entry.
async fn config(access: &Access, anonymous: bool) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if anonymous {
        loader = loader.no_credentials();
    }
    if let Some(profile) = &access.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &access.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let config = loader.load().await;
    let region = config.region().cloned().unwrap_or_else(|| Region::from_static(USUAL_REGION));
    let mut config = config.into_builder().region(region.clone()).build();
    // By itself the SDK would take keys of the environment first, whatever profile is named.
    if let Some(profile) = &access.profile {
        let of_profile = ProfileFileCredentialsProvider::builder()
            .configure(&ProviderConfig::without_region().with_region(Some(region)))
            .profile_name(profile);
        let provider = SharedCredentialsProvider::new(of_profile.build());
        config = config.into_builder().credentials_provider(provider).build();
    }
    if let Some(role) = &access.role {
        let assumed = AssumeRoleProvider::builder(role).session_name(SESSION).configure(&config);
        let assumed = match config.credentials_provider() {
            Some(known) => assumed.build_from_provider(known).await,
            None => assumed.build().await,
        };
        config = config.into_builder().credentials_provider(SharedCredentialsProvider::new(assumed)).build();
    }
    config
}

/// An endpoint of one's own, from the environment or a profile; that for S3 alone before that for all.
fn endpoint(config: &SdkConfig) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id("S3").env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let of_s3 = key.ok().and_then(|key| config.service_config()?.load_config(key));
    of_s3.or_else(|| config.endpoint_url().map(str::to_owned))
}

/// What AWS calls S3 in a region, for all of its partitions.
async fn of_region(config: &SdkConfig, region: &str) -> Result<String> {
    let wrong = |why: String| {
        Error::new(
            Kind::Config,
            format!("looking for S3 in the region {region}"),
            anyhow!("{why}: set AWS_REGION"),
        )
    };
    let params = Params::builder()
        .region(region)
        .use_fips(config.use_fips().unwrap_or(false))
        .use_dual_stack(config.use_dual_stack().unwrap_or(false))
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    let resolver = DefaultResolver::new();
    let endpoint = resolver.resolve_endpoint(&params).await.map_err(|error| wrong(error.to_string()))?;
    Ok(endpoint.url().to_owned())
}

/// A switch as GDAL reads it, so that one variable means the same to both.
fn flag(name: &str) -> Option<bool> {
    let value = std::env::var(name).ok()?;
    match value.to_ascii_uppercase().as_str() {
        "YES" | "TRUE" | "ON" | "1" => Some(true),
        "NO" | "FALSE" | "OFF" | "0" => Some(false),
        _ => None,
    }
}

/// Whose credentials these are, in words.
fn who(access: &Access) -> String {
    match (&access.role, &access.profile) {
        (Some(role), Some(profile)) => format!("the role {role}, as the profile {profile}"),
        (Some(role), None) => format!("the role {role}"),
        (None, Some(profile)) => format!("the profile {profile}"),
        (None, None) => role::ENVIRONMENT.into(),
    }
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_WITHIN)
        .read_timeout(ANSWER_WITHIN)
        .operation_attempt_timeout(TRANSFER_WITHIN)
        .build()
}

/// For what is asked before there is work to lose.
pub(super) fn impatient() -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().retry_config(retries().with_max_attempts(FIRST_TRIES))
}

/// For what moves bytes inside the store. Others are given up sooner: a server that is silent there is away.
pub(super) fn patient() -> aws_sdk_s3::config::Builder {
    let timeouts = timeouts().to_builder();
    let timeouts = timeouts.read_timeout(COPIED_WITHIN).operation_attempt_timeout(COPIED_WITHIN).build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}

fn retries() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(TRIES)
        .with_initial_backoff(FIRST_PAUSE)
        .with_max_backoff(LONGEST_PAUSE)
}

//! `--fleet batch`: workers are jobs of AWS Batch, in the queues that the profile names.

use std::{sync::Arc, time::Duration};

use swath_backends::open::Urls;
use swath_coordinator::fleet::{
    batch::{Batch, are_reachable, settings::Settings},
    control::Setup,
    policy::{KindPolicy, Offer, Policy},
    provider::Provider,
};
use swath_proto::fleet::{Market, WorkerKind};

use crate::{
    args::{DoorArgs, FleetFlags},
    config,
    exit::Usage,
    profile,
};

/// Between two looks at what Batch says, which is asked by the call.
const EVERY: Duration = Duration::from_secs(10);

pub(super) async fn setup(flags: FleetFlags, doors: &DoorArgs) -> anyhow::Result<Setup> {
    let settings = profile::batch(doors.profile.as_deref())?.ok_or_else(|| {
        Usage(
            "--fleet batch: no profile says which queues there are: give --profile NAME with [batch]".into(),
        )
    })?;
    let policy = policy(&flags, &settings)?;
    let batch = Batch::open(&settings, &config::urls(doors)).await.map_err(|error| Usage(error.told()))?;
    let mut works = false;
    for queue in batch.queues() {
        // What is wrong with one keeps nobody from the others, and may be mended meanwhile.
        match batch.try_queue(&queue).await {
            Ok(tried) => {
                works = true;
                tried.warnings.iter().for_each(|warning| tracing::warn!(queue, "{warning}"));
            }
            Err(error) => tracing::warn!(queue, "{}", error.told()),
        }
    }
    if !works {
        let why = "--fleet batch: no job queue of the profile can be used; swath doctor tells of each";
        return Err(Usage(why.into()).into());
    }
    let provider_name = format!("batch:{}", batch.fleet());
    let provider: Arc<dyn Provider> = Arc::new(batch);
    Ok(Setup { policy, provider, provider_name, allow_steps: false, every: EVERY })
}

/// What could be refused without asking AWS.
pub(super) fn check(flags: &FleetFlags, profile: &str, urls: &Urls) -> anyhow::Result<()> {
    let settings = profile::batch(Some(profile))?
        .ok_or_else(|| Usage("fleet = \"batch\", and there is no [batch] with its queues".into()))?;
    policy(flags, &settings)?;
    are_reachable(urls).map_err(|error| Usage(error.told()))?;
    Ok(())
}

fn policy(flags: &FleetFlags, settings: &Settings) -> anyhow::Result<Policy> {
    if flags.worker_options.is_some() {
        let why = "--worker-options: how workers of Batch are started is said by their job definition, or by command in \
                   the profile's [batch.cpu] and [batch.gpu]";
        return Err(Usage(why.into()).into());
    }
    let (cpu, gpu) = (WorkerKind::Cpu, WorkerKind::Gpu);
    let cpu = kind(settings, cpu, "--workers-max", (flags.workers_min, flags.workers_max), &[])?;
    let limits = (flags.gpu_workers_min, flags.gpu_workers_max);
    let gpu = kind(settings, gpu, "--gpu-workers-max", limits, &flags.gpu_markets)?;
    if cpu.max == 0 && gpu.max == 0 {
        let why =
            "--fleet batch: say how many workers there may be at most: --workers-max, --gpu-workers-max";
        return Err(Usage(why.into()).into());
    }
    let mut policy = Policy::of_machines(cpu, gpu);
    flags.adjust(&mut policy);
    policy.check().map_err(Usage)?;
    Ok(policy)
}

/// `wanted`: markets in the order in which they are tried; those that have a queue, spot before on demand, if it says none.
fn kind(
    settings: &Settings,
    kind: WorkerKind,
    flag: &str,
    (min, max): (Option<u32>, Option<u32>),
    wanted: &[Market],
) -> anyhow::Result<KindPolicy> {
    let has_queue =
        |market: Market| settings.side(kind).is_some_and(|side| side.queue(kind.name(), market).is_ok());
    let markets: Vec<Market> = match wanted {
        [] => [Market::Spot, Market::OnDemand].into_iter().filter(|market| has_queue(*market)).collect(),
        wanted => wanted.to_vec(),
    };
    let (min, max) = (min.unwrap_or(0), max.unwrap_or(0));
    if max > 0 {
        if let Some(lacks) = markets.iter().find(|market| !has_queue(**market)) {
            return Err(Usage(format!(
                "the profile names no {lacks} queue for {kind} workers: see [batch.{kind}]"
            ))
            .into());
        }
        if markets.is_empty() {
            return Err(
                Usage(format!("{flag} {max}: the profile names no queue: give it [batch.{kind}]")).into()
            );
        }
    }
    let offer = |market| Offer { market, price_per_hour: None };
    let mut offers: Vec<Offer> = markets.into_iter().map(offer).collect();
    if offers.is_empty() {
        // Of none that may be started.
        offers.push(offer(Market::OnDemand));
    }
    Ok(KindPolicy { min, max, offers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let text = "[batch.cpu]\nspot = 'c'\ndefinition = 'd'\n[batch.gpu]\nspot = 'g'\non_demand = 'h'\ndefinition = 'e'";
        Settings::of_profile("p", text).unwrap().unwrap()
    }

    #[test]
    fn workers_are_looked_for_where_the_profile_has_queues() {
        let flags = FleetFlags { workers_max: Some(8), gpu_workers_max: Some(2), ..FleetFlags::default() };
        let found = policy(&flags, &settings()).unwrap();
        let markets = |kind: &KindPolicy| kind.offers.iter().map(|offer| offer.market).collect::<Vec<_>>();
        assert_eq!(markets(&found.kinds.cpu), [Market::Spot]);
        assert_eq!(markets(&found.kinds.gpu), [Market::Spot, Market::OnDemand]);
        let flags = FleetFlags { gpu_markets: vec![Market::OnDemand], ..flags };
        assert_eq!(markets(&policy(&flags, &settings()).unwrap().kinds.gpu), [Market::OnDemand]);
    }

    #[test]
    fn what_the_profile_has_not_is_said() {
        let wrong =
            |flags: FleetFlags, settings: &Settings| policy(&flags, settings).unwrap_err().to_string();
        assert!(wrong(FleetFlags::default(), &settings()).contains("--workers-max"));
        let cards = FleetFlags { gpu_workers_max: Some(2), ..FleetFlags::default() };
        let without = Settings { gpu: None, ..settings() };
        assert!(wrong(cards.clone(), &without).contains("[batch.gpu]"));
        let options = FleetFlags { worker_options: Some("--slots 2".into()), ..cards };
        assert!(wrong(options, &settings()).contains("job definition"));
    }
}

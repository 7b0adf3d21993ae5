//! From what was typed, and what a profile says, to a fleet.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use serde::Deserialize;
use swath_backends::open::Urls;
#[cfg(not(feature = "servers"))]
use swath_backends::open::redacted;
use swath_coordinator::fleet::{
    control::Setup,
    policy::{Offer, Policy},
    provider::Provider,
};
use swath_proto::{
    fleet::{Market, WorkerKind},
    pipeline::layers::{Named, ProfileDoors},
};

use crate::{
    args::{DoorArgs, FleetFlags, Price, Tuning},
    config,
    exit::Usage,
};

#[cfg(feature = "servers")]
mod batch;

/// Between two looks at processes of this machine.
const HERE_EVERY: Duration = Duration::from_secs(1);

/// `[fleet]` of a profile.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Section {
    fleet: Option<String>,
    workers_min: Option<u32>,
    workers_max: Option<u32>,
    gpu_workers_min: Option<u32>,
    gpu_workers_max: Option<u32>,
    drain_time: Option<f64>,
    cool_down: Option<f64>,
    budget_hours: Option<f64>,
    budget_money: Option<f64>,
    /// By what `--price` has before its `=`.
    price: BTreeMap<String, f64>,
    gpu_markets: Vec<Market>,
    worker_options: Option<String>,
}

#[derive(Deserialize)]
struct Profile {
    fleet: Option<Section>,
}

/// None: this coordinator starts no workers. Those of this machine show metrics where the coordinator does, each on a
/// port of its own.
pub(crate) async fn open(
    flags: FleetFlags,
    doors: &DoorArgs,
    metrics: Option<SocketAddr>,
) -> anyhow::Result<Option<Setup>> {
    let section = doors.profile.as_deref().map(section).transpose()?.unwrap_or_default();
    let flags = flags.over(section)?;
    match flags.fleet.as_deref().map(|place| place.trim_end_matches(':')) {
        #[cfg(feature = "servers")]
        Some("batch") => batch::setup(flags, doors).await.map(Some),
        #[cfg(not(feature = "servers"))]
        Some("batch") => {
            let why = "--fleet batch: this program was built without its client (feature \"servers\")";
            Err(Usage(why.into()).into())
        }
        _ => setup(flags, doors, metrics),
    }
}

/// Of this machine.
fn setup(flags: FleetFlags, doors: &DoorArgs, metrics: Option<SocketAddr>) -> anyhow::Result<Option<Setup>> {
    let Some(place) = flags.fleet.clone() else {
        return match flags.is_said() {
            true => {
                Err(Usage("where workers come from is not said: give --fleet local or batch".into()).into())
            }
            false => Ok(None),
        };
    };
    if place.trim_end_matches(':') != "local" {
        return Err(Usage(format!("--fleet {place}: must be local or batch")).into());
    }
    let mut policy = policy_of_here(&flags)?;
    let tuning = flags.tuning(metrics)?;
    policy.slots = u32::try_from(tuning.slots).unwrap_or(u32::MAX);
    if policy.kinds.gpu.max > 0 && !has_card() {
        let (max, drivers) = (policy.kinds.gpu.max, DRIVERS.join(", "));
        tracing::warn!(
            "--gpu-workers-max {max}: this machine has no NVIDIA driver (none of {drivers}), so workers with cards will not begin"
        );
    }
    Ok(Some(Setup {
        policy,
        provider: local(doors, &tuning)?,
        provider_name: "local".into(),
        allow_steps: tuning.allow_steps,
        every: HERE_EVERY,
    }))
}

fn policy_of_here(flags: &FleetFlags) -> anyhow::Result<Policy> {
    let mut policy = Policy::of_here(
        (flags.workers_min.unwrap_or(0), flags.workers_max.unwrap_or_else(cores)),
        (flags.gpu_workers_min.unwrap_or(0), flags.gpu_workers_max.unwrap_or(0)),
    );
    if !flags.gpu_markets.is_empty() {
        return Err(Usage("--gpu-markets: this machine is no market; leave it out".into()).into());
    }
    flags.adjust(&mut policy);
    policy.check().map_err(Usage)?;
    Ok(policy)
}

/// What a coordinator would refuse in a profile; `doors` are those that it leaves open. Starts nothing.
pub(crate) fn check(profile: &str, doors: &DoorArgs) -> anyhow::Result<()> {
    let (name, text) = config::profile(profile)?;
    let said = ProfileDoors::read(Named { name: &name, text: &text })?;
    let urls = Urls {
        root: said.root.unwrap_or_else(|| doors.root.clone()),
        queue: said.queue.unwrap_or_else(|| doors.queue.clone()),
        ledger: said.ledger.unwrap_or_else(|| doors.ledger.clone()),
    };
    check_flags(FleetFlags::default().over(section(profile)?)?, profile, &urls)
        .map_err(|error| Usage(format!("{name}, [fleet]: {error:#}")).into())
}

fn check_flags(flags: FleetFlags, profile: &str, urls: &Urls) -> anyhow::Result<()> {
    match flags.fleet.as_deref().map(|place| place.trim_end_matches(':')) {
        #[cfg(feature = "servers")]
        Some("batch") => batch::check(&flags, profile, urls),
        #[cfg(not(feature = "servers"))]
        Some("batch") => {
            let root = redacted(&urls.root);
            note!(
                "note: {profile}: fleet = \"batch\" at {root}: not checked, this program was built without its client"
            );
            Ok(())
        }
        Some("local") => {
            flags.tuning(None)?;
            policy_of_here(&flags).map(drop)
        }
        Some(place) => Err(Usage(format!("fleet = \"{place}\": must be local or batch")).into()),
        // The rest is typed beside it.
        None => {
            flags.tuning(None)?;
            let flags = FleetFlags {
                workers_max: flags.workers_max.or(Some(Policy::MOST)),
                gpu_workers_max: flags.gpu_workers_max.or(Some(Policy::MOST)),
                budget_money: None,
                gpu_markets: Vec::new(),
                ..flags
            };
            policy_of_here(&flags).map(drop)
        }
    }
}

/// What its driver makes; the last one is that of WSL.
const DRIVERS: [&str; 3] = ["/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg"];

fn has_card() -> bool {
    DRIVERS.iter().any(|path| std::path::Path::new(path).exists())
}

fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(u32::MAX).min(Policy::MOST)
}

fn section(profile: &str) -> anyhow::Result<Section> {
    let (name, text) = config::profile(profile)?;
    // The error's own words show the line, which may hold a password.
    let profile: Profile =
        toml::from_str(&text).map_err(|error| Usage(format!("{name}, [fleet]: {}", error.message())))?;
    Ok(profile.fleet.unwrap_or_default())
}

impl FleetFlags {
    /// Anything but where workers come from.
    fn is_said(&self) -> bool {
        let counts = [self.workers_min, self.workers_max, self.gpu_workers_min, self.gpu_workers_max];
        let amounts = [self.drain_time, self.cool_down, self.budget_hours, self.budget_money];
        counts.iter().any(Option::is_some)
            || amounts.iter().any(Option::is_some)
            || !self.price.is_empty()
            || !self.gpu_markets.is_empty()
            || self.worker_options.is_some()
    }

    /// What was typed wins over a profile.
    fn over(self, section: Section) -> anyhow::Result<Self> {
        let mut price = Vec::new();
        for (what, money) in section.price {
            let read = format!("{what}={money}").parse::<Price>();
            price.push(read.map_err(|error| Usage(format!("[fleet] price: {error}")))?);
        }
        // The last one that fits counts.
        price.extend(self.price);
        let gpu_markets = if self.gpu_markets.is_empty() { section.gpu_markets } else { self.gpu_markets };
        Ok(Self {
            fleet: self.fleet.or(section.fleet),
            workers_min: self.workers_min.or(section.workers_min),
            workers_max: self.workers_max.or(section.workers_max),
            gpu_workers_min: self.gpu_workers_min.or(section.gpu_workers_min),
            gpu_workers_max: self.gpu_workers_max.or(section.gpu_workers_max),
            drain_time: self.drain_time.or(section.drain_time),
            cool_down: self.cool_down.or(section.cool_down),
            budget_hours: self.budget_hours.or(section.budget_hours),
            budget_money: self.budget_money.or(section.budget_money),
            price,
            gpu_markets,
            worker_options: self.worker_options.or(section.worker_options),
        })
    }

    fn adjust(&self, policy: &mut Policy) {
        if let Some(drain_s) = self.drain_time {
            policy.drain_s = drain_s;
        }
        if let Some(cool_down_s) = self.cool_down {
            policy.cool_down_s = cool_down_s;
        }
        policy.budget.hours = self.budget_hours;
        policy.budget.money = self.budget_money;
        for kind in WorkerKind::ALL {
            for offer in &mut policy.kinds.of_mut(kind).offers {
                let fits = self.price.iter().rev().find(|price| {
                    price.kind == kind && price.market.is_none_or(|market| market == offer.market)
                });
                *offer = Offer { price_per_hour: fits.map(|price| price.per_hour), ..*offer };
            }
        }
    }

    /// Read as `swath worker` reads them.
    fn tuning(&self, metrics: Option<SocketAddr>) -> anyhow::Result<Tuning> {
        let words = || self.worker_options.as_deref().unwrap_or_default().split_whitespace();
        let mut tuning = Tuning::read(words())
            .map_err(|error| Usage(format!("--worker-options: {}", error.to_string().trim())))?;
        // What the environment says of it is the coordinator's own.
        if !words().any(|word| word.starts_with("--metrics")) {
            tuning.metrics = metrics.map(|own| SocketAddr::new(own.ip(), 0));
        }
        config::check(&tuning)?;
        config::seconds("--grace", tuning.grace)?;
        Ok(tuning)
    }
}

#[cfg(feature = "worker")]
fn local(doors: &DoorArgs, tuning: &Tuning) -> anyhow::Result<Arc<dyn Provider>> {
    use anyhow::Context as _;
    use swath_coordinator::fleet::{
        local::{Launched, Local, logs},
        provider::JobId,
    };

    use crate::{pool, worker_program};

    let (program, folder) = (worker_program::path()?, pool::logs(doors)?);
    let (doors, tuning) = (doors.clone(), tuning.clone());
    let launch = move |kind: WorkerKind, job: &JobId| -> anyhow::Result<Launched> {
        let name = job.0.trim_start_matches("local:");
        let log = folder.join(format!("worker-{name}.log"));
        let file = logs::open(&log).with_context(|| format!("opening {}", log.display()))?;
        let child = pool::start(&program, kind.name(), &job.0, &doors, &tuning, &file)?;
        Ok(Launched { child, log })
    };
    let local = Local::new(Box::new(launch)).context("starting the thread that looks after workers")?;
    Ok(Arc::new(local))
}

#[cfg(not(feature = "worker"))]
fn local(_: &DoorArgs, _: &Tuning) -> anyhow::Result<Arc<dyn Provider>> {
    Err(Usage("--fleet local: this program was built as a coordinator only; workers are elsewhere".into())
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> DoorArgs {
        let local = || "local:".to_owned();
        DoorArgs { root: "root".into(), queue: local(), ledger: local(), profile: None, prices: None }
    }

    #[test]
    fn flags_win_over_the_profile_and_the_last_price_that_fits_counts() {
        let text =
            "fleet = \"local\"\nworkers_max = 3\ndrain_time = 60\nprice = { cpu = 1.0, gpu-spot = 2.0 }";
        let section: Section = toml::from_str(text).unwrap();
        let typed = FleetFlags {
            workers_max: Some(5),
            price: vec!["cpu-on-demand=0.5".parse().unwrap()],
            ..FleetFlags::default()
        };
        let flags = typed.over(section).unwrap();
        assert_eq!((flags.fleet.as_deref(), flags.workers_max), (Some("local"), Some(5)));
        let mut policy = Policy::of_here((0, 1), (0, 1));
        flags.adjust(&mut policy);
        assert_eq!(policy.drain_s, 60.0);
        assert_eq!(policy.kinds.cpu.price(Market::OnDemand), Some(0.5));
        assert_eq!(policy.kinds.gpu.price(Market::OnDemand), None);
        assert!(toml::from_str::<Section>("worker_max = 3").is_err());
    }

    #[test]
    fn workers_of_this_machine_show_metrics_where_the_coordinator_does() {
        let own: SocketAddr = "10.0.0.7:9464".parse().unwrap();
        let with = |options: Option<&str>| FleetFlags {
            worker_options: options.map(Into::into),
            ..FleetFlags::default()
        };
        let shown =
            |options, metrics| with(options).tuning(metrics).unwrap().metrics.map(|at| at.to_string());
        assert_eq!(shown(Some("--slots 2"), Some(own)).as_deref(), Some("10.0.0.7:0"));
        assert_eq!(shown(None, None), None);
        assert_eq!(shown(Some("--metrics 127.0.0.1:0"), Some(own)).as_deref(), Some("127.0.0.1:0"));
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        let wrong = |flags: FleetFlags| setup(flags, &doors(), None).err().expect("an error").to_string();
        let max = FleetFlags { workers_max: Some(4), ..FleetFlags::default() };
        assert!(wrong(max.clone()).contains("give --fleet local"));
        let elsewhere = FleetFlags { fleet: Some("moon".into()), ..max.clone() };
        assert!(wrong(elsewhere).contains("--fleet moon: must be local or batch"));
        let here = FleetFlags { fleet: Some("local".into()), ..max };
        assert!(wrong(FleetFlags { workers_min: Some(9), ..here.clone() }).contains("--workers-min 9"));
        assert!(
            wrong(FleetFlags { budget_money: Some(9.0), ..here.clone() }).contains("--price cpu-on-demand")
        );
        let options = Some("--slots many".to_owned());
        assert!(wrong(FleetFlags { worker_options: options, ..here }).contains("--worker-options"));
        assert!(setup(FleetFlags::default(), &doors(), None).unwrap().is_none());
    }
}

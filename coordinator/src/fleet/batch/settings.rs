//! `[batch]` of a profile: which queues and job definitions of AWS Batch a fleet uses. Names and numbers alone: a key
//! never stands here.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use swath_proto::fleet::{Market, WorkerKind};

/// What Batch takes.
const ATTEMPTS: std::ops::RangeInclusive<u32> = 1..=10;
/// Begins the names of jobs, which have 128 letters; what follows takes 70 at most.
const LONGEST_NAME: usize = 50;
/// Variables that hold keys.
const KEYS: [&str; 2] = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Before the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Another server that speaks Batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Begins the names of jobs: two fleets on the same queues need two of them. The root's own where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A tag, for those who pay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// How often in all a job is begun whose host was taken away. One that fails by itself is not begun again.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// For every job, beside what its definition has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Side>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Side>,
    /// Machines that train together, in queues of their own or those of `gpu`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trainer: Option<Side>,
}

/// What jobs of a kind are made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// The job queue whose machines may be taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spot: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<String>,
    /// A job definition that is there: its name (the latest revision), NAME:REVISION, or its ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// In the place of the definition's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// In the place of `definition`: one is registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
}

/// What a job definition is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    pub uri: String,
    pub vcpus: u32,
    pub memory_mib: u32,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gpus: u32,
    /// `/dev/shm`: ranks of a training meet there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_memory_mib: Option<u32>,
    /// As whom the program asks S3, SQS and the like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_role: Option<String>,
    /// As whom the image is fetched and secrets are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Variables whose values lie in the Secrets Manager or the Parameter Store: by name, an ARN.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

const fn attempts() -> u32 {
    3
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: None,
            endpoint: None,
            name: None,
            owner: None,
            attempts: attempts(),
            environment: BTreeMap::new(),
            cpu: None,
            gpu: None,
            trainer: None,
        }
    }
}

impl Settings {
    /// Of a whole profile; `None`: it has no such section. `name` is told with what is wrong.
    pub fn of_profile(name: &str, text: &str) -> anyhow::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Profile {
            batch: Option<Settings>,
        }
        // The error's own words show the line, which may hold a password.
        let profile: Profile =
            toml::from_str(text).map_err(|error| anyhow!("{name}, [batch]: {}", error.message()))?;
        let Some(settings) = profile.batch else { return Ok(None) };
        settings.check().with_context(|| format!("{name}, [batch]"))?;
        Ok(Some(settings))
    }

    pub const fn side(&self, kind: WorkerKind) -> Option<&Side> {
        match kind {
            WorkerKind::Cpu => self.cpu.as_ref(),
            WorkerKind::Gpu => self.gpu.as_ref(),
        }
    }

    /// All sides with the names of their sections.
    pub fn sides(&self) -> impl Iterator<Item = (&'static str, &Side)> {
        [("cpu", &self.cpu), ("gpu", &self.gpu), ("trainer", &self.trainer)]
            .into_iter()
            .filter_map(|(name, side)| Some((name, side.as_ref()?)))
    }

    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            ATTEMPTS.contains(&self.attempts),
            "attempts = {}: Batch takes 1 to 10, of which 1 begins nothing again",
            self.attempts
        );
        ensure!(
            self.sides().next().is_some(),
            "it names no queue: give [batch.cpu] or [batch.gpu] with spot or on_demand"
        );
        if let Some(name) = &self.name {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '-';
            ensure!(
                !name.is_empty()
                    && name.len() <= LONGEST_NAME
                    && name.chars().all(is_safe)
                    && !name.starts_with('-'),
                "name = '{name}': it begins the names of jobs, and must be 1 to {LONGEST_NAME} letters, digits and '-', \
                 a letter or digit first"
            );
        }
        if let Some(region) = &self.region {
            ensure!(
                swath_backends::open::is_region(region),
                "region = '{region}' is no region: it is a name like eu-central-1"
            );
        }
        if let Some(endpoint) = &self.endpoint {
            ensure!(
                (endpoint.starts_with("http://") || endpoint.starts_with("https://"))
                    && !endpoint.contains('@'),
                "endpoint: must be http://HOST or https://HOST, without user or password"
            );
        }
        for (name, value) in &self.environment {
            check_variable(name)?;
            let has_password = value.contains("://") && swath_backends::open::redacted(value) != *value;
            ensure!(
                !has_password && !KEYS.contains(&name.as_str()),
                "environment: {name} is a secret, and whoever may look at a job sees its variables: name it in secrets of \
                 the section's image, or in the job definition; AWS is asked by the job's role"
            );
        }
        for (name, side) in self.sides() {
            // The trainer may use the queues of cards.
            let has_queues = |side: &Side| side.spot.is_some() || side.on_demand.is_some();
            let borrows = name == "trainer" && self.gpu.as_ref().is_some_and(has_queues);
            ensure!(
                has_queues(side) || borrows,
                "[batch.{name}] names no job queue: give spot, on_demand, or both"
            );
            match (&side.definition, &side.image) {
                (Some(_), Some(_)) => {
                    bail!("[batch.{name}] has a definition and an image; one of them has to go")
                }
                (None, None) => bail!(
                    "[batch.{name}] says nothing of its jobs: give definition = \"NAME\" for one that is there, or \
                     [batch.{name}.image] to have one registered"
                ),
                (None, Some(image)) => image.check().with_context(|| format!("[batch.{name}.image]"))?,
                (Some(_), None) => {}
            }
            if side.command.as_ref().is_some_and(Vec::is_empty) {
                bail!("[batch.{name}] command is empty: leave it out to keep the definition's own");
            }
        }
        Ok(())
    }
}

impl Side {
    /// `section`: as it is called in the profile.
    pub fn queue(&self, section: &str, market: Market) -> anyhow::Result<&str> {
        let (queue, key) = match market {
            Market::Spot => (&self.spot, "spot"),
            Market::OnDemand => (&self.on_demand, "on_demand"),
        };
        queue.as_deref().with_context(|| format!("the profile names no queue for it: batch.{section}.{key}"))
    }
}

impl Image {
    fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.uri.is_empty() && !self.uri.contains(char::is_whitespace),
            "uri must name an image, ACCOUNT.dkr.ecr.REGION.amazonaws.com/swath:TAG for instance"
        );
        ensure!(self.vcpus >= 1, "vcpus must be 1 at least");
        ensure!(self.memory_mib >= 128, "memory_mib = {}: a container needs 128 at least", self.memory_mib);
        ensure!(
            self.secrets.is_empty() || self.execution_role.is_some(),
            "secrets are read as execution_role, which is missing"
        );
        for (name, from) in &self.secrets {
            check_variable(name)?;
            ensure!(
                from.starts_with("arn:"),
                "secrets.{name} must be an ARN of the Secrets Manager or the Parameter Store, and not the secret"
            );
        }
        Ok(())
    }
}

/// What SDK and shells take; Batch keeps some for itself.
fn check_variable(name: &str) -> anyhow::Result<()> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || c == '_';
    ensure!(
        !name.is_empty() && name.chars().all(is_safe) && !name.starts_with(|c: char| c.is_ascii_digit()),
        "'{name}' is no name of a variable"
    );
    ensure!(!name.starts_with("AWS_BATCH"), "{name}: Batch sets those itself");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, String> {
        let read = Settings::of_profile("p.toml", text);
        read.map(|settings| settings.expect("a section")).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_profile_says_which_queues_and_definitions_there_are() {
        let text = "root = 's3://b/maps'\n[batch]\nregion = 'eu-central-1'\n[batch.gpu]\nspot = 'g-spot'\n\
                    on_demand = 'g'\ndefinition = 'swath-gpu'\n[batch.trainer]\ndefinition = 'swath-train'\n";
        let settings = read(text).unwrap();
        assert_eq!(settings.attempts, 3);
        let gpu = settings.side(WorkerKind::Gpu).unwrap();
        assert_eq!(gpu.queue("gpu", Market::OnDemand).unwrap(), "g");
        assert!(settings.side(WorkerKind::Cpu).is_none());
        assert_eq!(Settings::of_profile("p.toml", "root = 's3://b'").unwrap(), None);
        let again = toml::to_string(&settings).unwrap();
        assert_eq!(toml::from_str::<Settings>(&again).unwrap(), settings);
    }

    #[test]
    fn a_wrong_profile_says_what_is_wrong_and_what_would_be_right() {
        let cpu = "[batch.cpu]\nspot = 'c'\ndefinition = 'd'\n";
        for (text, word) in [
            ("[batch]\n".to_owned(), "names no queue"),
            (format!("[batch]\nattempts = 11\n{cpu}"), "1 to 10"),
            (format!("[batch]\nattempts = 0\n{cpu}"), "1 to 10"),
            (format!("[batch]\nname = 'a_b'\n{cpu}"), "begins the names"),
            (format!("[batch]\nregion = 'Frankfurt'\n{cpu}"), "no region"),
            (format!("[batch]\nendpoint = 'http://user:hunter2@h'\n{cpu}"), "without user"),
            (format!("[batch]\nenvironment = {{ 'A B' = 'x' }}\n{cpu}"), "no name of a variable"),
            (
                format!("[batch]\nenvironment = {{ SWATH_LEDGER = 'redis://:hunter2@h/0' }}\n{cpu}"),
                "SWATH_LEDGER is a secret",
            ),
            (
                format!("[batch]\nenvironment = {{ AWS_SECRET_ACCESS_KEY = 'hunter2' }}\n{cpu}"),
                "AWS_SECRET_ACCESS_KEY is a secret",
            ),
            (format!("[batch]\nqueue = 'c'\n{cpu}"), "unknown field"),
            ("[batch.cpu]\ndefinition = 'd'\n".into(), "names no job queue"),
            ("[batch.cpu]\nspot = 'c'\n".into(), "registered"),
            ("[batch.trainer]\ndefinition = 'd'\n".into(), "names no job queue"),
            (
                "[batch.cpu]\nspot = 'c'\nimage = { uri = 'i', vcpus = 1, memory_mib = 64 }\n".into(),
                "128 at least",
            ),
            (
                "[batch.cpu]\nspot = 'c'\nimage = { uri = 'i', vcpus = 1, memory_mib = 512, execution_role = 'r', \
                 secrets = { SWATH_LEDGER = 'hunter2' } }\n"
                    .into(),
                "must be an ARN",
            ),
        ] {
            let words = read(&text).expect_err(&text);
            assert!(words.contains(word) && words.contains("p.toml"), "{text}: {words}");
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}

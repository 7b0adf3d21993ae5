//! From what was typed to what the program needs: checked, and nothing left open.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use swath_backends::open::Urls;
use swath_coordinator::freeze::Source;
use swath_proto::ids::WorkerId;

use crate::{
    args::{DoorArgs, FileArgs, Tuning},
    exit::Usage,
};

pub fn urls(doors: &DoorArgs) -> Urls {
    Urls { root: doors.root.clone(), queue: doors.queue.clone(), ledger: doors.ledger.clone() }
}

/// Reads a pipeline file and applies what the command line changes in it.
pub fn source(args: &FileArgs) -> anyhow::Result<Source> {
    let read = std::fs::read_to_string(&args.file);
    let mut text = read.map_err(|error| Usage(format!("{}: {error}", args.file.display())))?;
    if !args.set.is_empty() || !args.stages.is_empty() {
        let mut table: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| Usage(format!("{}: {error}", args.file.display())))?;
        for change in &args.set {
            set(&mut table, change)?;
        }
        if !args.stages.is_empty() {
            let names = args.stages.iter().map(|stage| toml::Value::String(stage.name().into()));
            table.insert("stages".into(), toml::Value::Array(names.collect()));
        }
        text = toml::to_string(&table).context("writing the changed pipeline")?;
    }
    let folder = args.file.parent().unwrap_or(Path::new("")).to_owned();
    let rerun = args.rerun.then(|| format!("{:016x}", rand::random::<u64>()));
    Ok(Source { text, folder, rerun })
}

/// `a.b=value`: the value is TOML where it can be read as such, else a string.
fn set(table: &mut toml::Table, change: &str) -> anyhow::Result<()> {
    let (path, value) = change.split_once('=').ok_or_else(|| {
        Usage(format!("--set {change}: write it as KEY=VALUE, predict.item_px=2048 for instance"))
    })?;
    let value = format!("v = {value}")
        .parse::<toml::Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| toml::Value::String(value.into()));
    let mut keys: Vec<&str> = path.split('.').collect();
    let last =
        keys.pop().filter(|key| !key.is_empty()).ok_or_else(|| Usage(format!("--set {change}: no key")))?;
    let mut table = table;
    for key in keys {
        let inner = table.entry(key).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        table = inner
            .as_table_mut()
            .ok_or_else(|| Usage(format!("--set {change}: '{key}' is not a section of the file")))?;
    }
    table.insert(last.into(), value);
    Ok(())
}

/// Names this process among all that share a ledger.
pub fn process_name(role: &str) -> WorkerId {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(char::is_ascii_alphanumeric).take(40).collect();
    let name = format!("{role}-{host}-{}-{:06x}", std::process::id(), rand::random::<u32>() & 0xff_ffff);
    name.parse().unwrap_or_else(|error| unreachable!("a process name is made of safe characters: {error}"))
}

pub fn seconds(what: &str, value: f64) -> anyhow::Result<Duration> {
    let valid = value.is_finite() && (0.1..=86_400.0).contains(&value);
    let seconds = valid.then(|| Duration::from_secs_f64(value));
    Ok(seconds.ok_or_else(|| Usage(format!("{what} {value}: must be 0.1 to 86400 seconds")))?)
}

pub fn check(tuning: &Tuning) -> anyhow::Result<()> {
    seconds("--lease", tuning.lease)?;
    if !(1..=256).contains(&tuning.threads) {
        return Err(Usage(format!("--threads {}: must be 1 to 256", tuning.threads)).into());
    }
    if !(1..=1024).contains(&tuning.slots) {
        return Err(Usage(format!("--slots {}: must be 1 to 1024", tuning.slots)).into());
    }
    Ok(())
}

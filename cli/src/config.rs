//! From what was typed to what the program needs: checked, and nothing left open.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use swath_backends::open::{Urls, redacted};
use swath_coordinator::freeze::Source;
use swath_proto::{
    ids::WorkerId,
    pipeline::{
        fits,
        layers::{Layers, Named, ProfileDoors},
    },
};

use crate::{
    args::{Args, Command, DoorArgs, FileArgs, Tuning},
    exit::Usage,
    profile, text,
};

pub fn urls(doors: &DoorArgs) -> Urls {
    Urls { root: doors.root.clone(), queue: doors.queue.clone(), ledger: doors.ledger.clone() }
}

/// For the first line of a log: whole paths, and no secrets.
pub fn shown(urls: &Urls) -> Urls {
    let root = match urls.root.contains("://") {
        true => redacted(&urls.root),
        false => std::path::absolute(&urls.root).map_or(urls.root.clone(), |path| path.display().to_string()),
    };
    Urls { root, queue: redacted(&urls.queue), ledger: redacted(&urls.ledger) }
}

/// A pipeline for each variant of the file that is wanted; for the file as it is, where it has none.
pub fn sources(args: &FileArgs, doors: &DoorArgs) -> anyhow::Result<Vec<(Source, DoorArgs)>> {
    if let Some(n) = args.splits {
        note!("note: --splits {n}: nothing is to be split by hand; work divides itself among the workers");
    }
    let text = read(&args.file)?;
    let names = Layers::of_file("", &text).variants();
    let fitting: Vec<&String> = match &args.variants {
        Some(pattern) => names.iter().filter(|name| fits(pattern, name)).collect(),
        None => names.iter().collect(),
    };
    match (&args.variants, names.is_empty()) {
        (Some(pattern), _) if fitting.is_empty() => {
            let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            let file = args.file.display();
            Err(Usage(format!("-m {pattern}: no variant of {file} is called so; it has {known}")).into())
        }
        (_, true) => Ok(vec![source(args, doors.clone(), None)?]),
        (_, false) => {
            fitting.into_iter().map(|name| source(args, doors.clone(), Some(name.as_str()))).collect()
        }
    }
}

/// Puts a pipeline together from all that has a say in it; and says where everything is.
pub fn source(
    args: &FileArgs,
    mut doors: DoorArgs,
    variant: Option<&str>,
) -> anyhow::Result<(Source, DoorArgs)> {
    let name = args.file.display().to_string();
    let text = read(&args.file)?;
    let profile = doors.profile.as_deref().map(profile).transpose()?;
    let mut flags = Vec::new();
    if !args.stages.is_empty() {
        let names: Vec<&str> = args.stages.iter().map(|stage| stage.name()).collect();
        let list = names.iter().map(|name| toml::Value::from(*name)).collect();
        let flag = format!("--stages {}", names.join(","));
        flags.push((flag.clone(), "stages", toml::Value::Array(list)));
        // The file's own steps wait for what other stages make.
        flags.push((flag, "steps", toml::Value::Array(Vec::new())));
    }
    if args.test {
        flags.push(("--test".to_owned(), "run.test", toml::Value::from(true)));
    }
    if args.skip_checks {
        flags.push(("--skip-checks".to_owned(), "run.check_files", toml::Value::from(false)));
    }
    let arguments: Vec<[String; 2]> =
        args.arguments.chunks_exact(2).map(|pair| [pair[0].clone(), pair[1].clone()]).collect();
    let env: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let layers = Layers {
        file: Named { name: &name, text: &text },
        profile: profile.as_ref().map(|(name, text)| Named { name, text }),
        variant,
        arguments: &arguments,
        set: &args.set,
        env: &env,
        flags,
    };
    let whole = layers.read()?;
    for note in &whole.notes {
        note!("note: {note}");
    }
    let folder = args.file.parent().unwrap_or(Path::new("")).to_owned();
    let rerun = args.rerun.then(|| format!("{:016x}", rand::random::<u64>()));
    if let Some(root) = whole.root {
        doors.root = root;
    }
    Ok((Source { text: whole.text, folder, rerun }, doors))
}

/// What the command line and the environment leave unsaid, a file of secrets may say, and then a profile.
pub fn fill_in(mut args: Args, unsaid: &[&str]) -> anyhow::Result<Args> {
    let mut unsaid = unsaid.to_vec();
    let doors = &mut args.doors;
    for (door, value) in [("queue", &mut doors.queue), ("ledger", &mut doors.ledger)] {
        if let Some(said) = secret(door)?.filter(|_| unsaid.contains(&door)) {
            *value = said;
            unsaid.retain(|other| *other != door);
        }
    }
    // What makes a profile does not need it yet.
    let Some(name) = args.doors.profile.as_ref().filter(|_| !matches!(args.command, Command::Profile { .. }))
    else {
        return Ok(args);
    };
    let found = profile::find(name)?;
    if found.is_foreign {
        note!(
            "note: the profile {name} is Raster Vision's; swath profile show {name} tells what is taken of it"
        );
    }
    let path = found.path.display().to_string();
    let said = ProfileDoors::read(Named { name: &path, text: &found.text })?;
    let doors = &mut args.doors;
    for (door, said, value) in [
        ("root", said.root, &mut doors.root),
        ("queue", said.queue, &mut doors.queue),
        ("ledger", said.ledger, &mut doors.ledger),
    ] {
        if let Some(said) = said.filter(|_| unsaid.contains(&door)) {
            *value = said;
        }
    }
    Ok(args)
}

/// A URL from the file that `SWATH_QUEUE_FILE` or `SWATH_LEDGER_FILE` names: secrets are handed to containers so.
fn secret(door: &str) -> anyhow::Result<Option<String>> {
    let variable = format!("SWATH_{}", door.to_uppercase());
    let is_set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let Some(path) = is_set(&format!("{variable}_FILE")).map(PathBuf::from) else { return Ok(None) };
    let wrong = |why: &str| Usage(format!("{variable}_FILE: {}: {why}", path.display()));
    if is_set(&variable).is_some() {
        return Err(wrong(&format!("{variable} is set too; one of them has to go")).into());
    }
    let text = text::read(&path, "a URL").map_err(|why| wrong(&why))?;
    match text.trim() {
        "" => Err(wrong("it is empty, and should hold a URL").into()),
        url => Ok(Some(url.to_owned())),
    }
}

/// The path and text of a profile.
pub(crate) fn profile(name: &str) -> anyhow::Result<(String, String)> {
    let found = profile::find(name)?;
    Ok((found.path.display().to_string(), found.text))
}

const PIPELINE: &str = "a pipeline file (TOML): give one that names the image as [[scenes]] image = \"FILE\"";
const JSON: &str = "it is JSON, and a pipeline file is TOML: what Raster Vision has written becomes one with swath \
                    import raster-vision FILE";

fn read(path: &Path) -> anyhow::Result<String> {
    let wrong = |why: String| Usage(format!("{}: {why}", path.display()));
    let text = text::read(path, PIPELINE).map_err(wrong)?;
    if text.trim_start().starts_with('{') {
        return Err(wrong(JSON.into()).into());
    }
    Ok(text)
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
    seconds("--item-limit", tuning.item_limit)?;
    if !(1..=256).contains(&tuning.ranks) {
        return Err(Usage(format!("--ranks {}: must be 1 to 256", tuning.ranks)).into());
    }
    if !(1..=256).contains(&tuning.threads) {
        return Err(Usage(format!("--threads {}: must be 1 to 256", tuning.threads)).into());
    }
    if !(1..=1024).contains(&tuning.slots) {
        return Err(Usage(format!("--slots {}: must be 1 to 1024", tuning.slots)).into());
    }
    Ok(())
}

/// Of this user: where several share a machine, nobody finds another's files in the way.
pub fn cache() -> PathBuf {
    let of_user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let of_home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    of_user
        .filter(|path| path.is_absolute())
        .or_else(of_home)
        .unwrap_or_else(std::env::temp_dir)
        .join("swath/models")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_pipeline_is_told_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mine.tif");
        let read = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            read(&file).map_err(|error| error.to_string())
        };
        let told = read(b"II*\0").unwrap_err();
        assert!(
            told.contains("mine.tif: it is no text in UTF-8, and must be a pipeline file (TOML)"),
            "{told}"
        );
        assert!(read(b" \n{\"dataset\": {}}").unwrap_err().contains("swath import raster-vision"));
        assert_eq!(read(b"name = \"a\"").unwrap(), "name = \"a\"");
    }
}

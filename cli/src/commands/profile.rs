//! `swath profile`: shows one, and makes ours of Raster Vision's or of a stack's outputs.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use swath_backends::open::redacted;

use crate::{
    args::{DoorArgs, ProfileCommand},
    exit::{Exit, Usage},
    fleet,
    profile::{self, Taken},
    text,
};

const OUTPUTS: &str = "the outputs of a stack (JSON)";

pub(super) fn run(what: ProfileCommand, doors: &DoorArgs) -> anyhow::Result<Exit> {
    match what {
        ProfileCommand::Show { name } => {
            let name = name.as_deref().or(doors.profile.as_deref());
            show(name.ok_or_else(|| Usage("which profile? give its name".into()))?, doors)
        }
        ProfileCommand::Import { from, name, force } => {
            let path = foreign(&from);
            let told = path.display().to_string();
            let text = text::read(&path, profile::FOREIGN).map_err(|why| Usage(format!("{told}: {why}")))?;
            let taken = profile::ini::read(&text).map_err(|error| Usage(format!("{told}: {error:#}")))?;
            let own = || path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            write(&taken, &told, &name.unwrap_or_else(own), force)
        }
        ProfileCommand::FromOutputs { file, name, force } => {
            let told = if is_stdin(&file) { "standard input".to_owned() } else { file.display().to_string() };
            let read = if is_stdin(&file) { text::read_stdin(OUTPUTS) } else { text::read(&file, OUTPUTS) };
            let json = read.map_err(|why| Usage(format!("{told}: {why}")))?;
            let (stack, taken) =
                profile::stack::read(&json).map_err(|error| Usage(format!("{told}: {error:#}")))?;
            write(&taken, &format!("the outputs of the stack {stack}"), &name.unwrap_or(stack), force)
        }
    }
}

/// A file, or the name of a profile where Raster Vision keeps them.
fn foreign(from: &Path) -> PathBuf {
    let named = from.to_str().filter(|_| !from.exists()).and_then(profile::foreign);
    named.filter(|named| named.is_file()).unwrap_or_else(|| from.to_owned())
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn show(name: &str, doors: &DoorArgs) -> anyhow::Result<Exit> {
    let found = profile::find(name)?;
    let wrong = |error: String| Usage(format!("{}: {error}", found.path.display()));
    let mut table: toml::Table =
        found.text.parse().map_err(|error: toml::de::Error| wrong(error.message().to_owned()))?;
    for door in ["root", "queue", "ledger"] {
        if let Some(toml::Value::String(url)) = table.get_mut(door) {
            *url = redacted(url);
        }
    }
    say!("# {}", found.path.display());
    if found.is_foreign {
        say!("# a profile of Raster Vision; swath profile import {name} makes it one of ours");
    }
    for note in &found.notes {
        say!("# {note}");
    }
    say!("{}", toml::to_string(&table)?.trim_end());
    // What is wrong with it is told behind it.
    profile::batch(Some(name))?;
    profile::prices(None, Some(name))?;
    fleet::check(name, doors)?;
    Ok(Exit::Done)
}

/// Readable to its owner alone, and never in the place of another without `force`.
fn write(taken: &Taken, from: &str, name: &str, force: bool) -> anyhow::Result<Exit> {
    let path = profile::path(name).map_err(|_| {
        Usage(format!("'{name}' can't be a profile's name: give --name, letters, digits, '-' and '_'"))
    })?;
    let text = taken.text(from)?;
    let folder = path.parent().context("a profile lies in a folder")?;
    let doing = || format!("writing {}", path.display());
    std::fs::create_dir_all(folder).with_context(doing)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;
    match force {
        true => drop(file.persist(&path).with_context(doing)?),
        false => match file.persist_noclobber(&path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Usage(format!("{} is there already; --force replaces it", path.display())).into());
            }
            Err(error) => return Err(error).with_context(doing),
        },
    }
    for note in &taken.notes {
        note!("note: {note}");
    }
    say!("{}", path.display());
    note!("use it by --profile {name}, or SWATH_PROFILE={name}; try it by: swath doctor --profile {name}");
    Ok(Exit::Done)
}

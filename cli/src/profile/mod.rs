//! Profiles: what is said nowhere else, by a name. Ours are `$XDG_CONFIG_HOME/swath/NAME.toml`; those of Raster Vision
//! (`~/.rastervision/NAME`) are read as well, and taken over by `swath profile import`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use swath_coordinator::{fleet::batch::settings::Settings, money::Prices};

use crate::{exit::Usage, text};

pub mod ini;
pub mod stack;

/// What such a file is.
pub const FOREIGN: &str = "a profile of Raster Vision (INI)";

/// A profile as it was found.
pub struct Found {
    pub path: PathBuf,
    /// TOML, ours.
    pub text: String,
    /// What Raster Vision's profile says that has no counterpart here; empty of our own.
    pub notes: Vec<String>,
    pub is_foreign: bool,
}

/// What other set-ups become.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Settings>,
}

/// A profile that was made of something else, and what people have to know about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    pub profile: Profile,
    pub notes: Vec<String>,
}

impl Taken {
    /// `from`: told at the top of the file.
    pub fn text(&self, from: &str) -> anyhow::Result<String> {
        let body = toml::to_string(&self.profile).context("writing a profile")?;
        let notes: String =
            self.notes.iter().map(|note| format!("# {}\n", note.replace('\n', " "))).collect();
        Ok(format!("# Taken over from {from}.\n{notes}\n{body}"))
    }
}

/// Reads a profile by its name: ours before Raster Vision's.
pub fn find(name: &str) -> anyhow::Result<Found> {
    let path = path(name)?;
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        Usage(format!("--profile {name}: {}: {error}", path.display()))
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let text = text::of(bytes, "a profile (TOML)").map_err(|why| wrong(&path, &why))?;
            Ok(Found { path, text, notes: Vec::new(), is_foreign: false })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let Some(foreign) = foreign(name).filter(|foreign| foreign.is_file()) else {
                return Err(wrong(&path, &error).into());
            };
            let text = text::read(&foreign, FOREIGN).map_err(|why| wrong(&foreign, &why))?;
            let taken = ini::read(&text).map_err(|error| wrong(&foreign, &format!("{error:#}")))?;
            let from = foreign.display().to_string();
            Ok(Found { text: taken.text(&from)?, path: foreign, notes: taken.notes, is_foreign: true })
        }
        Err(error) => Err(wrong(&path, &error).into()),
    }
}

/// `$XDG_CONFIG_HOME/swath/NAME.toml`.
pub fn path(name: &str) -> anyhow::Result<PathBuf> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(Usage(format!("--profile {name}: must be letters, digits, '-' and '_'")).into());
    }
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let folder =
        folder.ok_or_else(|| Usage(format!("--profile {name}: neither XDG_CONFIG_HOME nor HOME is set")))?;
    Ok(folder.join("swath").join(format!("{name}.toml")))
}

/// Where Raster Vision looks for a profile.
pub fn foreign(name: &str) -> Option<PathBuf> {
    let folder = set("RV_CONFIG_DIR").or_else(|| Some(set("HOME")?.join(".rastervision")))?;
    Some(folder.join(name))
}

/// `[batch]` of a profile; none where nothing of it is said.
pub fn batch(name: Option<&str>) -> anyhow::Result<Option<Settings>> {
    let Some(name) = name else { return Ok(None) };
    let found = find(name)?;
    let settings = Settings::of_profile(&found.path.display().to_string(), &found.text);
    Ok(settings.map_err(|error| Usage(format!("{error:#}")))?)
}

/// The table that `--prices` names, or the profile, or else the examples.
pub fn prices(file: Option<&Path>, profile: Option<&str>) -> anyhow::Result<Prices> {
    #[derive(serde::Deserialize)]
    struct Said {
        prices: Option<PathBuf>,
    }
    let of_profile = || -> anyhow::Result<Option<PathBuf>> {
        let Some(name) = profile else { return Ok(None) };
        let Found { path, text, .. } = find(name)?;
        let said: Said = toml::from_str(&text)
            .map_err(|error| Usage(format!("{}: prices: {}", path.display(), error.message())))?;
        // Beside the profile, if it does not say otherwise.
        Ok(said.prices.map(|prices| path.parent().unwrap_or(Path::new("")).join(prices)))
    };
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => of_profile()?,
    };
    let Some(file) = file else { return Ok(Prices::examples()) };
    let name = file.display().to_string();
    let text =
        text::read(&file, "a table of prices (TOML)").map_err(|why| Usage(format!("{name}: {why}")))?;
    Ok(Prices::read(&name, &text).map_err(|error| Usage(format!("{error:#}")))?)
}

fn set(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

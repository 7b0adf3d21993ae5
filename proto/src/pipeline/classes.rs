//! `[[classes]]`: what a pixel can be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Path, check::Check, problem::nearest};

/// A class. Its place in the list is its number in rasters, from 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassEntry {
    /// Its name in tables and files.
    pub name: String,
    /// Its colour on maps, as "#rrggbb".
    #[schemars(regex(pattern = "^#[0-9a-fA-F]{6}$"))]
    pub color: String,
    /// The class of all that no label covers. Exactly one class is.
    #[serde(default)]
    pub null: bool,
}

impl ClassEntry {
    /// `None` where the color is not `#rrggbb`; a checked file has no such.
    pub fn rgb(&self) -> Option<[u8; 3]> {
        let mut rgb = [0; 3];
        hex::decode_to_slice(self.color.strip_prefix('#')?, &mut rgb).ok()?;
        Some(rgb)
    }
}

pub(super) fn check_all(classes: &[ClassEntry], check: &mut Check<'_>) {
    let place = |at| Path::from("classes").index(at);
    for (at, class) in classes.iter().enumerate() {
        check.need(class.rgb().is_some(), place(at).key("color"), || {
            "must be # and six hexadecimal digits, \"#ff8800\" for instance".into()
        });
        check.need(!class.name.trim().is_empty(), place(at).key("name"), || "must not be empty".into());
        if let Some(twin) = classes[..at].iter().position(|other| other.name == class.name) {
            check.wrong(place(at).key("name"), format!("is the name of classes[{twin}] too"));
        }
    }
    if !check.sound(&["classes"]) {
        return;
    }
    if !(2..=255).contains(&classes.len()) {
        check.wrong("classes", format!("there must be 2 to 255, and there are {}", classes.len()));
    }
    let nulls: Vec<usize> = (0..classes.len()).filter(|at| classes[*at].null).collect();
    match nulls.as_slice() {
        [_] => {}
        [] => check
            .wrong("classes", "none has null = true: say which class is that of all that no label covers"),
        [first, second, ..] => {
            check.wrong(place(*second).key("null"), format!("classes[{first}] is the null class already"));
        }
    }
}

/// Tells of a class that the file does not have.
pub(super) fn known(name: &str, path: Path, classes: &[ClassEntry], check: &mut Check<'_>) {
    if !check.sound(&["classes"]) || classes.iter().any(|class| class.name == name) {
        return;
    }
    let names = || classes.iter().map(|class| class.name.as_str());
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    check.wrong(path, format!("no class is called \"{}\"; {hint}", super::problem::short(name)));
}

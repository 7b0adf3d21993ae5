//! Every command and option, by what clap is told of them, and what the program ends with.

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::cell;
use crate::{args::Args, exit::Exit};

const BEGIN: &str = "# Commands

Every command and every option, as `--help` tells them. What stands under *Where things are* goes for each command. This page is written by the
program (`UPDATE_TOLD=1 cargo test -p swath reference::`).
";

pub(super) fn page() -> String {
    let mut page = BEGIN.to_owned();
    tell("swath", "swath", &Args::command(), &mut page);
    page += "\n## Exit codes\n\n| code | |\n| --- | --- |\n";
    for exit in Exit::ALL {
        page += &format!("| {} | {} |\n", exit as i32, exit.means());
    }
    page
}

/// A command, and then those below it. `called` has what must stand between their words. Nothing is built, so that neither
/// what is the same for all nor `help` is told with each.
fn tell(name: &str, called: &str, command: &Command, page: &mut String) {
    *page += &format!("\n## {name}\n\n");
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        *page += &format!("{}.\n\n", cell(about.to_string().trim_end_matches('.')));
    }
    let usage = command.clone().bin_name(called).render_usage().to_string();
    let usage: Vec<&str> = usage.split_whitespace().skip(1).collect();
    *page += &format!("```text\n{}\n```\n", usage.join(" "));
    let mut shown: Vec<&Arg> = command.get_arguments().filter(|arg| !arg.is_hide_set()).collect();
    shown.sort_by_key(|arg| (arg.get_help_heading().is_some(), !arg.is_positional()));
    let mut heading = None;
    for (nth, arg) in shown.iter().enumerate() {
        if nth == 0 || arg.get_help_heading() != heading {
            heading = arg.get_help_heading();
            *page += &heading.map(|heading| format!("\n{heading}:\n")).unwrap_or_default();
            *page += "\n| | |\n| --- | --- |\n";
        }
        *page += &format!("| {} | {} |\n", cell(&spelt(arg)), cell(&meaning(arg)));
    }
    let needed = shown.iter().filter(|arg| arg.is_positional() && arg.is_required_set());
    let needed: String = needed.flat_map(|arg| values(arg)).map(|value| format!(" {value}")).collect();
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        let word = inner.get_name();
        tell(&format!("{name} {word}"), &format!("{called}{needed} {word}"), inner, page);
    }
}

fn values(arg: &Arg) -> Vec<String> {
    match arg.get_action().takes_values() {
        true => arg.get_value_names().into_iter().flatten().map(|name| format!("<{name}>")).collect(),
        false => Vec::new(),
    }
}

/// `-s`, `--splits N`.
fn spelt(arg: &Arg) -> String {
    let values = values(arg).join(" ");
    if arg.is_positional() {
        let more = matches!(arg.get_action(), ArgAction::Append).then_some("...");
        return format!("`{values}{}`", more.unwrap_or_default());
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let mut names: Vec<String> = short.into_iter().chain(long).collect();
    if let Some(last) = names.last_mut().filter(|_| !values.is_empty()) {
        *last += &format!(" {values}");
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(|help| help.to_string());
    let mut told = vec![help.map(ended).unwrap_or_default()];
    if !arg.get_action().takes_values() {
        return told.remove(0);
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if !defaults.is_empty() {
        told.push(format!("Default: `{}`.", defaults.join(",")));
    }
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .map(|value| {
            let help = value.get_help().map(|help| format!(" ({help})"));
            format!("`{}`{}", value.get_name(), help.unwrap_or_default())
        })
        .collect();
    if !possible.is_empty() {
        told.push(format!("One of {}.", possible.join(", ")));
    }
    if let Some(variable) = arg.get_env() {
        told.push(format!("Variable: `{}`.", variable.to_string_lossy()));
    }
    told.join(" ")
}

/// clap takes the full stop at the end away, of some.
fn ended(text: String) -> String {
    match text.ends_with(['.', ']']) {
        true => text,
        false => text + ".",
    }
}

//! The report for people. One file: its style, its curves and its pictures are in it, and it runs nothing.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use swath_proto::status::RunState;

use super::{Cost, Epoch, Report};

const STYLE: &str = include_str!("report.css");

/// Wherever it is opened: nothing is run, and nothing is fetched.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Text from outside becomes text.
struct Safe<'a>(&'a str);

impl std::fmt::Display for Safe<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                letter => f.write_char(letter)?,
            }
        }
        Ok(())
    }
}

pub(super) fn html(report: &Report) -> String {
    let run = Safe(report.run.as_str());
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{run}: report</title>\
         <style>{STYLE}</style></head><body><main>"
    );
    let parts = [
        head(report),
        scores(report),
        scenes(report),
        stages(report),
        phases(report),
        training(report),
        pictures(report),
        failures(report),
    ];
    parts.iter().for_each(|part| page.push_str(part));
    page.push_str("</main></body></html>\n");
    page
}

fn head(report: &Report) -> String {
    let state = match report.state {
        RunState::Done => "done",
        RunState::DoneWithFailures => "done, with failures",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Preparing | RunState::Running | RunState::Paused => "under way",
    };
    let rented: f64 = report.rented.iter().map(|rented| rented.seconds).sum();
    let rented =
        if report.rented.is_empty() { "none".to_owned() } else { format!("{:.1} hours", rented / 3600.0) };
    let failed = report.n_failures + report.unreadable_scenes.len() as u64;
    let tiles = [
        ("Took", report.seconds.map_or_else(|| "–".to_owned(), duration)),
        ("Longest stage", report.bottleneck.map_or("–", |stage| stage.name()).to_owned()),
        ("Time at work", duration(report.work_seconds)),
        ("Rented machines", rented),
        ("Cost", report.cost.as_ref().map_or_else(|| "–".to_owned(), |cost| Safe(&cost.told).to_string())),
        ("Scenes", report.scenes.to_string()),
        ("Pixels", format!("{:.1} M", report.pixels as f64 / 1e6)),
        ("Failed", failed.to_string()),
    ];
    let tiles = tiles.map(|(name, value)| format!("<div><dt>{name}</dt><dd>{value}</dd></div>")).concat();
    let message =
        report.message.as_deref().map(|message| format!("<p class=\"notice\">{}</p>", Safe(message)));
    format!(
        "<h1>{} <span class=\"pill\">{state}</span></h1><p class=\"dim\">began {}, ended {} (UTC); swath {}</p>{}\
         <dl class=\"tiles\">{tiles}</dl>{}",
        Safe(report.run.as_str()),
        Safe(&to_the_minute(&report.started)),
        Safe(&to_the_minute(&report.ended)),
        Safe(&report.program),
        message.unwrap_or_default(),
        report.cost.as_ref().map(prices).unwrap_or_default(),
    )
}

/// By which prices, and what they lack.
fn prices(cost: &Cost) -> String {
    let lacking = match cost.unknown.as_slice() {
        [] => String::new(),
        kinds => format!("; not in it, for want of a price: {}", kinds.join(", ")),
    };
    format!("<p class=\"dim\">The cost is by {}{}.</p>", Safe(&cost.prices), Safe(&lacking))
}

fn scores(report: &Report) -> String {
    let Some(entries) = report.scores.as_ref().and_then(Value::as_array) else { return String::new() };
    let mut rows = String::new();
    for entry in entries {
        let name = entry["class_name"].as_str().unwrap_or("–");
        let cell = |metric: &str| number(entry["metrics"][metric].as_f64());
        let cells =
            ["precision", "recall", "f1", "iou"].map(|metric| format!("<td>{}</td>", cell(metric))).concat();
        _ = write!(rows, "<tr><th>{}</th>{cells}</tr>", Safe(name));
    }
    if let Some(mean) = &report.mean {
        let cells = [mean.precision, mean.recall, mean.f1, mean.iou];
        let cells = cells.map(|metric| format!("<td>{}</td>", number(metric))).concat();
        _ = write!(rows, "<tr><th>mean of classes, without the null class</th>{cells}</tr>");
    }
    let mut worst = String::new();
    for told in &report.worst {
        let (mean, f1, iou) = (number(told.mean.f1), number(told.f1), number(told.iou));
        _ = write!(
            worst,
            "<tr><th>{}</th><td>{mean}</td><td>{f1}</td><td>{iou}</td></tr>",
            Safe(&told.scene)
        );
    }
    let matrix = entries.last().map(|average| confusion(entries, average)).unwrap_or_default();
    format!(
        "<section><h2>Scores</h2><table><thead><tr><th>Class</th><td>Precision</td><td>Recall</td><td>F1</td><td>IoU</td>\
         </tr></thead>{rows}</table></section>{matrix}<section><h2>Scenes, the worst first</h2><table><thead><tr>\
         <th>Scene</th><td>F1, mean of classes</td><td>F1, by pixels</td><td>IoU, by pixels</td></tr></thead>{worst}</table></section>"
    )
}

fn scenes(report: &Report) -> String {
    let mut told = String::new();
    for shown in &report.shown {
        let (scene, png) = (Safe(&shown.scene), STANDARD.encode(&shown.png));
        let (panels, which) = match shown.which {
            None => ("imagery, prediction", String::new()),
            Some(which) => ("imagery, labels, prediction, errors", format!(", {which}")),
        };
        let f1 = shown.f1.map_or_else(String::new, |f1| format!(": F1 {f1:.3}, the mean of classes"));
        _ = write!(
            told,
            "<figure><img alt=\"{scene}: {panels}\" src=\"data:image/png;base64,{png}\"><figcaption>{scene}{which}{f1}</figcaption></figure>"
        );
    }
    if told.is_empty() {
        told
    } else {
        format!(
            "<section><h2>What it looks like</h2><div class=\"scenes\">{told}</div><p class=\"dim\">A large scene \
             without overviews is shown by a part from its middle. More: swath picture {}</p></section>",
            Safe(report.run.as_str())
        )
    }
}

/// Rows are the truth, each shaded by its own sum.
fn confusion(entries: &[Value], average: &Value) -> String {
    let names: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.get("class_id").is_some())
        .filter_map(|entry| entry["class_name"].as_str())
        .collect();
    let mut table = String::from("<section><h2>Confusion</h2><table class=\"matrix\"><thead><tr><th></th>");
    for name in &names {
        _ = write!(table, "<td>{}</td>", Safe(name));
    }
    table.push_str("</tr></thead>");
    let rows = average["conf_mat"].as_array().into_iter().flatten();
    for (at, (row, name)) in rows.zip(&names).enumerate() {
        let counts: Vec<f64> = row.as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
        let sum: f64 = counts.iter().sum();
        _ = write!(table, "<tr><th>{}</th>", Safe(name));
        for (col, count) in counts.into_iter().enumerate() {
            let wrong = if col == at { "" } else { " class=\"wrong\"" };
            let part = if sum > 0.0 { count / sum } else { 0.0 };
            let percent = part * 100.0;
            _ = write!(table, "<td{wrong} style=\"--part:{part:.3}\">{percent:.1} %</td>");
        }
        table.push_str("</tr>");
    }
    table + "</table><p class=\"dim\">Down: what it is. Across: what it was taken for.</p></section>"
}

fn stages(report: &Report) -> String {
    let longest = report.stages.iter().map(|stage| stage.seconds).fold(0.0, f64::max);
    let mut rows = String::new();
    for stage in &report.stages {
        let part = if longest > 0.0 { stage.seconds / longest * 100.0 } else { 0.0 };
        let took = if stage.made > 0 { duration(stage.seconds) } else { "was there already".to_owned() };
        let took = if stage.items == 0 { "nothing to do".to_owned() } else { took };
        let failed = if stage.failed > 0 { format!(", {} failed", stage.failed) } else { String::new() };
        _ = write!(
            rows,
            "<tr><th>{}</th><td>{} of {}{failed}</td><td class=\"bar\"><i style=\"width:{part:.1}%\"></i></td><td>{took}</td></tr>",
            stage.stage, stage.done, stage.items
        );
    }
    format!("<section><h2>Stages</h2><table>{rows}</table></section>")
}

fn phases(report: &Report) -> String {
    let Some(shares) = report.phases.and_then(|phases| phases.shares()) else { return String::new() };
    let mut rows = String::new();
    for (phase, share) in shares {
        let percent = share * 100.0;
        _ = write!(
            rows,
            "<tr><th>{}</th><td class=\"bar\"><i style=\"width:{percent:.1}%\"></i></td><td>{percent:.0} %</td></tr>",
            phase.name()
        );
    }
    let advice = report.held_back_by.as_ref().map_or_else(String::new, |told| {
        format!("<p>Predicting was held back by <b>{}</b>: {}.</p>", Safe(&told.phase), Safe(&told.advice))
    });
    format!(
        "<section><h2>What workers were busy with where they predicted</h2><table>{rows}</table>{advice}</section>"
    )
}

fn training(report: &Report) -> String {
    if report.epochs.is_empty() {
        return String::new();
    }
    let of_loss: [Line; 2] =
        [("training", |epoch| epoch.train_loss), ("validation", |epoch| epoch.validation_loss)];
    let of_scores: [Line; 2] = [("F1", |epoch| epoch.f1), ("IoU", |epoch| epoch.iou)];
    let loss = curves(&report.epochs, &of_loss, "loss").unwrap_or_else(|| none("No epoch has a loss."));
    let judged = curves(&report.epochs, &of_scores, "score").unwrap_or_else(|| none(UNJUDGED));
    format!(
        "<section><h2>Training: loss</h2>{loss}</section>\
         <section><h2>Training: on validation chips</h2>{judged}</section>"
    )
}

/// As the page has it.
const UNJUDGED: &str =
    "No scene of the group “validation” judges this training, so that there is no score for its epochs.";

fn none(words: &str) -> String {
    format!("<p class=\"dim\">{words}</p>")
}

type Line = (&'static str, fn(&Epoch) -> Option<f64>);

/// From 0 to the largest value; none where there is no value.
fn curves(epochs: &[Epoch], lines: &[Line], unit: &str) -> Option<String> {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 180.0;
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let values = lines.iter().flat_map(|(_, of)| epochs.iter().filter_map(move |epoch| finite(of(epoch))));
    let most = values.reduce(f64::max)?;
    let most = if most > 0.0 { most } else { 1.0 };
    let across = |at: usize| {
        if epochs.len() > 1 { at as f64 / (epochs.len() - 1) as f64 * WIDTH } else { WIDTH / 2.0 }
    };
    let (mut drawn, mut legend) = (String::new(), String::new());
    for (number, (name, of)) in lines.iter().enumerate() {
        let points: Vec<(f64, f64)> = epochs
            .iter()
            .enumerate()
            .filter_map(|(at, epoch)| Some((across(at), HEIGHT - finite(of(epoch))? / most * HEIGHT)))
            .collect();
        let Some(last) = epochs.iter().rev().find_map(|epoch| finite(of(epoch))) else { continue };
        let path = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
        _ = write!(drawn, "<polyline class=\"line{number}\" points=\"{path}\"/>");
        for (x, y) in points {
            _ = write!(drawn, "<circle class=\"line{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
        _ = write!(legend, "<span class=\"line{number}\">{name} {last:.3}</span> ");
    }
    let (first, last) =
        (epochs.first().map_or(0, |epoch| epoch.epoch), epochs.last().map_or(0, |epoch| epoch.epoch));
    // Where there is but one, it stands in the middle.
    let ends = match epochs.len() {
        1 => format!("<text class=\"mid\" x=\"{}\" y=\"198\">epoch {first}</text>", WIDTH / 2.0),
        _ => format!(
            "<text x=\"0\" y=\"198\">epoch {first}</text><text class=\"end\" x=\"{WIDTH}\" y=\"198\">epoch {last}</text>"
        ),
    };
    Some(format!(
        "<svg viewBox=\"-52 -24 {} {}\" role=\"img\" aria-label=\"{unit} from 0 to {most:.3}, over {} epochs\">\
         <path class=\"axis\" d=\"M0,0V{HEIGHT}H{WIDTH}\"/>{drawn}<text class=\"end\" x=\"-8\" y=\"4\">{most:.3}</text>\
         <text class=\"end\" x=\"-8\" y=\"{HEIGHT}\">0</text><text class=\"end\" x=\"-8\" y=\"-12\">{unit}</text>{ends}</svg>\
         <p class=\"legend\">{legend}</p>",
        WIDTH + 64.0,
        HEIGHT + 48.0,
        epochs.len(),
    ))
}

fn pictures(report: &Report) -> String {
    let mut told = String::new();
    for picture in &report.pictures {
        let (words, png) = (Safe(caption(picture.name)), STANDARD.encode(&picture.png));
        _ = write!(
            told,
            "<figure><img alt=\"chips: {}\" src=\"data:image/png;base64,{png}\"><figcaption>{words}</figcaption></figure>",
            Safe(picture.name)
        );
    }
    if told.is_empty() {
        told
    } else {
        format!("<section><h2>Chips</h2><div class=\"sheets\">{told}</div></section>")
    }
}

/// As the page has it.
fn caption(name: &str) -> &str {
    match name {
        "first-batch" => "the first batch: imagery and labels; what is white does not count",
        "validation" => {
            "validation, after the last epoch: imagery, labels (what is white does not count), and what the network makes of it"
        }
        name => name,
    }
}

fn failures(report: &Report) -> String {
    let mut told = String::new();
    for scene in &report.unreadable_scenes {
        _ = write!(told, "<li>Scene {}</li>", Safe(scene));
    }
    for failed in &report.failures {
        let failure = &failed.failure;
        let scene =
            failure.scene.as_ref().map_or_else(String::new, |scene| format!(" of {}", Safe(scene.as_str())));
        let class = failure.class.name();
        let what = match failed.items {
            1 => failed.place.to_string(),
            n => format!("{n} items"),
        };
        _ = write!(told, "<li><b>{what}</b>{scene} ({class}): {}</li>", Safe(&failure.message));
    }
    let named: u64 = report.failures.iter().map(|failed| failed.items).sum();
    let more = report.n_failures.saturating_sub(named);
    if more > 0 {
        _ = write!(told, "<li class=\"dim\">and {more} more: swath items {}</li>", Safe(report.run.as_str()));
    }
    if report.n_dropped > 0 {
        _ = write!(told, "<li class=\"dim\">{} were dropped by command</li>", report.n_dropped);
    }
    if told.is_empty() {
        told.push_str("<li class=\"dim\">Nothing failed.</li>");
    }
    format!("<section><h2>Failures</h2><ul>{told}</ul></section>")
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// `29 Nov 2026, 14:47`; what is no time is shown as it is.
fn to_the_minute(time: &str) -> String {
    match time.parse::<jiff::Timestamp>() {
        Ok(time) => time.strftime("%-d %b %Y, %H:%M").to_string(),
        Err(_) => time.to_owned(),
    }
}

/// In the words of `took` in web/src/words.js.
fn duration(seconds: f64) -> String {
    let plural = |n: f64, one: &str| format!("{n} {one}{}", if n == 1.0 { "" } else { "s" });
    match seconds {
        seconds if seconds < 1.0 => "under a second".to_owned(),
        seconds if seconds < 90.0 => plural(seconds.round(), "second"),
        seconds if seconds < 5400.0 => plural((seconds / 60.0).round(), "minute"),
        seconds if seconds < 36.0 * 3600.0 => {
            let hours = (seconds / 3600.0).floor();
            let minutes = ((seconds - hours * 3600.0) / 600.0).round() * 10.0;
            match minutes {
                minutes if minutes >= 60.0 => plural(hours + 1.0, "hour"),
                minutes if minutes > 0.0 && hours < 10.0 => format!("{hours} h {minutes} min"),
                _ => plural(hours, "hour"),
            }
        }
        seconds => plural((seconds / 86400.0).round(), "day"),
    }
}

#[cfg(test)]
mod tests;

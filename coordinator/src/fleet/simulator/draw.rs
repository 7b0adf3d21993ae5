//! The traces as a picture for the documentation.

use std::fmt::Write as _;

use super::{Outcome, Sample, Trace, simulate, traces};

const WIDTH: f64 = 720.0;
const PANEL: f64 = 150.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 60.0;
const TOP: f64 = 26.0;
const BELOW: f64 = 30.0;

fn picture(traces: &[(Trace, Outcome)]) -> String {
    let height = traces.len() as f64 * (TOP + PANEL + BELOW) + 8.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    for (n, (trace, outcome)) in traces.iter().enumerate() {
        panel(&mut svg, trace, outcome, n as f64 * (TOP + PANEL + BELOW));
    }
    svg + "</svg>\n"
}

fn panel(svg: &mut String, trace: &Trace, outcome: &Outcome, top: f64) {
    let samples = &outcome.samples;
    let end_s = samples.last().map_or(1.0, |sample| sample.at_s).max(1.0);
    let most_s = samples.iter().map(|sample| sample.backlog_s).fold(1.0, f64::max);
    let there = |sample: &Sample| (sample.working + sample.launching) as f64;
    let most = samples.iter().map(|sample| there(sample).max(f64::from(sample.target))).fold(1.0, f64::max);
    let (base, width) = (top + TOP + PANEL, WIDTH - LEFT - RIGHT);
    let x = |sample: &Sample| LEFT + width * sample.at_s / end_s;
    let line = |value: &dyn Fn(&Sample) -> f64| {
        let mut path = String::new();
        for (n, sample) in samples.iter().enumerate() {
            let word = if n == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{word}{:.1} {:.1}", x(sample), base - PANEL * value(sample));
        }
        path
    };
    let backlog = line(&|sample| sample.backlog_s / most_s);
    let area = format!("{backlog}L{:.1} {base:.1}L{LEFT:.1} {base:.1}Z", LEFT + width);
    let all = line(&|sample| there(sample) / most);
    let working = line(&|sample| sample.working as f64 / most);
    let target = line(&|sample| f64::from(sample.target) / most);
    let done =
        outcome.done_s.map_or_else(String::new, |done_s| format!(", done after {:.0} min", done_s / 60.0));
    let title = format!("{}: {:.1} hours of workers{done}", trace.name, outcome.hours);
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{:.0}\" font-size=\"13\" fill=\"#1b1f24\">{title}</text>\n\
         <path d=\"{area}\" fill=\"#c9d6e8\"/>\n\
         <path d=\"{all}\" fill=\"none\" stroke=\"#e0862f\" stroke-width=\"1.2\"/>\n\
         <path d=\"{working}\" fill=\"none\" stroke=\"#1f7a4d\" stroke-width=\"1.6\"/>\n\
         <path d=\"{target}\" fill=\"none\" stroke=\"#1b1f24\" stroke-width=\"0.8\" stroke-dasharray=\"3 3\"/>\n\
         <path d=\"M{LEFT} {:.1}V{base}H{:.1}\" fill=\"none\" stroke=\"#8a929b\"/>\n",
        top + TOP - 9.0,
        top + TOP,
        LEFT + width
    );
    let mut text = |x: f64, y: f64, anchor: &str, fill: &str, words: &str| {
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"{fill}\">{words}</text>"
        );
    };
    text(LEFT - 6.0, top + TOP + 8.0, "end", "#51688c", &format!("{:.1} h", most_s / 3600.0));
    text(LEFT - 6.0, base, "end", "#51688c", "0");
    text(LEFT + width + 6.0, top + TOP + 8.0, "start", "#1f7a4d", &format!("{most:.0}"));
    text(LEFT + width + 6.0, base, "start", "#1f7a4d", "0");
    text(LEFT, base + 14.0, "middle", "#555b62", "0");
    text(LEFT + width, base + 14.0, "middle", "#555b62", &format!("{:.0} min", end_s / 60.0));
    let legend = "backlog (area), workers asked for (dashed), there or launching (orange), at work (green)";
    text(LEFT + width / 2.0, base + 14.0, "middle", "#555b62", legend);
}

#[test]
#[ignore = "draws docs/fleet-simulated.svg: cargo test -p swath-coordinator draw_the_traces -- --ignored"]
fn draw_the_traces() {
    let traces =
        [traces::burst(), traces::ramp(), traces::long_tail(), traces::spot_storm(), traces::no_capacity()];
    let both: Vec<_> = traces
        .into_iter()
        .map(|trace| {
            let outcome = simulate(&trace);
            (trace, outcome)
        })
        .collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet-simulated.svg");
    std::fs::write(file, picture(&both)).expect("writing the picture");
}

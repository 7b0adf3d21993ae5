//! The traces as a picture for the documentation.

use super::{Outcome, Sample, Trace, simulate, traces};
use crate::fleet::picture::{Panel, Point, picture};

fn panel(trace: &Trace, outcome: &Outcome) -> Panel {
    let done =
        outcome.done_s.map_or_else(String::new, |done_s| format!(", done after {:.0} min", done_s / 60.0));
    let point = |sample: &Sample| Point {
        at_s: sample.at_s,
        backlog_s: sample.backlog_s,
        working: sample.working as u32,
        there: (sample.working + sample.launching) as u32,
        target: sample.target,
    };
    Panel {
        title: format!("{}: {:.1} hours of workers{done}", trace.name, outcome.hours),
        points: outcome.samples.iter().map(point).collect(),
        marks: Vec::new(),
    }
}

#[test]
#[ignore = "draws docs/fleet-simulated.svg: cargo test -p swath-coordinator draw_the_traces -- --ignored"]
fn draw_the_traces() {
    let traces =
        [traces::burst(), traces::ramp(), traces::long_tail(), traces::spot_storm(), traces::no_capacity()];
    let panels: Vec<Panel> = traces.iter().map(|trace| panel(trace, &simulate(trace))).collect();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/fleet-simulated.svg");
    std::fs::write(file, picture(&panels)).expect("writing the picture");
}

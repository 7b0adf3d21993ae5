//! A bar with rate and time left on a terminal, plain lines elsewhere.

use std::{
    cell::Cell,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use swath_proto::{item::Stage, status::RunStatus};

use crate::{commands::state_name, table};

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress of one long thing.
pub(crate) struct Bar {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    terminal: bool,
    said: Cell<Instant>,
}

impl Bar {
    pub(crate) fn new(name: &str, total: u64, unit: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = format!("{{prefix}} {{bar:30}} {{pos}}/{{len}} {unit}  {{msg}}");
        bar.set_style(
            ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(name.to_owned());
        Self { bar, name: name.to_owned(), unit, terminal, said: Cell::new(Instant::now()) }
    }

    #[cfg_attr(not(feature = "worker"), expect(dead_code, reason = "for what a coordinator does not do"))]
    pub(crate) fn at(&self, done: u64) {
        self.bar.set_position(done);
        let left = self.bar.eta().as_secs_f64();
        self.say(&format!("{} left", table::duration(left)));
    }

    fn say(&self, message: &str) {
        self.bar.set_message(message.to_owned());
        if !self.terminal && self.said.get().elapsed() >= LINE_EVERY {
            self.said.set(Instant::now());
            let (at, of) = (self.bar.position(), self.bar.length().unwrap_or(0));
            eprintln!("{}: {at}/{of} {}  {message}", self.name, self.unit);
        }
    }

    /// Shows a run: pixels as the bar, stages in words.
    pub(crate) fn show(&self, status: &RunStatus) {
        const MEGA: u64 = 1_000_000;
        if status.pixels > 0 {
            self.bar.set_length(status.pixels.div_ceil(MEGA));
            self.bar.set_position(status.pixels_done / MEGA);
        }
        let stages = Stage::ALL.into_iter().filter_map(|stage| {
            let count = status.stages.get(stage.name())?;
            (count.items > 0).then(|| format!("{stage} {}/{}", count.done, count.items))
        });
        let stages: Vec<_> = stages.collect();
        let eta =
            status.eta_seconds.map_or_else(String::new, |eta| format!(", {} left", table::duration(eta)));
        self.say(&format!("{}: {}{eta}", state_name(status.state), stages.join(", ")));
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

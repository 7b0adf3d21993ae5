//! A bar with rate and time left on a terminal, plain lines elsewhere.

use std::{
    cell::Cell,
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use swath_proto::status::RunStatus;

use crate::{line, table};

const LINE_EVERY: Duration = Duration::from_secs(10);
/// Where the terminal does not say.
const WIDTH: usize = 80;

/// What is on the terminal now; other lines go above it.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Progress of one long thing.
pub struct Bar {
    bar: ProgressBar,
    name: String,
    unit: &'static str,
    is_terminal: bool,
    told: Cell<Instant>,
}

impl Bar {
    #[cfg_attr(not(feature = "worker"), expect(dead_code, reason = "for what a coordinator does not do"))]
    pub(crate) fn new(name: &str, total: u64, unit: &'static str) -> Self {
        let template = format!("{{prefix}}  {{bar:30}}  {{pos}}/{{len}} {unit}  {{wide_msg}}");
        Self::with(name, total, unit, &template)
    }

    /// Of a training that is no run's.
    #[cfg(feature = "engine")]
    pub fn of_training(name: &str) -> Self {
        Self::with(name, 0, "", "{prefix}  {msg}")
    }

    #[cfg(feature = "engine")]
    pub fn trained(&self, training: &swath_proto::learn::Training) {
        let words = line::of_training_alone(training);
        self.bar.set_message(words.clone());
        self.tell(|| format!("{}  {words}", self.name));
    }

    /// Of a run; its line is put together by [`mod@line`].
    pub(crate) fn of_run(name: &str) -> Self {
        Self::with(name, 0, "", "{msg}")
    }

    fn with(name: &str, total: u64, unit: &'static str, template: &str) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(name.to_owned());
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Self { bar, name: name.to_owned(), unit, is_terminal, told: Cell::new(Instant::now()) }
    }

    #[cfg_attr(not(feature = "worker"), expect(dead_code, reason = "for what a coordinator does not do"))]
    pub(crate) fn at(&self, done: u64) {
        self.bar.set_position(done);
        let left = table::duration(self.bar.eta().as_secs_f64());
        self.bar.set_message(format!("{left} left"));
        let all = self.bar.length().unwrap_or(0);
        self.tell(|| format!("{}  {done}/{all} {}  {left} left", self.name, self.unit));
    }

    pub(crate) fn show(&self, status: &RunStatus) {
        if self.is_terminal {
            self.bar.set_message(line::line(status, width()));
        }
        self.tell(|| line::plain(status));
    }

    /// A line now and then, where there is no terminal.
    fn tell(&self, words: impl Fn() -> String) {
        if !self.is_terminal && self.told.get().elapsed() >= LINE_EVERY {
            self.told.set(Instant::now());
            note!("{}", words());
        }
    }

    pub fn finish(&self) {
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.bar.finish_and_clear();
    }
}

fn width() -> usize {
    // SAFETY: the call writes into what it is given, and nothing else.
    let columns = unsafe {
        let mut size: libc::winsize = std::mem::zeroed();
        let answer = libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &mut size);
        if answer == 0 { usize::from(size.ws_col) } else { 0 }
    };
    if columns > 0 { columns } else { WIDTH }
}

/// Standard error for logs: their lines go above the bar and not into it.
pub(crate) struct AboveBar;

impl std::io::Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let bar = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let write = || std::io::Write::write_all(&mut std::io::stderr().lock(), bytes);
        bar.map_or_else(write, |bar| bar.suspend(write))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

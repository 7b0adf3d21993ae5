//! Keeps the ranks of a gang on this machine: starts a process for each, and when one dies or falls silent, ends all of
//! them and starts the next generation, which goes on from the last checkpoint. Nothing is mended in place.

use std::{
    io::{BufRead, BufReader},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    seat::{HOST, PORT, RANK, SIZE},
    words::Word,
};
use crate::{Outcome, Progress, Result, TrainError, error::Kind};

/// What to start.
pub struct Ranks<'a> {
    /// A process that calls [`super::work`] with what its environment says.
    pub command: &'a dyn Fn() -> Command,
    pub n: u32,
}

/// A rank that lives says so every second.
const SILENT: Duration = Duration::from_secs(10);
/// It loads libraries first.
const SILENT_AT_START: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Generations in a row that made no step, after which the fault is not a machine's mood.
const HOPELESS: u32 = 3;

/// Trains on all of them, to the end or until `stop` is cancelled, which they hear as SIGTERM.
pub fn supervise(
    ranks: &Ranks<'_>,
    progress: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome> {
    let (mut hopeless, mut at) = (0, (1, 0));
    loop {
        let (mut generation, mut has_stepped) = (Generation::new(ranks), false);
        let mut tell = |now: Progress| {
            has_stepped = true;
            at = (now.epoch, now.step);
            progress(now);
        };
        let ended = generation.run(&mut tell, stop);
        generation.end();
        match ended? {
            Ended::Outcome(outcome) => return Ok(outcome),
            // The last checkpoint is as good as one that was written now.
            Ended::Lost(_) if stop.is_cancelled() => {
                return Ok(Outcome::Stopped { epoch: at.0, step: at.1 });
            }
            Ended::Lost(why) => {
                hopeless = if has_stepped { 0 } else { hopeless + 1 };
                if hopeless >= HOPELESS {
                    return Err(TrainError::new(
                        Kind::Internal,
                        format!("{HOPELESS} times in a row the ranks came to no step; the last time {why}"),
                    ));
                }
                tracing::warn!(
                    ranks = ranks.n,
                    "{why}; all ranks are started again, from the last checkpoint"
                );
            }
        }
    }
}

enum Ended {
    Outcome(Outcome),
    /// A rank is gone, and so the gang: why.
    Lost(String),
}

enum News {
    Said(Word),
    /// It says nothing any more.
    Over,
}

struct Member {
    child: Child,
    heard: Instant,
    has_spoken: bool,
    is_told_to_stop: bool,
    ended: Option<std::result::Result<Outcome, TrainError>>,
}

/// The processes of one gang.
struct Generation<'a> {
    ranks: &'a Ranks<'a>,
    members: Vec<Member>,
    sender: Sender<(usize, News)>,
    news: Receiver<(usize, News)>,
}

impl<'a> Generation<'a> {
    fn new(ranks: &'a Ranks<'a>) -> Self {
        let (sender, news) = channel();
        Self { ranks, members: Vec::new(), sender, news }
    }

    fn run(&mut self, progress: &mut dyn FnMut(Progress), stop: &CancellationToken) -> Result<Ended> {
        self.start(0)?;
        loop {
            match self.news.recv_timeout(LOOK_EVERY) {
                Ok((rank, News::Said(word))) => {
                    let member = &mut self.members[rank];
                    (member.heard, member.has_spoken) = (Instant::now(), true);
                    match word {
                        Word::Alive => {}
                        Word::Opened(port) => (1..self.ranks.n).try_for_each(|_| self.start(port))?,
                        Word::Progress(now) => progress(now),
                        Word::Ended(outcome) => member.ended = Some(Ok(outcome)),
                        Word::Failed { kind, text } => member.ended = Some(Err(TrainError::new(kind, text))),
                    }
                }
                Ok((rank, News::Over)) => {
                    if let Some(ended) = self.over(rank)? {
                        return Ok(ended);
                    }
                }
                // Both ends are here.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
            if stop.is_cancelled() {
                self.tell_to_stop();
            }
            if let Some(why) = self.silent() {
                return Ok(Ended::Lost(why));
            }
        }
    }

    /// A rank's process has ended, or is about to. Says what that means for all, if anything yet.
    fn over(&mut self, rank: usize) -> Result<Option<Ended>> {
        let member = &mut self.members[rank];
        match member.ended.take() {
            Some(Err(error)) if error.kind == Kind::Gang => {
                Ok(Some(Ended::Lost(format!("rank {rank} says: {error}"))))
            }
            // It would fail the same way again.
            Some(Err(error)) => Err(error),
            Some(Ok(outcome)) => {
                member.ended = Some(Ok(outcome));
                let all = self.members.len() == self.ranks.n as usize
                    && self.members.iter().all(|member| member.ended.is_some());
                let first = self.members.first_mut().and_then(|member| member.ended.take_if(|_| all));
                Ok(first.transpose()?.map(Ended::Outcome))
            }
            None => {
                let status = member.child.wait().map_err(|error| failed(&error))?;
                let how = match (status.signal(), status.code()) {
                    (Some(libc::SIGKILL), _) => {
                        "was killed (by hand, or since there was no memory left)".into()
                    }
                    (Some(signal), _) => format!("was ended by signal {signal}"),
                    (None, code) => format!("has left with code {}", code.unwrap_or_default()),
                };
                Ok(Some(Ended::Lost(format!("rank {rank} {how}"))))
            }
        }
    }

    /// Those that listen by now: one that says nothing yet would be ended by it.
    fn tell_to_stop(&mut self) {
        for member in self.members.iter_mut().filter(|member| member.has_spoken && !member.is_told_to_stop) {
            member.is_told_to_stop = true;
            // SAFETY: our own child, not yet waited for.
            unsafe { libc::kill(member.child.id() as libc::pid_t, libc::SIGTERM) };
        }
    }

    /// Who lives and does not say so stands still.
    fn silent(&self) -> Option<String> {
        self.members.iter().enumerate().find_map(|(rank, member)| {
            let patience = if member.has_spoken { SILENT } else { SILENT_AT_START };
            let silent = member.ended.is_none() && member.heard.elapsed() > patience;
            silent.then(|| {
                format!("rank {rank} stands still: nothing was heard of it for {} s", patience.as_secs())
            })
        })
    }

    /// The next rank.
    fn start(&mut self, port: u16) -> Result<()> {
        let rank = self.members.len();
        let mut command = (self.ranks.command)();
        command
            .env(RANK, rank.to_string())
            .env(SIZE, self.ranks.n.to_string())
            .env(HOST, "127.0.0.1")
            .env(PORT, port.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if std::env::var_os(LOG_LEVEL).is_none() {
            // What c10d tells of a rank that is gone is told here, in fewer words.
            command.env(LOG_LEVEL, "ERROR");
        }
        // SAFETY: prctl is async-signal-safe, and nothing else happens between fork and exec. The thread that starts
        // ranks is the one that waits for their end.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        if let Some(out) = child.stdout.take() {
            let sender = self.sender.clone();
            thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(std::result::Result::ok);
                for word in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                    let _ = sender.send((rank, News::Said(word)));
                }
                let _ = sender.send((rank, News::Over));
            });
        }
        self.members.push(Member {
            child,
            heard: Instant::now(),
            has_spoken: false,
            is_told_to_stop: false,
            ended: None,
        });
        Ok(())
    }

    /// Nobody of it writes any more once this returns.
    fn end(&mut self) {
        for member in &mut self.members {
            let _ = member.child.kill();
        }
        for member in &mut self.members {
            let _ = member.child.wait();
        }
    }
}

const LOG_LEVEL: &str = "TORCH_CPP_LOG_LEVEL";

fn failed(error: &std::io::Error) -> TrainError {
    TrainError::new(Kind::Internal, format!("starting a rank: {error}"))
}

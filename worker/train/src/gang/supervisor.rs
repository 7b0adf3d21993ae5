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
    let mut hopeless = 0;
    loop {
        let mut generation = Generation::new(ranks);
        let ended = generation.run(progress, stop);
        generation.end();
        match ended? {
            Ended::Outcome(outcome) => return Ok(outcome),
            Ended::Lost(why) => {
                hopeless = if generation.has_stepped { 0 } else { hopeless + 1 };
                if hopeless >= HOPELESS {
                    return Err(TrainError::new(
                        Kind::Internal,
                        format!("{HOPELESS} times in a row the ranks came to no step; the last time {why}"),
                    ));
                }
                if !stop.is_cancelled() {
                    tracing::warn!(
                        ranks = ranks.n,
                        "{why}; all ranks are started again, from the last checkpoint"
                    );
                }
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
    ended: Option<std::result::Result<Outcome, TrainError>>,
}

/// The processes of one gang.
struct Generation<'a> {
    ranks: &'a Ranks<'a>,
    members: Vec<Member>,
    sender: Sender<(usize, News)>,
    news: Receiver<(usize, News)>,
    has_stepped: bool,
}

impl<'a> Generation<'a> {
    fn new(ranks: &'a Ranks<'a>) -> Self {
        let (sender, news) = channel();
        Self { ranks, members: Vec::new(), sender, news, has_stepped: false }
    }

    fn run(&mut self, progress: &mut dyn FnMut(Progress), stop: &CancellationToken) -> Result<Ended> {
        self.start(0)?;
        let mut is_told = false;
        loop {
            match self.news.recv_timeout(LOOK_EVERY) {
                Ok((rank, News::Said(word))) => {
                    let member = &mut self.members[rank];
                    (member.heard, member.has_spoken) = (Instant::now(), true);
                    match word {
                        Word::Alive => {}
                        Word::Opened(port) => (1..self.ranks.n).try_for_each(|_| self.start(port))?,
                        Word::Progress(now) => {
                            self.has_stepped = true;
                            progress(now);
                        }
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
            if stop.is_cancelled() && !is_told {
                is_told = true;
                self.members.iter().for_each(|member| signal(&member.child, libc::SIGTERM));
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
        self.members.push(Member { child, heard: Instant::now(), has_spoken: false, ended: None });
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

fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: our own child, not yet waited for.
    unsafe { libc::kill(child.id() as libc::pid_t, signal) };
}

fn failed(error: &std::io::Error) -> TrainError {
    TrainError::new(Kind::Internal, format!("starting a rank: {error}"))
}
